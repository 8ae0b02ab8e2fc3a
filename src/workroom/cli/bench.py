"""The bodies of `workroom bench run`, `resume`, `grade`, `report`, `compare`, `list` and `new`."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.bench.grading import check_grading, record_grading
from workroom.bench.plan import JudgeSettings, Plan, Selection
from workroom.bench.score import NO_JUDGE
from workroom.bench.session import Bounds, begin, default_concurrency, open_engine, open_graders
from workroom.bench.store import Attempt, BenchDirectory, ScoreLine
from workroom.cli.screen import Screen
from workroom.cli.signals import Signals
from workroom.cli.text import cut, one_line
from workroom.errors import ConfigError, WorkroomError

if TYPE_CHECKING:
    from workroom.bench.progress import Finished, Progress
    from workroom.bench.runner import Engine, Pace, Runner

_TICK = 0.5  # seconds between two looks of the status line
_LINE = 30.0  # seconds between two lines where there is no terminal
_ID = 60  # cells of a task's id in a line
_ERROR = 300  # and of an error


def run_verb(
    selection: Selection,
    judge: JudgeSettings,
    flags: Mapping[str, Any],
    config_file: Path | None,
    out: Path | None,
    pace: tuple[int | None, int, str],
    bounds: Bounds,
    screen: Screen,
) -> int:
    """Begins a bench, or goes on with the same one in `out`, and gives the exit code."""
    from workroom.config import resolve

    plan = Plan.make(selection, resolve(flags, config_file), judge)
    chosen = pace_of(plan.resolved.config.model, *pace)
    with begin(plan, out, screen.view.notice) as bench:
        return _session(bench, plan, chosen, bounds, screen)


def resume_verb(
    directory: Path,
    flags: Mapping[str, Any],
    judge: JudgeSettings,
    pace: tuple[int | None, int, str],
    bounds: Bounds,
    screen: Screen,
) -> int:
    """Goes on with a bench."""
    with BenchDirectory.open(directory) as bench:
        plan = Plan.of(bench, flags, judge)
        plan.check_goes_on(bench.config)
        check_grading(bench, plan)
        return _session(bench, plan, pace_of(plan.resolved.config.model, *pace), bounds, screen)


def grade_verb(directory: Path, judge: JudgeSettings, *, refresh: bool, only_unscored: bool, screen: Screen) -> int:
    """Grades what is there once more and makes the report."""
    from workroom.bench.regrade import regrade

    with BenchDirectory.open(directory) as bench:
        plan = Plan.of(bench, {}, judge)
        if only_unscored:
            check_grading(bench, plan)

        async def grade() -> int:
            graders, model = open_graders(bench, plan.judge, refresh=refresh, tell=screen.view.progress)
            try:
                return await regrade(bench, plan, graders, only_unscored=only_unscored, on_progress=screen.view.status)
            finally:
                await graders.aclose()
                if model is not None:
                    await model.aclose()

        unscored = asyncio.run(grade())
        if not only_unscored:
            record_grading(bench, plan)
        _report(bench, screen)
        _summary(bench, screen)
        if unscored:
            screen.error(f"{unscored} attempts are unscored; the reasons are in {bench.path / 'scores.jsonl'}")
        code = 6 if unscored else 0
        _last_line(screen, bench, code)
        return code


def report_verb(directory: Path, screen: Screen) -> int:
    """Makes the report and says where it is."""
    bench = BenchDirectory.load(directory)
    _report(bench, screen)
    sys.stdout.write(f"{directory / 'report' / 'report.md'}\n")
    return 0


def compare_verb(directories: Sequence[Path], out: Path | None) -> int:
    """Sets benches side by side, in Markdown on standard output or as files in `out`."""
    from workroom.bench.compare import compare, to_markdown, write_comparison

    if len(directories) < 2:
        raise ConfigError("a comparison needs two benches or more: workroom bench compare DIR DIR")
    comparison = compare([BenchDirectory.load(directory) for directory in directories])
    if out is None:
        sys.stdout.write(to_markdown(comparison))
        return 0
    write_comparison(comparison, out)
    sys.stdout.write(f"{out / 'compare.md'}\n")
    return 0


def _session(bench: BenchDirectory, plan: Plan, pace: "Pace", bounds: Bounds, screen: Screen) -> int:
    """Runs what is missing, makes the report, says how it went."""
    signals = Signals()
    signals.take()
    screen.view.progress(f"bench in {bench.path}")
    try:
        with screen.warnings():
            engine = open_engine(plan, bounds, screen.view.progress)
            signals.hold()
            finished = asyncio.run(_run(bench, plan, engine, pace, screen, signals))
        signals.stop = None  # the report may take its time, and can be made later
        _report(bench, screen)
    except (KeyboardInterrupt, asyncio.CancelledError):
        signals.stop = lambda: None
        screen.error(f"interrupted at once; go on: workroom bench resume {bench.path}")
        _last_line(screen, bench, 130)
        return 130
    except WorkroomError as error:
        _last_line(screen, bench, error.exit_code)
        raise
    finally:
        signals.ignore()
        screen.view.close()
    _summary(bench, screen)
    _tell_end(finished, bench, screen)
    _last_line(screen, bench, finished.exit_code)
    return finished.exit_code


async def _run(
    bench: BenchDirectory, plan: Plan, engine: "Engine", pace: "Pace", screen: Screen, signals: Signals
) -> "Finished":
    from workroom.bench.runner import Runner

    graders, judge = open_graders(bench, plan.judge, tell=screen.view.progress)
    runner = Runner(bench, plan, engine, graders, pace=pace, on_change=lambda line: _tell(line, screen))
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(runner.run())
    asked = at_once = False

    def stop() -> None:
        nonlocal asked, at_once
        if asked:
            at_once = True
            work.cancel()
            return
        asked = True
        runner.request_stop()
        screen.view.notice("stopping after the steps under way; once more stops at once")

    signals.hand_over(lambda: loop.call_soon_threadsafe(stop))
    if screen.as_json:
        screen.on_gone = stop
    ticker = asyncio.create_task(_tick(runner, screen))
    try:
        return await work
    except Exception as error:
        if at_once:
            raise asyncio.CancelledError from error  # it counts more than what it breaks
        raise
    finally:
        signals.stop = lambda: None
        ticker.cancel()
        await graders.aclose()
        await engine.aclose()
        if judge is not None:
            await judge.aclose()


def _tell(line: Attempt | ScoreLine | None, screen: Screen) -> None:
    if line is None:
        return
    if screen.as_json:
        screen.line({"type": "attempt" if isinstance(line, Attempt) else "score", **asdict(line)})
    if isinstance(line, Attempt) and line.failed:
        task, error = cut(one_line(line.task), _ID), cut(one_line(line.error or line.stop_reason), _ERROR)
        where = f"{line.suite}/{task} ({line.mode}, repeat {line.repeat})"
        screen.view.notice(f"{where}, try {line.tries} failed: {error}")


async def _tick(runner: "Runner", screen: Screen) -> None:
    said = time.monotonic()
    while True:
        await asyncio.sleep(_TICK)
        text = describe(runner.progress)
        screen.view.status(text)
        if not screen.view.live and time.monotonic() - said >= _LINE:
            said = time.monotonic()
            screen.view.progress(text)


def describe(progress: "Progress") -> str:
    """How far it is, on one line."""
    done = progress.before + progress.done
    parts = [f"{done:,} of {progress.total:,}"]
    parts += [
        f"{name} {tally.mean:.1%} of {tally.scored:,}"
        for name, tally in progress.arms.items()
        if tally.mean is not None
    ]
    if progress.unscored:
        parts.append(f"{progress.unscored:,} unscored")
    if progress.failed:
        parts.append(f"{progress.failed:,} failures")
    parts.append(f"{progress.running:,} running")
    parts.append(f"{progress.tokens:,} tokens")
    if progress.cost:
        parts.append(f"${progress.cost:,.2f}")
    if (left := progress.seconds_left) is not None and progress.left:
        parts.append(f"{_time(left)} left")
    if progress.waiting:
        parts.append(progress.waiting)
    return " · ".join(parts)


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _report(bench: BenchDirectory, screen: Screen) -> None:
    from workroom.bench.report import write_report

    def told(done: int, total: int) -> None:
        screen.view.status(f"reading trajectories: {done:,} of {total:,}")

    write_report(bench, on_progress=told)
    screen.view.close()


def _summary(bench: BenchDirectory, screen: Screen) -> None:
    """The scores on standard output: what a bench is asked for."""
    if screen.as_json:
        return
    from workroom.bench.outcomes import coverage, scores_by_item
    from workroom.bench.statistics import mean_interval, paired_difference

    rows = [("suite", "mode", "items", "unscored", "score, %", "95 % interval")]
    for suite in bench.tasks:
        for mode in bench.config["bench"]["arms"]:
            scores, unscored = scores_by_item(bench, suite, mode), f"{coverage(bench, suite, mode).unscored:,}"
            if not scores:
                rows.append((suite, mode, "0", unscored, "-", "-"))
                continue
            found = mean_interval(scores)
            interval = f"{100 * found.low:.1f} to {100 * found.high:.1f}"
            rows.append((suite, mode, f"{found.items:,}", unscored, f"{100 * found.mean:.1f}", interval))
        sandbox, plain = (scores_by_item(bench, suite, mode) for mode in ("sandbox", "llm"))
        if sandbox.keys() & plain.keys():
            gain = paired_difference(sandbox, plain)
            interval = f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
            rows.append((suite, "sandbox − llm", f"{gain.items:,}", "", f"{100 * gain.mean:+.1f}", interval))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def _tell_end(finished: "Finished", bench: BenchDirectory, screen: Screen) -> None:
    screen.view.progress(f"report: {bench.path / 'report' / 'report.md'}")
    again = f"go on: workroom bench resume {bench.path}"
    if finished.stopped:
        screen.error(f"{finished.stopped}; {again}")
    elif finished.interrupted:
        screen.error(f"interrupted with {finished.missing:,} attempts left; {again}")
    elif finished.missing:
        screen.error(f"{finished.missing:,} attempts are missing; {again}")
    elif finished.unscored:
        without = any(line.reason == NO_JUDGE for line in bench.scores.values())
        judge = " --judge-model MODEL" if without else ""
        screen.error(
            f"{finished.unscored:,} attempts are unscored, see report.md; failures of the plant are tried again by: "
            f"workroom bench resume {bench.path}, what the grader failed on is graded again by: "
            f"workroom bench grade --unscored{judge} {bench.path}"
        )


def _last_line(screen: Screen, bench: BenchDirectory, code: int) -> None:
    if screen.as_json:
        scores = [line.score for line in bench.scores.values()]
        screen.line(
            {
                "type": "result",
                "exit_code": code,
                "path": str(bench.path),
                "attempts": len(bench.attempts),
                "unscored": scores.count(None),
            }
        )


def pace_of(model: str | None, concurrency: int | None, retries: int, free_memory: str) -> "Pace":
    """The pace of a session; without a number as many attempts as suit the model. Raises ConfigError."""
    from workroom.bench.runner import Pace
    from workroom.sandbox.base import parse_size

    return Pace(concurrency or default_concurrency(model), retries, parse_size(free_memory))
