"""The rows of a bench: what there is of each attempt, without opening its conversation."""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine
from workroom.errors import ConfigError
from workroom.trajectory.reader import whole_text
from workroom.view.figures import count, figures

QUESTION = 240  # characters of a question that are in the index
REASON = 160  # and of a grader's reason


@dataclass(slots=True)
class Row:
    """An attempt as the table shows it. `place`: of its question in the index. Tokens, seconds, US dollars; None where
    they are not known."""

    place: int
    mode: str
    repeat: int
    score: float | None
    reason: str
    stop: str
    turns: int | None
    tokens_in: int | None
    tokens_out: int | None
    seconds: float | None
    cost: float | None

    def record(self) -> list[Any]:
        return [
            self.place,
            self.mode,
            self.repeat,
            self.score,
            self.reason,
            self.stop,
            self.turns,
            self.tokens_in,
            self.tokens_out,
            None if self.seconds is None else round(self.seconds, 3),
            self.cost,
        ]


class Source(Protocol):
    """Where the rows come from. Their numbers, and those of the questions, stay the same while it goes on."""

    directory: Path
    alive: bool
    questions: list[tuple[str, str, str]]  # suite, task, beginning of the question
    rows: list[Row]

    @property
    def facts(self) -> list[tuple[str, str]]: ...
    @property
    def title(self) -> str: ...
    def advance(self) -> bool:
        """Reads what is new, and says whether anything is."""
        ...

    def run_dir(self, number: int) -> Path: ...
    def details(self, number: int) -> dict[str, Any]:
        """What there is of an attempt beside its row and its conversation."""
        ...


class BenchRows:
    """A bench: its finished attempts in the order in which they finished, then those that are under way."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.alive = False
        self.questions: list[tuple[str, str, str]] = []
        self.rows: list[Row] = []
        self._numbers: dict[Key, int] = {}
        self._seen: list[Any] | None = None
        self._bench = BenchDirectory.load(directory)
        self._modes = _modes(self._bench)
        self._places: dict[tuple[str, str], int] = {}
        for suite, tasks in self._bench.tasks.items():
            for task in tasks:
                self._places[suite, task.id] = len(self.questions)
                self.questions.append((suite, task.id, shortened(task.prompt, QUESTION)))
        self.advance()

    @property
    def title(self) -> str:
        return f"{', '.join(part(self._bench.config, 'suites')) or 'Bench'}: {self._model()}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        config = self._bench.config
        run = part(config, "run")
        suites = [
            f"{name} ({len(self._bench.tasks.get(name, ()))} tasks, {part(entry, '').get('repeats', '?')} repeats)"
            for name, entry in part(config, "suites").items()
        ]
        facts = [
            ("Suites", ", ".join(suites)),
            ("Model", self._model()),
            ("Modes", ", ".join(self._modes)),
            *((name.replace("_", " ").capitalize(), _told(value)) for name, value in run.items() if name != "model"),
            ("workroom version", str(config.get("workroom", ""))),
        ]
        return [(name, value) for name, value in facts if value]

    def advance(self) -> bool:
        """Reads the bench again where its files have changed."""
        alive = is_held(self.directory)
        seen = [alive, *(mark(self.directory / name) for name in ("index.jsonl", "scores.jsonl"))]
        if seen == self._seen and not alive:
            return False
        if seen != self._seen:
            tasks = self._bench.tasks
            self._bench = BenchDirectory.load(self.directory)
            if self._bench.tasks.keys() != tasks.keys():
                self._bench.tasks = tasks  # they do not change in earnest
        before = (self.alive, [row.record() for row in self.rows])
        self._seen, self.alive = seen, alive
        for key, attempt in self._bench.attempts.items():
            self._put(key, _finished(attempt, self._bench.scores.get(key)))
        if self.alive:
            for key in self._under_way():
                self._put(key, {"stop": "running"})
        else:
            self.rows = [row if row.stop != "running" else _cut_short(row) for row in self.rows]
        return before != (self.alive, [row.record() for row in self.rows])

    def run_dir(self, number: int) -> Path:
        return self._bench.attempt_dir(self._key(number))

    def details(self, number: int) -> dict[str, Any]:
        key = self._key(number)
        task = next((one for one in self._bench.tasks.get(key.suite, ()) if one.id == key.task), None)
        score, attempt = self._bench.scores.get(key), self._bench.attempts.get(key)
        return {
            "question": whole_text(task.prompt) if task else "",
            "answer": task.answer if task else None,
            "choices": list(task.choices) if task else [],
            "documents": list(task.documents) if task else [],
            "extracted": score.extracted if score else None,
            "reason": score.reason if score else "",
            "grader": score.grader if score else (task.grader if task else None),
            "details": dict(score.details) if score else {},
            "error": attempt.error if attempt else None,
            "tries": attempt.tries if attempt else None,
            "host": attempt.host if attempt else None,
        }

    def _model(self) -> str:
        return str(part(self._bench.config, "run").get("model") or "")

    def _key(self, number: int) -> Key:
        row = self.rows[number]
        suite, task, _ = self.questions[row.place]
        return Key(suite, task, row.mode, row.repeat)

    def _put(self, key: Key, values: Mapping[str, Any]) -> None:
        place = self._places.get((key.suite, key.task))
        if place is None:  # a score of a task that tasks.jsonl does not have
            place = self._places[key.suite, key.task] = len(self.questions)
            self.questions.append((key.suite, key.task, ""))
        row = Row(place, key.mode, key.repeat, **{**NOTHING, **values})
        number = self._numbers.setdefault(key, len(self.rows))
        self.rows[number : number + 1] = [row]

    def _under_way(self) -> Iterator[Key]:
        """Attempts that have begun and are not in the index."""
        suites = part(self._bench.config, "suites")
        for suite, tasks in self._bench.tasks.items():
            repeats = count(part(suites.get(suite), "").get("repeats", 1)) or 0
            for task in tasks:
                for mode in self._modes:
                    for repeat in range(1, repeats + 1):
                        key = Key(suite, task.id, mode, repeat)
                        if key not in self._bench.attempts and self._bench.attempt_dir(key).is_dir():
                            yield key


NOTHING: dict[str, Any] = {  # of a row of which nothing is known yet
    "score": None,
    "reason": "",
    "stop": "",
    **figures(None, None, None, None),
}


def shortened(text: str, length: int) -> str:
    """The text on one line, cut where it is longer."""
    words = " ".join(whole_text(text[: 4 * length]).split())
    return f"{words[:length]}…" if len(words) > length else words


def _finished(attempt: Attempt, score: ScoreLine | None) -> dict[str, Any]:
    return {
        "score": score.score if score else None,
        "reason": shortened(score.reason if score else attempt.error or "not graded yet", REASON),
        "stop": attempt.stop_reason,
        **figures(attempt.turns, attempt.usage, attempt.seconds, attempt.cost),
    }


def _modes(bench: BenchDirectory) -> list[str]:
    """The modes that are compared. Raises ConfigError where the bench does not name them."""
    told = part(bench.config, "bench").get("arms", [])
    if not isinstance(told, list) or not all(isinstance(mode, str) for mode in told):
        raise ConfigError(f"{bench.path / 'config.toml'}: bench.arms must be a list of modes")
    return told


def _cut_short(row: Row) -> Row:
    return Row(**{**asdict(row), "stop": "killed"})


def part(value: Any, name: str) -> Mapping[str, Any]:
    """The object called `name` in an object (the value itself without a name), else an empty one."""
    found = value.get(name) if name and isinstance(value, Mapping) else value
    return found if isinstance(found, Mapping) else {}


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def mark(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def is_held(path: Path) -> bool:
    """Whether a process is at work on the bench or the run, which it locks as long as it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not (stat.S_ISREG(mode := os.fstat(fd).st_mode) or stat.S_ISDIR(mode)):
            return False
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
