"""Who is best over the suites, and who cannot be told apart from that one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from workroom.bench.compare.rows import Row, reach_of
from workroom.bench.compare.runs import Run
from workroom.bench.outcomes import Coverage, together
from workroom.bench.statistics import (
    Estimate,
    differences,
    holm,
    mean_over,
    paired_difference,
    sign_flip_test,
)

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A run in a ranking. `estimate`: the mean over the suites, each counting the same; `coverage`: of them together.

    `behind`: this run less the best one, None for the best; `p` is of the sign-flip test over the tasks of all suites,
    after Holm's correction over the runs, and `method` says which.
    """

    run: int
    estimate: Estimate
    coverage: Coverage
    behind: Estimate | None = None
    p: float | None = None
    method: str = ""

    @property
    def apart(self) -> bool:
        """Whether chance alone does not explain that it is behind the best."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of one measure, over the `suites` that all of these runs have; the best is the first of the `places`."""

    measure: str
    suites: tuple[str, ...]
    places: tuple[Place, ...]


def rank(runs: Sequence[Run], rows: Sequence[Row]) -> Iterator[Ranking]:
    """A ranking for each measure; none where its runs have no suite in common."""
    for measure in dict.fromkeys(row.measure for row in rows):
        ours = [row for row in rows if row.measure == measure]
        there = [index for index in range(len(runs)) if any(row.cell(index) for row in ours)]
        shared = [row for row in ours if len(row.cells) == len(there)]
        if shared:
            yield _ranked(measure, shared, there)


def _ranked(measure: str, rows: Sequence[Row], runs: Sequence[int]) -> Ranking:
    by_run = {cell.run: [row.cells[place] for row in rows] for place, cell in enumerate(rows[0].cells)}
    estimates = {run: mean_over([cell.estimate for cell in by_run[run]]) for run in runs}
    best, *others = sorted(runs, key=lambda run: -estimates[run].mean)
    behind, tests = {}, []
    for run in others:
        pairs = [(ours.values, theirs.values) for ours, theirs in zip(by_run[run], by_run[best], strict=True)]
        behind[run] = mean_over([paired_difference(ours, theirs, reach=reach_of(measure)) for ours, theirs in pairs])
        # Suites count the same, so that a task counts one share of its suite.
        weighted = [
            difference * Fraction(1, len(ours)) if isinstance(difference, Fraction) else difference / len(ours)
            for ours, theirs in pairs
            for difference in differences(ours, theirs).values()
        ]
        tests.append(sign_flip_test(weighted))
    corrected = holm([p for p, _ in tests])
    covered = {run: together([cell.coverage for cell in cells]) for run, cells in by_run.items()}
    places = [Place(best, estimates[best], covered[best])]
    places += [
        Place(run, estimates[run], covered[run], behind[run], p, method)
        for run, p, (_, method) in zip(others, corrected, tests, strict=True)
    ]
    return Ranking(measure, tuple(row.suite for row in rows), tuple(places))
