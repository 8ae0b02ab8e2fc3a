"""By suite and measure: the runs' means on the tasks that they share, and how far each is from the first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workroom.bench.compare.gaps import Gap
from workroom.bench.compare.runs import Run, suites_of
from workroom.bench.outcomes import Coverage, coverage, modes, scores_by_item
from workroom.bench.statistics import Difference, Estimate, differences, holm, mean_interval, paired_difference

DELTA = "sandbox − llm"
Scores = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run in a row. `values`: of the shared tasks.

    `estimate`: their mean, a `Difference` for `DELTA`. `coverage` is of all that the run has, shared or not.
    `against`: this run less the first one that the row has, None for that one itself; `p`: its p-value after Holm's
    correction over the suites.
    """

    run: int
    values: Scores
    estimate: Estimate | Difference
    coverage: Coverage
    against: Difference | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """`items`: how many tasks all of these runs have a score of; `tasks`: how many there are in any of them.

    `cells`: those runs that have the measure, at least two, in the order of the runs.
    """

    suite: str
    measure: str
    items: int
    tasks: int
    cells: tuple[Cell, ...]

    def cell(self, run: int) -> Cell | None:
        """The cell of a run, None where it has not this measure."""
        return next((cell for cell in self.cells if cell.run == run), None)


def rows_of(runs: Sequence[Run]) -> tuple[list[Row], list[Gap]]:
    """The rows of each measure, suite by suite, and what there is no row of though a run has scores."""
    found: list[Row] = []
    gaps: list[Gap] = []
    for measure in _measures(runs):
        rows: list[Row] = []
        for suite in suites_of(runs):
            values = {index: scores for index, run in enumerate(runs) if (scores := _values(run, suite, measure))}
            row = _row(runs, suite, measure, values)
            if row is not None:
                rows.append(row)
            elif values:
                gaps.append(Gap(suite, measure, tuple(values)))
        found += _corrected(rows, len(runs))
    return found, gaps


def _measures(runs: Sequence[Run]) -> list[str]:
    found = dict.fromkeys(mode for run in runs for mode in modes(run.bench))
    first = [mode for mode in ("llm", "sandbox") if mode in found]
    both = [DELTA] if len(first) == 2 else []
    return [*first, *both, *sorted(mode for mode in found if mode not in first)]


def _row(runs: Sequence[Run], suite: str, measure: str, values: Mapping[int, Scores]) -> Row | None:
    if len(values) < 2:
        return None
    shared = [item for item in next(iter(values.values())) if all(item in scores for scores in values.values())]
    if not shared:
        return None
    tasks = {item for index in values for item in runs[index].tasks(suite)}
    cells: list[Cell] = []
    for index, scores in values.items():
        ours = {item: scores[item] for item in shared}
        against = paired_difference(ours, cells[0].values, reach=reach_of(measure)) if cells else None
        cells.append(
            Cell(
                index,
                ours,
                _estimate(runs[index], suite, measure, ours),
                _covered(runs[index], suite, measure, scores),
                against,
            )
        )
    return Row(suite, measure, len(shared), len(tasks | set(shared)), tuple(cells))


def reach_of(measure: str) -> float:
    """The largest difference of two values of the measure."""
    return 2.0 if measure == DELTA else 1.0


def _values(run: Run, suite: str, measure: str) -> Scores:
    """By task: the scores of the repeats, or the one difference that the sandbox makes."""
    if measure != DELTA:
        return scores_by_item(run.bench, suite, measure)
    apart = differences(scores_by_item(run.bench, suite, "sandbox"), scores_by_item(run.bench, suite, "llm"))
    return {item: [float(difference)] for item, difference in apart.items()}


def _estimate(run: Run, suite: str, measure: str, values: Scores) -> Estimate | Difference:
    if measure != DELTA:
        return mean_interval(values)
    sandbox, llm = (scores_by_item(run.bench, suite, mode) for mode in ("sandbox", "llm"))
    return paired_difference({item: sandbox[item] for item in values}, llm)


def _covered(run: Run, suite: str, measure: str, values: Scores) -> Coverage:
    if measure != DELTA:
        return coverage(run.bench, suite, measure)
    parts = [coverage(run.bench, suite, mode) for mode in ("sandbox", "llm")]
    return Coverage(
        tasks=parts[0].tasks,
        items=len(values),  # a task counts that has scores in both modes
        attempts=sum(part.attempts for part in parts),
        scored=sum(part.scored for part in parts),
    )


def _corrected(rows: Sequence[Row], runs: int) -> list[Row]:
    """The rows of one measure with Holm's correction, for each run over the suites in which it is compared."""
    p_values: dict[tuple[str, int], float] = {}
    for run in range(runs):
        tested = [(row.suite, cell.against.p) for row in rows if (cell := row.cell(run)) and cell.against]
        for (suite, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
            p_values[suite, run] = p
    return [
        Row(
            row.suite,
            row.measure,
            row.items,
            row.tasks,
            tuple(
                Cell(
                    cell.run,
                    cell.values,
                    cell.estimate,
                    cell.coverage,
                    cell.against,
                    p_values.get((row.suite, cell.run)),
                )
                for cell in row.cells
            ),
        )
        for row in rows
    ]
