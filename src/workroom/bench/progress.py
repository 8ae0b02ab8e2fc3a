"""How far a bench is, as it is told while it runs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from workroom.bench.store import Attempt, ScoreLine


@dataclass
class Tally:
    """One arm so far."""

    attempts: int = 0
    scored: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.total / self.scored if self.scored else None


@dataclass
class Progress:
    """Counts of one session. `total` attempts in all, of which `before` were done when it began."""

    total: int
    before: int = 0
    done: int = 0
    failed: int = 0
    unscored: int = 0
    running: int = 0
    tokens: int = 0
    cost: float = 0.0
    waiting: str = ""
    arms: dict[str, Tally] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def take_up(self, attempts: Iterable[Attempt], scores: Iterable[ScoreLine]) -> None:
        """Counts what earlier sessions have done."""
        for attempt in attempts:
            self.arms.setdefault(attempt.mode, Tally()).attempts += 1
            self.before += 1
        for line in scores:
            self.score(line)

    def attempt(self, attempt: Attempt) -> None:
        """Counts a finished attempt."""
        usage = attempt.usage
        self.tokens += int(usage.get("prompt", 0)) + int(usage.get("completion", 0))
        self.cost += attempt.cost or 0.0
        if attempt.failed:
            self.failed += 1
        else:
            self.done += 1
            self.arms.setdefault(attempt.mode, Tally()).attempts += 1

    def score(self, line: ScoreLine) -> None:
        """Counts a score."""
        tally = self.arms.setdefault(line.mode, Tally())
        if line.score is None:
            self.unscored += 1
        else:
            tally.scored += 1
            tally.total += line.score

    @property
    def left(self) -> int:
        return max(self.total - self.before - self.done, 0)

    @property
    def seconds_left(self) -> float | None:
        """By the pace of this session; None before its first attempt."""
        if not self.done:
            return None
        return (time.monotonic() - self.began) / self.done * self.left


@dataclass(frozen=True, slots=True)
class Finished:
    """How a session of a bench ended. `missing`: attempts that were not run, since it was stopped."""

    unscored: int
    missing: int
    interrupted: bool
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 130
        return 6 if self.unscored or self.missing else 0
