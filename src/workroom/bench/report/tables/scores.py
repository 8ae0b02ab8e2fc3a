"""What was right: means with intervals, and the differences that the sandbox makes."""

import math
from collections.abc import Mapping, Sequence

from workroom.bench import statistics
from workroom.bench.outcomes import coverage, scores_by_item, unscored
from workroom.bench.report.notes import notes
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Interval, Table
from workroom.bench.statistics import (
    Difference,
    holm,
    mean_interval,
    mean_over,
    paired_difference,
    passes,
    sign_flip_items,
)
from workroom.bench.statistics.planning import MOST

LEVEL = 0.05


def contrasts(results: Results) -> list[tuple[str, str]]:
    """Which arm is compared with which: sandbox with llm, and each other arm with sandbox; without a plain sandbox
    with llm, and without either with the first of them."""
    modes = results.modes
    found = [("sandbox", "llm")] if {"sandbox", "llm"} <= set(modes) else []
    others = [mode for mode in modes if mode not in ("sandbox", "llm")]
    base = next((mode for mode in ("sandbox", "llm", *others) if mode in modes), "")
    return found + [(mode, base) for mode in others if mode != base]


def differences_of(results: Results, first: str, second: str) -> dict[str, tuple[Difference, float]]:
    """By suite, the paired difference of two arms and its p-value after Holm's correction over the suites."""
    bench = results.bench
    found = {}
    for suite in results.suites:
        ours, theirs = scores_by_item(bench, suite, first), scores_by_item(bench, suite, second)
        if ours.keys() & theirs.keys():
            found[suite] = paired_difference(ours, theirs)
    corrected = holm([difference.p for difference in found.values()])
    return {suite: (found[suite], p) for suite, p in zip(found, corrected, strict=True)}


def left_out(results: Results, suite: str, first: str, second: str) -> int:
    """How many tasks were attempted in either arm and have not a score in both."""
    bench = results.bench
    tried = {key.task for key in bench.attempts if key.suite == suite and key.mode in (first, second)}
    both = scores_by_item(bench, suite, first).keys() & scores_by_item(bench, suite, second).keys()
    return len(tried - both)


def verdict(difference: Difference, p: float) -> str:
    """What the corrected test lets one say."""
    if p >= LEVEL:
        return "no difference shown"
    return "better" if difference.mean > 0 else "worse"


def differences(results: Results) -> Table:
    """A row for each suite and pair of arms."""
    rows: list[tuple[Cell, ...]] = []
    methods: dict[str, None] = {}
    for first, second in contrasts(results):
        found = differences_of(results, first, second)
        for suite, (difference, p) in found.items():
            ours, theirs = (scores_by_item(results.bench, suite, mode) for mode in (first, second))
            sides = [_sides(results, suite, mode) for mode in (first, second)]
            rows.append(
                (
                    suite,
                    f"{first} − {second}",
                    difference.mean,
                    Interval(difference.low, difference.high),
                    p,
                    verdict(difference, p),
                    # Of the items of both, so that they are as far apart as it says.
                    _mean({item: theirs[item] for item in theirs if item in ours}),
                    _mean({item: ours[item] for item in ours if item in theirs}),
                    difference.items,
                    left_out(results, suite, first, second),
                    difference.wins,
                    difference.losses,
                    difference.ties,
                    difference.p,
                    _needed(ours, theirs),
                    " / ".join(sides),
                )
            )
            methods[difference.method] = None
        if len(found) > 1:
            mean = mean_over([difference for difference, _ in found.values()])
            middle = (mean.mean, Interval(mean.low, mean.high))
            rows.append(("mean of suites", f"{first} − {second}", *middle, *[None] * 4, mean.items, *[None] * 7))
    return Table(
        "differences",
        "What the sandbox changes",
        (
            Column("suite", "Suite"),
            Column("difference", "Arms compared"),
            Column("points", "First − second, points", "points"),
            Column("interval", "95 % interval", "points", interval=True),
            Column("p_holm", "p, corrected", "p"),
            Column("verdict", "The first is"),
            Column("second_mean", "Second arm, %", "share"),
            Column("first_mean", "First arm, %", "share"),
            Column("items", "Items of both", "count"),
            Column("left_out", "Left out", "count"),
            Column("wins", "Won", "count"),
            Column("losses", "Lost", "count"),
            Column("ties", "Tied", "count"),
            Column("p", "p", "p"),
            Column("items_needed", "Items needed", "count"),
            Column("scored", "Scored of finished"),
        ),
        tuple(rows),
        _difference_notes(rows, methods),
    )


def _difference_notes(rows: Sequence[object], methods: Mapping[str, None]) -> tuple[str, ...]:
    if not rows:
        return notes("differences", "empty")
    names = ("paired", "left_out", "methods", "corrected", "needed", "over", "scored")
    return notes("differences", *names, methods="; ".join(methods), level=LEVEL)


def means(results: Results) -> Table:
    """A row for each suite and arm."""
    rows: list[tuple[Cell, ...]] = []
    methods: dict[str, None] = {}
    for suite, mode in results.groups:
        there = coverage(results.bench, suite, mode)
        by_item = scores_by_item(results.bench, suite, mode)
        mean: float | None = None
        interval: Interval | None = None
        if by_item:
            estimate = mean_interval(by_item)
            mean, interval = estimate.mean, Interval(estimate.low, estimate.high)
            methods[estimate.method] = None
        rows.append(
            (
                *(suite, mode, there.tasks, there.items, there.attempts, there.scored, there.unscored, mean, interval),
                _bounds(results, suite, mode) if there.unscored else None,
            )
        )
    return Table(
        "means",
        "Scores by suite and arm",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("tasks", "Tasks", "count"),
            Column("items", "With a score", "count"),
            Column("attempts", "Attempts", "count"),
            Column("scored", "Scored", "count"),
            Column("unscored", "Unscored", "count"),
            Column("mean", "Mean score, %", "share"),
            Column("interval", "95 % interval", "share", interval=True),
            Column("bounds", "Mean if the unscored were wrong to right, %", "share", interval=True),
        ),
        tuple(rows),
        notes("means", "methods" if methods else "empty", "unscored", "bounds", methods="; ".join(methods)),
    )


def _bounds(results: Results, suite: str, mode: str) -> Interval:
    """The mean of the attempted tasks if everything unscored were wrong, and if it were right."""
    there = scores_by_item(results.bench, suite, mode)
    missing = [key.task for key, _ in unscored(results.bench, suite, mode)]
    return Interval(*(_mean(_filled(there, missing, score)) for score in (0.0, 1.0)))


def _filled(by_item: Mapping[str, Sequence[float]], missing: Sequence[str], score: float) -> dict[str, list[float]]:
    filled = {task: list(scores) for task, scores in by_item.items()}
    for task in missing:
        filled.setdefault(task, []).append(score)
    return filled


def passes_of(count: int) -> list[int]:
    """The k to show for so many repeats: powers of two, and all of them."""
    return sorted({2**power for power in range(count.bit_length()) if 2**power <= count} | {count})


def pass_at_k(results: Results) -> Table:
    """A row for each suite, arm and k, where there is more than one repeat."""
    rows: list[tuple[Cell, ...]] = []
    for suite, mode in results.groups:
        by_item = scores_by_item(results.bench, suite, mode)
        most = max(map(len, by_item.values()), default=0)
        for k in passes_of(most) if most > 1 else ():
            estimate = passes(by_item, k)
            if estimate is not None:
                rows.append((suite, mode, k, estimate.items, estimate.mean, Interval(estimate.low, estimate.high)))
    return Table(
        "pass_at_k",
        "Right at least once in k attempts",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("k", "k", "count"),
            Column("items", "Items with k scores", "count"),
            Column("pass_at_k", "pass@k, %", "share"),
            Column("interval", "95 % interval", "share", interval=True),
        ),
        tuple(rows),
        notes("pass_at_k", "estimate" if rows else "empty"),
    )


def _sides(results: Results, suite: str, mode: str) -> str:
    return str(coverage(results.bench, suite, mode))


def _mean(by_item: Mapping[str, Sequence[float]]) -> float:
    return mean_interval(by_item).mean


def _needed(ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> int | str | None:
    values = list(statistics.differences(ours, theirs).values())
    if len(values) < 2:
        return None  # one item tells nothing of how differences vary
    needed = sign_flip_items(values)
    return f"over {MOST:,}" if needed == math.inf else needed if needed is None else int(needed)
