"""One attempt: a run in its own directory, and the line of the index that comes of it."""

import asyncio
import contextlib
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom._run import Run
from workroom.bench.store import Attempt, Key
from workroom.config import Resolved
from workroom.errors import WorkroomError
from workroom.redaction import Redactor
from workroom.task import Task
from workroom.trajectory.reader import read_json
from workroom.trajectory.rundir import RunDirectory

if TYPE_CHECKING:
    from workroom.models.base import Model

_REASONS = {4: "model_error", 5: "sandbox_error"}


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done: the task as the model gets it, the settings, and where the run goes."""

    key: Key
    task: Task
    resolved: Resolved
    directory: Path
    tries: int = 1


class Attempts:
    """Runs attempts in this process, with one model for all and at most so many sandboxes at a time."""

    def __init__(self, model: "Model", sandboxes: int | None = None) -> None:
        self._model = model
        self._sandboxes = None if sandboxes is None else asyncio.Semaphore(sandboxes)
        self._running: set[Run] = set()
        self._stopped = False

    async def perform(self, job: Job) -> Attempt | None:
        """Runs it; None where it was interrupted. What fails is in the attempt and not raised, but for a full disk."""
        if self._sandboxes is None or job.resolved.config.mode == "llm":
            return await self._perform(job)
        async with self._sandboxes:
            return None if self._stopped else await self._perform(job)

    async def _perform(self, job: Job) -> Attempt | None:
        began = time.time()
        error: str | None = None
        reason = "sandbox_error"
        run = Run(job.task, job.resolved, model=self._model, out=job.directory)
        self._running.add(run)
        try:
            await asyncio.to_thread(_begin, run, job.directory)
            await run.episode()
        except WorkroomError as failure:
            if failure.exit_code == WorkroomError.exit_code:  # nothing can be written any more
                raise
            error, reason = str(failure), _REASONS.get(failure.exit_code, reason)
        except Exception as failure:  # noqa: BLE001 - a mistake of ours in one episode must not end the others
            error = f"internal error: {type(failure).__name__}: {failure}"
            _keep_traceback(job.directory, failure)
        finally:
            self._running.discard(run)
        record = run.record  # as `run.json` has it, without waiting for the disk
        if record.get("stop_reason") == "interrupted":
            return None
        if error is not None:
            record |= {"stop_reason": reason, "error": error}
        return attempt_of(job.key, record, job.directory, {"started": began, "finished": time.time()}, job.tries)

    async def aclose(self) -> None:
        """Closes the model."""
        await self._model.aclose()

    def stop(self) -> None:
        """Asks every run to end after its current step, and begins none that waits for a sandbox."""
        self._stopped = True
        for run in list(self._running):
            run.request_stop()


def _keep_traceback(directory: Path, failure: Exception) -> None:
    details = Redactor().text("".join(traceback.format_exception(failure)))
    with contextlib.suppress(OSError):  # the sentence in the index must do then
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "traceback.txt").write_text(details, encoding="utf-8", errors="backslashreplace")


def _begin(run: Run, directory: Path) -> None:
    """What waits for the disk before an episode: not in the event loop, which all the others wait for."""
    shutil.rmtree(directory, ignore_errors=True)
    run.prepare()


def attempt_of(
    key: Key, run: Mapping[str, Any], directory: Path, times: Mapping[str, float], tries: int = 1
) -> Attempt:
    """The line of the index for a run, from its `run.json`. `times`: where that has none."""
    timings = run.get("timings") or {}
    return Attempt(
        **key._asdict(),
        stop_reason=run.get("stop_reason") or "sandbox_error",
        answered=(directory / "answer.txt").is_file(),
        error=run.get("error"),
        turns=run.get("turns") or 0,
        usage=run.get("usage") or {},
        cost=run.get("cost"),
        seconds=timings.get("total", 0.0),
        model_seconds=timings.get("model", 0.0),
        tool_seconds=timings.get("tools", 0.0),
        started=run.get("started") or times["started"],
        finished=run.get("finished") or times["finished"],
        tries=tries,
    )


def finished_before(key: Key, directory: Path, tries: int) -> Attempt | None:
    """The attempt whose run came to its end just before a crash, so that the index has it not yet."""
    run = read_json(directory / "run.json")
    if run.get("status") != "finished":
        return None
    return attempt_of(key, run, directory, {"started": 0.0, "finished": 0.0}, tries)


def read_answer(directory: Path) -> str | None:
    """What was answered, None where nothing was.

    A power failure may leave the file missing or empty, since only the events and `run.json` are written through to
    the disk: the events have the last word, so that this never passes for a wrong answer.
    """
    try:
        answer = (directory / "answer.txt").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        answer = ""
    if answer.strip() or not (directory / "events.jsonl").is_file():
        return answer or None
    end = RunDirectory.load(directory).finished
    return end.answer if end is not None else None
