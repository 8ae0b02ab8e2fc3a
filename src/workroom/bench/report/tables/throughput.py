"""How long attempts take and how many there are a minute."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from workroom.bench.report.notes import notes
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Table
from workroom.bench.store import Attempt


def throughput(results: Results) -> Table:
    """A row for each suite and arm, and one for each arm over all suites."""
    groups = [(suite, mode, attempts) for (suite, mode), attempts in results.sound.items()]
    for mode in results.modes:
        of_arm = [one for (_, other), attempts in results.sound.items() if other == mode for one in attempts]
        if of_arm:
            groups.append(("all", mode, of_arm))
    at_once = mean_at_once(list(results.bench.attempts.values()))
    rows = [_row(suite, mode, attempts, at_once, results) for suite, mode, attempts in groups]
    return Table(
        "throughput",
        "Time and throughput",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("attempts", "Attempts", "count"),
            Column("mean_seconds", "Mean, s", "seconds"),
            Column("median_seconds", "Median, s", "seconds"),
            Column("p95_seconds", "p95, s", "seconds"),
            Column("model_share", "In the model, %", "share"),
            Column("tool_share", "In tools, %", "share"),
            Column("turns", "Mean turns", "number"),
            Column("queries_a_minute", "Queries a minute", "number"),
            Column("times_llm", "Times llm", "ratio"),
        ),
        tuple(rows),
        _notes(results, at_once) if rows else notes("throughput", "empty"),
    )


def _notes(results: Results, at_once: float | None) -> tuple[str, ...]:
    attempts = list(results.bench.attempts.values())
    if at_once is None:
        return notes("throughput", "seconds", "shares")
    wall = busy_seconds(attempts)
    return notes(
        "throughput",
        *("seconds", "shares", "little", "times", "wall"),
        at_once=at_once,
        attempts=len(attempts),
        wall=wall,
        a_minute=60 * len(attempts) / wall,
    )


def _row(suite: str, mode: str, attempts: list[Attempt], at_once: float | None, results: Results) -> tuple[Cell, ...]:
    seconds = [seconds_of(attempt) for attempt in attempts]
    whole, mean = sum(seconds), fmean(seconds)
    # Of the suites that both arms have: over others the times are those of other questions.
    ours = [seconds_of(one) for one in attempts if (one.suite, "llm") in results.sound]
    plain = [
        seconds_of(one)
        for (other, arm), some in results.sound.items()
        if arm == "llm" and suite in (other, "all") and (other, mode) in results.sound
        for one in some
    ]
    return (
        suite,
        mode,
        len(attempts),
        mean,
        median(seconds),
        quantile(seconds, 0.95),
        sum(attempt.model_seconds for attempt in attempts) / whole if whole else None,
        sum(attempt.tool_seconds for attempt in attempts) / whole if whole else None,
        fmean(attempt.turns for attempt in attempts),
        60 * at_once / mean if at_once is not None and mean else None,
        fmean(plain) / fmean(ours) if plain and ours and any(ours) else None,
    )


def seconds_of(attempt: Attempt) -> float:
    """From its beginning to its end, the start of its sandbox and the bringing out of files included."""
    return attempt.finished - attempt.started


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not pass."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def busy_seconds(attempts: Iterable[Attempt]) -> float:
    """How long at least one of them was under way: a bench that was killed and resumed has gaps."""
    busy = 0.0
    until = -math.inf
    for begin, end in sorted((attempt.started, attempt.finished) for attempt in attempts):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy


def mean_at_once(attempts: Sequence[Attempt]) -> float | None:
    """How many of them were under way on average, while any was; None where no time passed."""
    busy = busy_seconds(attempts)
    return sum(map(seconds_of, attempts)) / busy if busy > 0 else None


def most_at_once(attempts: Iterable[Attempt]) -> int:
    """How many of them were under way at the same time, at most."""
    steps = sorted(step for one in attempts for step in ((one.started, 1), (one.finished, -1)))
    now = most = 0
    for _, step in steps:  # at equal times the ends come first
        now += step
        most = max(most, now)
    return most
