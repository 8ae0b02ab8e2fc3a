"""`workroom replay`: shows where a run's commands give something else than they did."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.cli.screen import Screen
from workroom.cli.text import harmless, one_line

if TYPE_CHECKING:
    from workroom.config import RunConfig
    from workroom.replay import Outcome, Result
    from workroom.trajectory.events import Call
    from workroom.trajectory.rundir import RunDirectory

DIFFERENT = 3
_WORDS = {"different": "differs", "not_reached": "was not reached", "same": "is the same"}


def replay_verb(
    directory: Path,
    inputs: Sequence[Path],
    flags: Mapping[str, Any],
    *,
    exact: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Replays the run; exit code 0 where all is the same, else 3."""
    from workroom.replay import configuration
    from workroom.replay.documents import find_documents
    from workroom.sandbox.image import ensure_image
    from workroom.trajectory.rundir import RunDirectory

    screen = Screen(as_json=as_json, quiet=quiet)
    run = RunDirectory.load(directory)
    config = configuration(run, flags)
    documents = find_documents(run, inputs, screen.view.notice)
    ensure_image(config.image, progress=screen.view.progress)
    report = _Report(screen)
    result = asyncio.run(_watch(run, config, documents, report, exact=exact))
    return report.finish(result)


async def _watch(
    run: "RunDirectory", config: "RunConfig", documents: Mapping[str, Any], report: "_Report", *, exact: bool
) -> "Result":
    from workroom.replay import replay

    task = asyncio.current_task()
    assert task is not None
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        return await replay(
            run,
            config,
            documents,
            exact=exact,
            on_start=report.start,
            on_outcome=report.outcome,
            on_notice=report.notice,
        )
    except asyncio.CancelledError:
        if not interrupted:
            raise
        report.interrupted()
        raise KeyboardInterrupt from None


class _Report:
    """Differences on standard output as they are found, progress on standard error."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._done = 0

    def notice(self, text: str) -> None:
        self._screen.view.notice(text)

    def start(self, number: int, of: int, call: "Call") -> None:
        self._screen.view.progress(f"call {number} of {of}: {call.name} {call.arguments}")

    def outcome(self, outcome: "Outcome") -> None:
        self._done += 1
        if self._screen.as_json:
            self._screen.line({"type": "call", **asdict(outcome), "call": outcome.call.model_dump()})
        elif outcome.status != "same":
            call = one_line(f"{outcome.call.name} {outcome.call.arguments}")
            self._write(f"turn {outcome.turn}: {call} {_WORDS[outcome.status]}", outcome.diff)

    def interrupted(self) -> None:
        self._screen.error(f"interrupted after {self._done} calls")

    def finish(self, result: "Result") -> int:
        """The summary; gives the exit code."""
        code = 0 if result.same else DIFFERENT
        counts = {
            status: sum(outcome.status == status for outcome in result.outcomes)
            for status in ("same", "different", "not_reached")
        }
        if self._screen.as_json:
            end = {"type": "result", "exit_code": code, "calls": len(result.outcomes), **counts}
            self._screen.line(end | {"skipped": result.skipped, "answer": result.answer, "diff": result.answer_diff})
            return code
        if result.answer == "different":
            self._write("the answer differs", result.answer_diff)
        words = [f"{counts['same']} of {len(result.outcomes)} calls gave the same"]
        words += [f"{counts['different']} differ"] if counts["different"] else []
        words += [f"{counts['not_reached']} were not reached"] if counts["not_reached"] else []
        words += [f"{result.skipped} had not been carried out in the run"] if result.skipped else []
        words += [f"the answer {_WORDS[result.answer]}"] if result.answer else []
        self._write("; ".join(words), "")
        return code

    @staticmethod
    def _write(head: str, diff: str) -> None:
        shown = "".join(f"  {line}\n" for line in harmless(diff).split("\n")) if diff else ""
        sys.stdout.write(f"{head}\n{shown}")
        sys.stdout.flush()
