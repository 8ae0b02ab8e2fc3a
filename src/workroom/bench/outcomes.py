"""What came of the attempts of a bench: scores by item, what is unscored and why, how much of it there is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from workroom.bench.store import BenchDirectory, Key

NOT_GRADED = "not graded yet"
_FIRST_MODES = ("llm", "sandbox")


class Unscored(NamedTuple):
    """A finished attempt without a score, and why."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a suite in a mode there is.

    `tasks` of the suite, `items` of them with at least one score; `attempts` that are finished, `scored` of them.
    """

    tasks: int
    items: int
    attempts: int
    scored: int

    @property
    def unscored(self) -> int:
        return self.attempts - self.scored

    @property
    def whole(self) -> bool:
        """Every task has a score, and so has every finished attempt."""
        return self.items == self.tasks and self.scored == self.attempts

    def __str__(self) -> str:
        return f"{self.scored} of {self.attempts}"


def modes(bench: BenchDirectory, suite: str | None = None) -> list[str]:
    """The modes of which something is finished, of one suite or of all: `llm`, `sandbox`, then the other arms."""
    found = {key.mode for key in _finished(bench) if suite in (None, key.suite)}
    return [mode for mode in _FIRST_MODES if mode in found] + sorted(found.difference(_FIRST_MODES))


def scores_by_item(bench: BenchDirectory, suite: str, mode: str) -> dict[str, list[float]]:
    """The scores of each task, in the order of the tasks and of the repeats; what is unscored is left out."""
    found: dict[str, dict[int, float]] = {task.id: {} for task in bench.tasks.get(suite, ())}
    for key, line in bench.scores.items():
        if key.suite == suite and key.mode == mode and line.score is not None:
            found.setdefault(key.task, {})[key.repeat] = line.score
    return {task: [scores[repeat] for repeat in sorted(scores)] for task, scores in found.items() if scores}


def unscored(bench: BenchDirectory, suite: str | None = None, mode: str | None = None) -> list[Unscored]:
    """The finished attempts without a score, of one suite and mode or of all, with the reason of each."""
    return [
        Unscored(key, reason)
        for key in _finished(bench)
        if suite in (None, key.suite) and mode in (None, key.mode) and (reason := _why_unscored(bench, key)) is not None
    ]


def coverage(bench: BenchDirectory, suite: str, mode: str) -> Coverage:
    """How much of this suite in this mode there is."""
    scores = scores_by_item(bench, suite, mode)
    attempts = sum(key.suite == suite and key.mode == mode for key in _finished(bench))
    return Coverage(len(bench.tasks.get(suite, ())), len(scores), attempts, sum(map(len, scores.values())))


def together(parts: Iterable[Coverage]) -> Coverage:
    """That of several suites."""
    columns = zip(*((part.tasks, part.items, part.attempts, part.scored) for part in parts), strict=True)
    return Coverage(*map(sum, columns))


def _why_unscored(bench: BenchDirectory, key: Key) -> str | None:
    """None where it has a score."""
    line, attempt = bench.scores.get(key), bench.attempts.get(key)
    if line is not None:
        return None if line.score is not None else line.reason
    if attempt is not None and attempt.failed:
        return attempt.error or attempt.stop_reason
    return NOT_GRADED


def _finished(bench: BenchDirectory) -> Iterator[Key]:
    """Every attempt once, also one of which only the score is there."""
    yield from bench.attempts
    yield from (key for key in bench.scores if key not in bench.attempts)
