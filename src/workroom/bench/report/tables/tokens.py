"""Tokens by suite and arm."""

from collections.abc import Iterator
from statistics import fmean

from workroom.bench.report.notes import notes
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Table
from workroom.bench.store import Attempt


def tokens(results: Results) -> Table:
    """A row for each suite and arm: means over the attempts of which the first prompt is known.

    All means of a row are of these, so that its parts add up: an attempt that a limit ended before the model's first
    reply used tokens that nobody counted.
    """
    rows: list[tuple[Cell, ...]] = []
    estimated = unknown = 0
    for (suite, mode), sound in results.sound.items():
        once = totals(results, suite, mode)
        known = list(_known(results, sound))
        attempts = [attempt for attempt, _ in known]
        environment = _mean([_used(attempt, "environment") for attempt in attempts])
        total = _mean([value for values in once.values() for value in values])
        rows.append(
            (
                suite,
                mode,
                len(attempts),
                _mean([prompt for _, prompt in known]),
                _mean([_used(attempt, "completion") for attempt in attempts]),
                environment,
                total,
                environment / total if environment is not None and total else None,
                times(once, totals(results, suite, "llm")),
                _mean([_used(attempt, "prompt") + _used(attempt, "completion") for attempt in attempts]),
                _mean([_used(attempt, "cached") for attempt in attempts]),
                _mean([attempt.cost for attempt in attempts if attempt.cost is not None]),
            )
        )
        estimated += sum(bool(attempt.usage.get("estimated")) for attempt in attempts)
        unknown += len(sound) - len(attempts)
    below = [
        *notes("tokens", "means", "times", "processed"),
        *(notes("tokens", "estimated", attempts=estimated) if estimated else ()),
        *(notes("tokens", "unknown", attempts=unknown) if unknown else ()),
    ]
    return Table(
        "tokens",
        "Tokens an attempt",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("attempts", "Attempts", "count"),
            Column("prompt", "Prompt", "count"),
            Column("completion", "Completion", "count"),
            Column("environment", "Environment", "count"),
            Column("total", "Total", "count"),
            Column("environment_share", "Environment, %", "share"),
            Column("times_llm", "Times llm", "ratio"),
            Column("processed", "Processed", "count"),
            Column("cached", "Cached", "count"),
            Column("cost", "Cost, $", "cost"),
        ),
        tuple(rows),
        tuple(below) if rows else notes("tokens", "empty"),
    )


def totals(results: Results, suite: str, mode: str) -> dict[str, list[int]]:
    """By task, the tokens of each attempt, every one counted once: first prompt, completions, environment."""
    found: dict[str, list[int]] = {}
    for attempt, prompt in _known(results, results.sound.get((suite, mode), [])):
        used = prompt + _used(attempt, "completion") + _used(attempt, "environment")
        found.setdefault(attempt.task, []).append(used)
    return found


def times(ours: dict[str, list[int]], theirs: dict[str, list[int]]) -> float | None:
    """How many times as much, over the tasks of both; None where there is none."""
    both = ours.keys() & theirs.keys()
    base = sum(fmean(theirs[task]) for task in both)
    return sum(fmean(ours[task]) for task in both) / base if base else None


def _known(results: Results, attempts: list[Attempt]) -> Iterator[tuple[Attempt, int]]:
    """The attempts of which the first prompt is known, with its tokens."""
    for attempt, observed in results.seen(attempts):
        if observed.first_prompt is not None:
            yield attempt, observed.first_prompt


def _used(attempt: Attempt, what: str) -> int:
    value = attempt.usage.get(what, 0)
    return value if isinstance(value, int) else 0


def _mean(values: list[int] | list[float]) -> float | None:
    return fmean(values) if values else None
