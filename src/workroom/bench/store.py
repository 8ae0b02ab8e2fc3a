"""The directory of a bench, the only state there is.

config.toml      what was asked for; it does not change any more
tasks.jsonl      the tasks with their reference answers, in the schema of a data file, and their suites
documents/       their documents, named by SHA-256
index.jsonl      a line per finished attempt, appended
scores.jsonl     a line per score, appended while running; the last line of an attempt counts
attempts/        <suite>/<task>/<mode>/<repeat>/: the run directories
judge/           what judges were asked and said
report/          made by `workroom bench report`
"""

import errno
import fcntl
import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from workroom.bench.kept_tasks import read_tasks, task_line
from workroom.bench.lines import cut_torn_line, known_fields, sound_lines
from workroom.bench.score import Score
from workroom.errors import ConfigError
from workroom.redaction import Redactor
from workroom.task import Task
from workroom.trajectory.files import cannot_write, replace_file, to_json

PLANT_FAILURES = ("model_error", "sandbox_error")
MAKING: Final = "config.toml.part"  # says that what is there is a bench of which the making is not finished
_MODE = re.compile(r"[A-Za-z0-9_+-]{1,200}")  # it is the name of a folder
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class Key(NamedTuple):
    """Which attempt. `mode` is the text of an arm; repeats count from 1."""

    suite: str
    task: str
    mode: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt: a line of `index.jsonl`.

    `usage` is a `TokenUsage` as a dictionary. `cost` in US dollars, None where unknown. `seconds` on the wall, of which
    `model_seconds` in calls of the model, without what they waited for, and `tool_seconds` in tools. `started`,
    `finished`: seconds since the epoch. `tries`: how often it was begun, more than once after failures of the plant.
    `host`: the node of a cluster.
    """

    suite: str
    task: str
    mode: str
    repeat: int
    stop_reason: str
    answered: bool
    error: str | None = None
    turns: int = 0
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    seconds: float = 0.0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    tries: int = 1
    host: str = ""

    @property
    def key(self) -> Key:
        return Key(self.suite, self.task, self.mode, self.repeat)

    @property
    def failed(self) -> bool:
        """The plant failed, so that this says nothing about the model."""
        return self.stop_reason in PLANT_FAILURES


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """A line of `scores.jsonl`. `score` is 0 to 1, None where it is unscored for `reason`."""

    task: str
    suite: str
    mode: str
    repeat: int
    score: float | None
    reason: str
    extracted: str | None
    grader: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(self.suite, self.task, self.mode, self.repeat)

    @classmethod
    def of(cls, key: Key, score: Score, grader: str) -> Self:
        return cls(
            key.task, key.suite, key.mode, key.repeat, score.value, score.reason, score.extracted, grader, score.details
        )


class BenchDirectory:
    """One bench on disk. `create` and `open` lock it for writing, `load` only reads."""

    def __init__(self, path: Path, config: Mapping[str, Any], lock: int = -1) -> None:
        self.path = path
        self.config = config
        self.tasks: dict[str, list[Task]] = {}  # by suite
        self.attempts: dict[Key, Attempt] = {}
        self.scores: dict[Key, ScoreLine] = {}
        self._lock = lock
        self._redactor = Redactor()  # an error may quote a key, and so may a judge
        self._logs: dict[str, int] = {}  # descriptors of what is appended to, by name

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], tasks: Mapping[str, Iterable[Task]]) -> Self:
        """Makes the directory and writes what is to be done into it.

        What a crash left of an earlier making is replaced. Raises ConfigError where something else is in it.
        """
        import tomli_w

        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()) and not (path / MAKING).exists():
                raise ConfigError(f"{path} is not empty and holds no bench; choose another directory with -o DIR")
            made = cls(path, config, _locked(path))
            (path / MAKING).touch()
            (path / "documents").mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make {path}: {error.strerror}; choose another with -o DIR") from error
        lines = (task_line(suite, task, path / "documents") for suite, some in tasks.items() for task in some)
        replace_file(path / "tasks.jsonl", "".join(f"{to_json(line)}\n" for line in lines).encode(), durable=True)
        # Last: with it the directory is a bench.
        replace_file(path / "config.toml", tomli_w.dumps(dict(config)).encode(), durable=True)
        (path / MAKING).unlink()
        made.tasks = read_tasks(path)
        return made

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a bench to go on with it.

        Raises ConfigError where there is none, it is in use, nothing can be written, or tasks are missing.
        """
        config = _read_config(path)
        if not os.access(path, os.W_OK):
            raise ConfigError(f"{path} cannot be written to: get the right to, or copy it to another place")
        opened = cls(path, config, _locked(path))
        try:
            for name in ("index.jsonl", "scores.jsonl"):
                cut_torn_line(path / name)
            opened._read()
            opened._check_documents()
        except BaseException:
            opened.close()
            raise
        return opened

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a bench, also one that runs or was killed. Raises ConfigError where there is none."""
        loaded = cls(path, _read_config(path))
        loaded._read()
        return loaded

    def attempt_dir(self, key: Key) -> Path:
        """Where an attempt's run is."""
        return self.path / "attempts" / plain(key.suite) / plain(key.task) / key.mode / str(key.repeat)

    def record(self, attempt: Attempt) -> None:
        """Appends a finished attempt."""
        self._append("index.jsonl", attempt)
        self.attempts[attempt.key] = attempt

    def record_score(self, line: ScoreLine) -> None:
        """Appends a score."""
        self._append("scores.jsonl", line)
        self.scores[line.key] = line

    def replace_scores(self, lines: Iterable[ScoreLine]) -> None:
        """Writes all scores anew, whole or not at all."""
        self.scores = {line.key: line for line in lines}
        text = "".join(f"{self._json(line)}\n" for line in self.scores.values())
        self._close_log("scores.jsonl")
        replace_file(self.path / "scores.jsonl", text.encode(), durable=True)

    def close(self) -> None:
        """Drops the lock. Safe to call twice."""
        for name in list(self._logs):
            self._close_log(name)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        self.tasks = read_tasks(self.path)
        for attempt in sound_lines(self.path / "index.jsonl", lambda line: Attempt(**_fields(Attempt, line))):
            self.attempts[attempt.key] = attempt
        for score in sound_lines(self.path / "scores.jsonl", lambda line: ScoreLine(**_fields(ScoreLine, line))):
            self.scores[score.key] = score

    def _check_documents(self) -> None:
        for task in (task for some in self.tasks.values() for task in some):
            for name, content in task.documents.items():
                if isinstance(content, Path) and not content.is_file():
                    raise ConfigError(
                        f"the document {name} of the task {task.id} is missing in {self.path}: put it back as {content}"
                    )

    def _json(self, line: Attempt | ScoreLine) -> str:
        return to_json(self._redactor.value(asdict(line)))

    def _append(self, name: str, line: Attempt | ScoreLine) -> None:
        path = self.path / name
        data = self._json(line).encode() + b"\n"
        try:
            fd = self._logs.get(name, -1)
            if fd < 0:  # kept open: opening it takes longer than all the rest
                fd = self._logs[name] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            written = os.write(fd, data)
            whole = written == len(data)
            if not whole:
                os.ftruncate(fd, os.fstat(fd).st_size - written)
        except OSError as error:
            raise cannot_write(path, error) from error
        if not whole:
            raise cannot_write(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _close_log(self, name: str) -> None:
        if name in self._logs:
            os.close(self._logs.pop(name))


def _fields(kind: type[Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line. Raises TypeError or ValueError for one that no bench has written."""
    found = known_fields(kind, line)
    if not _MODE.fullmatch(found.get("mode", "")):
        raise ValueError(f"mode is {found.get('mode')!r}")
    return found


def plain(name: str) -> str:
    """A name as a folder's name: itself where that is safe, else what is safe of it with a digest."""
    if _PLAIN.fullmatch(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60].strip("-") or "task"
    return f"{kept}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise ConfigError(f"{path} is in use by another bench; wait for it, or choose another") from None
    except OSError as error:  # some network file systems
        os.close(fd)
        raise ConfigError(
            f"{path} cannot be locked against other benches ({error.strerror}): choose one on another disk with -o DIR"
        ) from error
    return fd


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"there is no bench in {path}: it has no config.toml") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path / 'config.toml'} cannot be read: {error}") from error
