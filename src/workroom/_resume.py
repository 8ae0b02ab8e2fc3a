"""Going on with a run: what is kept of it turn by turn, and what is read of it again."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom._task_record import recorded_task
from workroom.config import Resolved, recorded
from workroom.errors import ConfigError, SandboxGone, SandboxUnavailable, TransferError

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox
    from workroom.task import Task
    from workroom.trajectory.history import History
    from workroom.trajectory.rundir import RunDirectory

Tell = Callable[[str], None]
LIMITS = ("max_turns", "max_tokens", "max_cost", "max_time")
_UNFINISHED = ("interrupted", "model_error", "sandbox_error", *LIMITS)


class Saver:
    """Keeps the sandbox's files after each turn. What cannot be kept is told once, and ends no run."""

    def __init__(self, box: "Sandbox", folder: Path, notice: Tell) -> None:
        from workroom.sandbox.journal import Journal

        self._journal = Journal(box, folder)
        self._notice = notice
        self._told = False

    async def __call__(self, turn: int) -> None:
        try:
            await self._journal.save(turn)
            why = self._journal.notice
        except SandboxGone:
            return  # the episode will find out
        except (SandboxUnavailable, TransferError, OSError) as error:
            why = str(error)
        if why and not self._told:
            self._told = True
            self._notice(f"the files are not kept for --resume, which would run the commands again: {why}")


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that goes on. `history`: None where nothing was recorded; `saved`: the turn whose files are kept, or 0."""

    directory: "RunDirectory"
    resolved: Resolved
    task: "Task"
    history: "History | None"
    saved: int

    @classmethod
    def open(cls, path: Path, flags: Mapping[str, Any]) -> "Resumption":
        """Reads and locks the run in a directory. Raises ConfigError where it cannot go on, naming the reason."""
        from workroom.sandbox.journal import saved_mark
        from workroom.trajectory.history import whole_turns
        from workroom.trajectory.rundir import RunDirectory

        directory = RunDirectory.reopen(path)
        try:
            run = directory.run
            same = {"model"} if flags.get("model") == run.get("model") else set()
            resolved = recorded(run.get("config") or {}, {k: v for k, v in flags.items() if k not in same})
            _check_limits(run, resolved)
            history = whole_turns(directory.events)
            saved = saved_mark(directory.checkpoints_dir) or 0
            if history is None or saved > history.turn:
                saved = 0
            need_documents = not saved and not _is_over(directory)
            return cls(directory, resolved, recorded_task(run, need_documents=need_documents), history, saved)
        except BaseException:
            directory.close()
            raise

    @property
    def model(self) -> str:
        """The name of the model that the run was begun with."""
        return str(self.directory.run.get("model"))

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return _is_over(self.directory)

    def begin(self, resolved: Resolved, notice: Tell) -> "RunDirectory":
        """Writes down that the run goes on; gives its directory."""
        if self.directory.damaged:
            notice(f"{self.directory.damaged} damaged lines of events.jsonl are left out")
        if self.history is None and self.directory.events:
            notice("the log cannot be read from its beginning: the run begins anew; the log is in events.jsonl.damaged")
            self.directory.set_log_aside()
        if not self.saved:  # what is there is of turns that do not count any more
            shutil.rmtree(self.directory.checkpoints_dir, ignore_errors=True)
        run = self.directory.run
        run |= {"status": "running", "config": resolved.record(), "resumed": int(run.get("resumed", 0)) + 1}
        self.directory.save()
        return self.directory

    def check_image(self, name: str) -> None:
        """Raises ConfigError where the image is not that of the run."""
        was = (self.directory.run.get("sandbox") or {}).get("image", name)
        if was != name:
            raise ConfigError(f"the run was begun with the image {was} and cannot go on with {name}")


def _is_over(directory: "RunDirectory") -> bool:
    run = directory.run
    done = run.get("status") == "finished" and run.get("stop_reason") not in _UNFINISHED
    return done and directory.finished is not None


def _check_limits(run: Mapping[str, Any], resolved: Resolved) -> None:
    """A run that a limit has ended needs more of it."""
    reason = run.get("stop_reason")
    if reason == "model_error" and _time_is_up(run):
        reason = "max_time"
    elif run.get("status") != "finished":
        return
    if reason in LIMITS:
        old = (run["config"].get(reason) or {}).get("value")
        new = getattr(resolved.config, reason)
        if old is not None and new is not None and new <= old:
            flag = "--" + reason.replace("_", "-")
            raise ConfigError(f"the run ended at its limit {flag} {old:g}: give a larger one to go on")


def _time_is_up(run: Mapping[str, Any]) -> bool:
    """Whether the provider went on failing until no time was left: without more of it no other call could be made."""
    limit = (run["config"].get("max_time") or {}).get("value")
    return limit is not None and (run.get("timings") or {}).get("total", 0.0) >= limit
