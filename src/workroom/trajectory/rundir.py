"""The directory that a run leaves: `run.json`, `events.jsonl`, `trajectory.json`, `answer.txt` and `files/`.

`events.jsonl` is the source of truth: each event is one write to a file opened for appending, so that a killed process
loses at most the turn in flight. All else is derived, and replaced whole or not at all. A lock on `events.jsonl` is
held while the run is written; the kernel drops it with the process, however that ends.
"""

import errno
import fcntl
import os
import platform
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import workroom
from workroom.errors import ConfigError
from workroom.redaction import Redactor
from workroom.trajectory.files import MANIFEST, cannot_write, replace_file, to_json
from workroom.trajectory.reader import kept, open_regular, parse_events, read_json, whole_lines

if TYPE_CHECKING:
    from workroom.sandbox.base import FileEntry
    from workroom.trajectory.events import EpisodeFinished, EpisodeStarted, Event

Status = Literal["running", "finished", "interrupted", "failed"]
FORMAT = 1
_DERIVED = ("run.json", "trajectory.json", "answer.txt")


@dataclass
class RunDirectory:
    """One run on disk. Made by `create` (to be written) or `load` (to be read).

    `run` is what `run.json` holds. `damaged` counts the lines of `events.jsonl` that could not be read. `durable`: once
    it is finished it outlasts a power failure, for which the disk is waited for.
    """

    path: Path
    run: dict[str, Any]
    events: "list[Event]" = field(default_factory=list)
    damaged: int = 0
    redactor: Redactor = field(default_factory=Redactor)
    durable: bool = True
    _fd: int = -1
    _recorded_at: float = field(default_factory=time.monotonic)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        config: Mapping[str, Any],
        *,
        facts: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> Self:
        """Makes the directory and locks it. `config` is the resolved configuration, without keys; `facts` are more to
        be in `run.json` from the start.

        Raises ConfigError where the directory is in use by another run, holds a run already (unless `replace`, which
        removes that one), or holds something else.
        """
        directory = Path(path)
        log = directory / "events.jsonl"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()) and not log.is_file():
                raise ConfigError(f"{directory} is not empty and holds no run; choose another output directory")
        except OSError as error:
            raise ConfigError(f"cannot make a run in {directory}: {error.strerror}; choose another") from error
        with _locked(log, os.O_CREAT) as fd:
            _make_empty(directory, fd, replace)
            run = {
                "format": FORMAT,
                "status": "running",
                "config": dict(config),
                "versions": {"workroom": workroom.__version__, "python": platform.python_version()},
                "started": time.time(),
                **(facts or {}),
            }
            made = cls(directory, run, _fd=fd)
            made.save()
        return made

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> Self:
        """Opens the run that is there to go on with it, and locks it. What a crash left of a last line is cut off.

        Raises ConfigError where there is no run, or where it is in use.
        """
        directory = Path(path)
        log = directory / "events.jsonl"
        with _locked(log) as fd:
            data = log.read_bytes()
            size = whole_lines(data)
            events, damaged = parse_events(data[:size])
            if size < len(data):
                os.ftruncate(fd, size)
            run = read_json(directory / "run.json")
            if not run:
                raise ConfigError(f"the run in {directory} cannot go on: its run.json is missing or damaged")
            for name in ("files", "images", "checkpoints"):
                if (directory / name).is_symlink():
                    raise ConfigError(f"{directory / name} is a link: what is written there would go elsewhere")
            for leftover in directory.glob("*.tmp.*"):
                with suppress(OSError):
                    leftover.unlink(missing_ok=True)
            return cls(directory, run, events, damaged + (size < len(data)), _fd=fd)

    def set_log_aside(self) -> None:
        """Begins the log anew; the old one becomes `events.jsonl.damaged`."""
        log = self.path / "events.jsonl"
        replace_file(log.with_name(f"{log.name}.damaged"), log.read_bytes())
        os.ftruncate(self._fd, 0)
        self.events.clear()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what is there, also of a run that was killed. Raises ConfigError where there is no run."""
        directory = Path(path)
        try:
            with open_regular(directory / "events.jsonl") as file:
                events, damaged = parse_events(file.read())
        except OSError as error:
            raise ConfigError(f"there is no run in {directory}: {error.strerror} (events.jsonl)") from error
        return cls(directory, read_json(directory / "run.json"), events, damaged)

    @property
    def files_dir(self) -> Path:
        """Where the artefacts go."""
        return self.path / "files"

    def remove_files(self) -> None:
        """Removes the artefacts that are there, and the manifest among them."""
        shutil.rmtree(self.files_dir, ignore_errors=True)
        self.run.pop("manifest", None)

    @property
    def checkpoints_dir(self) -> Path:
        """Where the sandbox's files are kept while the run may have to go on."""
        return self.path / "checkpoints"

    @property
    def started(self) -> "EpisodeStarted | None":
        """The first event, None where the run ended before it."""
        return next((event for event in self.events if event.type == "episode_started"), None)

    @property
    def finished(self) -> "EpisodeFinished | None":
        """The last event, None where the run did not come to an end."""
        return next((event for event in reversed(kept(self.events)) if event.type == "episode_finished"), None)

    def stamp(self, event: "Event") -> "Event":
        """Numbers an event that is not the episode's own, as the next one, at this time."""
        last = self.events[-1]
        event.seq, event.time = max(earlier.seq for earlier in self.events) + 1, time.time()
        event.elapsed = last.elapsed + time.monotonic() - self._recorded_at
        return event

    @property
    def agent(self) -> dict[str, Any] | None:
        """Name and version of the agent system of an imported run, None for this package's own."""
        origin = self.run.get("imported_from")
        agent = origin.get("agent") if isinstance(origin, dict) else None
        return agent if isinstance(agent, dict) else None

    def record(self, event: "Event") -> None:
        """Appends the event; live-only ones are left out. Raises WorkroomError where it cannot be written."""
        if event.live_only:
            return
        self._append(to_json(event.model_dump(mode="python")).encode() + b"\n")
        self.events.append(event)
        self._recorded_at = time.monotonic()
        if event.type in ("episode_started", "episode_resumed") and event.sandbox is not None:
            self.run["sandbox"] = event.sandbox
            self.save()

    def finish(self, files: "Iterable[FileEntry]" = (), *, status: Status | None = None) -> "list[FileEntry]":
        """Writes all that is derived, and `run.json` last; then drops the lock.

        `files` are what was brought into `files_dir`; the result is these once no key is in them. Without an
        `EpisodeFinished` event the run counts as interrupted.
        """
        end = self.finished
        cleaned, redacted = self.redactor.files(self.files_dir, files)
        if redacted:
            self.run["redacted"] = redacted
        entries = [asdict(entry) for entry in cleaned]
        if end is not None:
            if end.answer is not None:
                replace_file(self.path / "answer.txt", end.answer.encode("utf-8", "replace"))
            else:
                (self.path / "answer.txt").unlink(missing_ok=True)  # of an earlier part of the run
            self.run |= end.model_dump(
                mode="python", include={"stop_reason", "error", "turns", "usage", "cost"}, exclude_none=False
            )
            self.run["timings"] = {
                "total": end.duration,
                "model": end.model_seconds,
                "tools": end.tool_seconds,
            }
        if entries:
            manifest = self._manifest({entry.path for entry in cleaned})
            replace_file(manifest, to_json({"files": entries}, indent=2).encode() + b"\n")
        self.write_trajectory()
        self.run |= {"files": len(entries), "finished": time.time()}
        self.run["status"] = status or _status(end)
        if self.durable:
            self._sync()
        self.save(durable=self.durable)
        self.close()
        return cleaned

    def write_trajectory(self) -> Path:
        """Derives `trajectory.json` (ATIF) from the events, and the pictures that it names."""
        from workroom.trajectory.atif import to_atif
        from workroom.trajectory.pictures import write_pictures

        write_pictures(self.path, self.events)
        target = self.path / "trajectory.json"
        replace_file(target, to_json(to_atif(self.events, self.agent)).encode() + b"\n")
        return target

    def redacted_run(self) -> dict[str, Any]:
        """`run` as it is written: without keys."""
        redacted: dict[str, Any] = self.redactor.value(self.run)
        return redacted

    def save(self, *, durable: bool = False) -> None:
        """Replaces `run.json`."""
        replace_file(self.path / "run.json", to_json(self.redacted_run(), indent=2).encode() + b"\n", durable=durable)

    def close(self) -> None:
        """Drops the lock. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        """One line, whole or not at all."""
        size = os.fstat(self._fd).st_size
        failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            if os.write(self._fd, line) == len(line):
                return
        except OSError as error:
            failure = error
        os.ftruncate(self._fd, size)
        raise cannot_write(self.path / "events.jsonl", failure)

    def _sync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise cannot_write(self.path / "events.jsonl", error) from error

    def _manifest(self, taken: set[str]) -> Path:
        """Where it goes. The model may have left files of such names itself; they stay, and `run.json` says which one
        is ours."""
        names = chain((MANIFEST, "manifest.workroom.json"), (f"manifest.workroom-{number}.json" for number in count(2)))
        self.run["manifest"] = next(name for name in names if name not in taken)
        self.files_dir.mkdir(exist_ok=True)
        return self.files_dir / str(self.run["manifest"])


@contextmanager
def _locked(log: Path, flags: int = 0) -> Iterator[int]:
    """The log's descriptor, locked for this process; closed where the block fails. Raises ConfigError."""
    try:
        fd = os.open(log, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
    except OSError as error:
        what = "cannot make a run" if flags else "there is no run"
        raise ConfigError(f"{what} in {log.parent}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ConfigError(f"{log} is no regular file")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield fd
    except BlockingIOError:
        os.close(fd)
        raise ConfigError(f"{log.parent} is in use by another run; wait for it, or choose another") from None
    except BaseException:
        os.close(fd)
        raise


def _make_empty(directory: Path, fd: int, replace: bool) -> None:
    """Removes the run that is there, if it may be."""
    if not os.fstat(fd).st_size and not (directory / "run.json").exists():
        return
    if not replace:
        raise ConfigError(f"{directory} holds a run already; choose another output directory")
    os.ftruncate(fd, 0)
    for name in _DERIVED:
        (directory / name).unlink(missing_ok=True)
    for name in ("files", "images", "checkpoints"):
        shutil.rmtree(directory / name, ignore_errors=True)


def _status(end: "EpisodeFinished | None") -> Status:
    if end is None or end.stop_reason == "interrupted":
        return "interrupted"
    return "failed" if end.stop_reason in ("model_error", "sandbox_error") else "finished"
