"""`workroom run`: reads the task, shows the episode, and turns its end into an exit code."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workroom.cli.crash import report_crash
from workroom.cli.screen import Screen
from workroom.cli.signals import Signals
from workroom.errors import ConfigError, WorkroomError

_TICK = 0.2  # seconds between two looks of the status line
_LIMIT_REACHED = 3
EXIT_CODES = {"submitted": 0, "model_error": 4, "sandbox_error": 5, "interrupted": 130}  # every other reason is a limit


def run_verb(
    task: str | None,
    inputs: Sequence[Path],
    out: Path | None,
    flags: Mapping[str, Any],
    config_file: Path | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Runs one task and gives the exit code."""
    from workroom._run import Run
    from workroom.config import resolve
    from workroom.inputs import collect_documents
    from workroom.task import Task

    if task is None:
        raise ConfigError("missing argument 'TASK': text in quotes, @FILE, or - for standard input (see --help)")
    prompt = read_task(task)
    resolved = resolve(flags, config_file)
    screen = Screen(as_json=as_json, quiet=quiet, max_turns=resolved.config.max_turns)
    documents = collect_documents(inputs, screen.view.notice)
    return _perform(Run(Task(prompt, documents=documents), resolved, out=out, **_watched(screen)), screen)


def resume_verb(path: Path, flags: Mapping[str, Any], others: Sequence[str], *, as_json: bool, quiet: bool) -> int:
    """Goes on with a run and gives the exit code; `others` are arguments that say what the run itself knows."""
    from workroom._resume import Resumption
    from workroom._run import Run

    if others:
        raise ConfigError(f"--resume goes on with a run as it was begun: leave out {', '.join(others)}")
    resumption = Resumption.open(path, flags)
    screen = Screen(as_json=as_json, quiet=quiet, max_turns=resumption.resolved.config.max_turns)
    run = Run(resumption.task, resumption.resolved, resumption=resumption, **_watched(screen))
    if resumption.is_over:
        screen.view.notice("this run is over: there is nothing left to do")
        return _report(run.recorded(), run, screen)
    if resumption.history is not None:
        screen.view.take_up(resumption.history.used)
    return _perform(run, screen)


def _watched(screen: Screen) -> dict[str, Any]:
    return {"on_event": screen.event, "on_progress": screen.view.progress, "on_notice": screen.view.notice}


def _perform(run: Any, screen: Screen) -> int:
    signals = Signals()
    if screen.as_json:
        screen.on_gone = run.request_stop  # events that nobody reads are not worth their tokens
    signals.take()
    with screen.warnings():
        try:
            run.prepare()
            signals.hold()
            return asyncio.run(_watch(run, screen, signals))
        except (KeyboardInterrupt, asyncio.CancelledError):
            signals.stop = lambda: None
            run.interrupted()
            where = f"; what was finished is in {run.path}" if run.path else ""
            _last_line(screen, run, 130, "interrupted")
            screen.error(f"interrupted{where}")
            return 130
        except WorkroomError as error:
            _last_line(screen, run, error.exit_code, str(error))
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: the traceback goes where the run is
            _last_line(screen, run, 1, f"internal error: {type(error).__name__}")
            return report_crash(error, run.path)
        finally:
            signals.ignore()
            screen.view.close()


def read_task(given: str) -> str:
    """The task's text: itself, standard input for `-`, a file's text for `@FILE`. Raises ConfigError where empty."""
    if given == "-":
        text, source = _decode(sys.stdin.buffer.read(), "standard input"), "standard input"
    elif given.startswith("@"):
        source = given[1:]
        try:
            text = _decode(Path(source).read_bytes(), source)
        except OSError as error:
            raise ConfigError(f"the task file {source!r} cannot be read: {error.strerror}") from error
    else:
        text, source = given, "the task"
    if not text.strip():
        raise ConfigError(f"{source} is empty: say what is to be done")
    return text


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8 text (byte {error.start})") from error


async def _watch(run: Any, screen: Screen, signals: Signals) -> int:
    """The episode with its signals and its status line."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(run.episode())

    def stop() -> None:
        if task.done():
            return
        if run.request_stop():
            screen.view.notice("stopping after this step and saving; once more stops at once")
        else:
            task.cancel()

    signals.hand_over(lambda: loop.call_soon_threadsafe(stop))
    ticker = asyncio.create_task(_tick(screen))
    try:
        result = await task
    finally:
        signals.stop = lambda: None  # what is left to do takes a moment
        ticker.cancel()
    return _report(result, run, screen)


async def _tick(screen: Screen) -> None:
    while True:
        await asyncio.sleep(_TICK)
        screen.view.tick()


def _report(result: Any, run: Any, screen: Screen) -> int:
    """What is left to say when the episode is over."""
    screen.view.close()
    code = EXIT_CODES.get(result.stop_reason, _LIMIT_REACHED)
    if result.error:
        screen.error(result.error)
    if code == 130:
        screen.error(f"interrupted; what was finished is in {result.path}")
    for file in result.files:
        screen.view.progress(f"file: {file}")
    screen.view.progress(f"saved: {result.path}")
    if screen.as_json:
        _last_line(screen, run, code, result.error, result)
    elif result.answer is not None:
        screen.answer(result.answer)
    return code


def _last_line(screen: Screen, run: Any, code: int, error: str | None, result: Any = None) -> None:
    """With `--json`, the line that closes the output, whatever happened."""
    if not screen.as_json:
        return
    known = run.record  # of a run that ended early: what was written down of it
    record: dict[str, Any] = {
        "type": "result",
        "exit_code": code,
        "stop_reason": known.get("stop_reason"),
        "error": error,
        "path": str(run.path) if run.path else None,
        "answer": None,
        "files": [],
        "turns": known.get("turns"),
        "usage": known.get("usage"),
        "cost": known.get("cost"),
        "duration": known.get("timings", {}).get("total"),
    }
    if result is not None:
        record |= {
            "stop_reason": result.stop_reason,
            "answer": result.answer,
            "files": [str(file) for file in result.files],
            "turns": result.turns,
            "usage": result.usage.model_dump(),
            "cost": result.cost,
            "duration": result.duration,
        }
    screen.line(record)
