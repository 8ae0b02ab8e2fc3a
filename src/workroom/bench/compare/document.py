"""A comparison as a document: the rankings, the runs side by side, and the settings that differ."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workroom.bench.compare.gaps import describe
from workroom.bench.compare.ranking import LEVEL, Place
from workroom.bench.compare.rows import DELTA, Cell, Row
from workroom.bench.report.document import Document
from workroom.bench.report.table import Column, Interval, Kind, Table, show

if TYPE_CHECKING:
    from workroom.bench.compare import Comparison
    from workroom.bench.report.table import Cell as Shown
    from workroom.bench.statistics import Difference, Estimate


def document(comparison: "Comparison", *, files: bool) -> Document:
    """What is written as Markdown and as HTML. `files`: whether its tables lie beside it as CSV files."""
    folders = [str(run.bench.path) for run in comparison.runs]
    return Document(
        title=f"{len(comparison.runs)} benches compared",
        lead=list(_lead(comparison)),
        facts=[("Runs", [(run.name, folder) for run, folder in zip(comparison.runs, folders, strict=True)])],
        commands=[shlex.join(["workroom", "bench", "compare", *folders])],
        tables=list(tables(comparison)),
        plots=[],
        files=files,
    )


def tables(comparison: "Comparison") -> Iterator[Table]:
    """Those that have rows: what is ranked and compared by accuracy, then by what the sandbox adds, then settings."""
    found = [
        _rankings(comparison, of_delta=False),
        _side_by_side(comparison, of_delta=False),
        _rankings(comparison, of_delta=True),
        _side_by_side(comparison, of_delta=True),
        _settings(comparison),
    ]
    # Shown whole: on a terminal there is no file that has the rest.
    return (replace(table, shown=len(table.rows)) for table in found if table.rows)


def _lead(comparison: "Comparison") -> Iterator[str]:
    names = [run.name for run in comparison.runs]
    yield _bases(comparison, names)
    absent = [name for run, name in enumerate(names) if not any(row.cell(run) for row in comparison.rows)]
    if absent:
        yield f"Without a line in any table of scores: {', '.join(absent)}."
    if comparison.gaps:
        yield f"Not compared: {'; '.join(describe(comparison.gaps, names))}."
    for ranking in comparison.rankings:
        best, *others = ranking.places
        kind: Kind = "points" if ranking.measure == DELTA else "share"
        unit = "points" if ranking.measure == DELTA else "%"
        of_measure = dict.fromkeys(row.suite for row in comparison.rows if row.measure == ranking.measure)
        missed = [suite for suite in of_measure if suite not in ranking.suites]
        without = f", but not {', '.join(missed)}, which not all of the runs have" if missed else ""
        alike = [names[place.run] for place in others if not place.apart]
        told = f"; not told apart from it: {', '.join(alike)}" if alike else ""
        yield (
            f"{ranking.measure}, over {', '.join(ranking.suites)}{without}: the best is {names[best.run]} with "
            f"{show(best.estimate.mean, kind)} {unit}{told}."
        )
    ranked = {ranking.measure for ranking in comparison.rankings}
    for measure in dict.fromkeys(row.measure for row in comparison.rows if row.measure not in ranked):
        yield f"{measure}: no ranking, as its runs have no suite in common."
    left_out = sum(row.tasks - row.items for row in comparison.rows)
    if left_out:
        yield (
            f"Left out of what is compared, as not every run has a score of them: {left_out} tasks, counted in each "
            "suite and measure."
        )
    missing = sum(cell.coverage.unscored for row in comparison.rows if row.measure != DELTA for cell in row.cells)
    if missing:
        yield f"Unscored, and so in no figure here: {missing} finished attempts."
    if comparison.settings:
        count = len(comparison.settings)
        verb = "setting is" if count == 1 else "settings are"
        yield f"{count} {verb} not the same in all runs; the last table has what differs."


def _bases(comparison: "Comparison", names: Sequence[str]) -> str:
    bases = sorted({row.cells[0].run for row in comparison.rows})
    if bases == [0]:
        return f"What the runs are compared with is the first of them, {names[0]}."
    first = ", ".join(names[run] for run in bases)
    return f"What the runs are compared with is, of each suite and measure, the first that has a line there: {first}."


def _rankings(comparison: "Comparison", *, of_delta: bool) -> Table:
    rankings = [ranking for ranking in comparison.rankings if (ranking.measure == DELTA) == of_delta]
    tests = dict.fromkeys(place.method for ranking in rankings for place in ranking.places if place.method)
    rows: list[tuple[Shown, ...]] = [
        (
            ranking.measure,
            1 + sum(other.estimate.mean > place.estimate.mean + 1e-12 for other in ranking.places),
            comparison.runs[place.run].name,
            len(ranking.suites),
            place.estimate.items,
            str(place.coverage),
            place.estimate.mean,
            _interval(place.estimate),
            None if place.behind is None else place.behind.mean,
            _interval(place.behind),
            place.p,
            _verdict(place),
        )
        for ranking in rankings
        for place in ranking.places
    ]
    return Table(
        "ranking_of_differences" if of_delta else "ranking",
        "Ranking by what the sandbox adds" if of_delta else "Ranking by accuracy",
        (
            Column("measure", "Measure"),
            Column("rank", "Rank", "count"),
            Column("run", "Run"),
            Column("suites", "Suites", "count"),
            Column("items", "Shared tasks", "count"),
            Column("scored", "Scored of finished"),
            *_mean_columns(of_delta=of_delta),
            Column("behind", "Less the best, points", "points"),
            Column("behind_interval", "95 % interval", "points", interval=True),
            Column("p_holm", "p, corrected", "p"),
            Column("verdict", "It is"),
        ),
        tuple(rows),
        (
            "The mean over the suites that all runs of the measure have, each suite counting the same.",
            f"p is against the best run over the tasks of all suites ({'; '.join(tests)}), corrected over runs (Holm).",
            f"Behind the best is a run with p < {LEVEL}. The best was chosen by the same figures, which favours it.",
        ),
    )


def _side_by_side(comparison: "Comparison", *, of_delta: bool) -> Table:
    rows = [row for row in comparison.rows if (row.measure == DELTA) == of_delta]
    methods = dict.fromkeys(
        method
        for row in rows
        for cell in row.cells
        for method in (cell.estimate.method, *([cell.against.method] if cell.against else []))
    )
    return Table(
        "differences" if of_delta else "scores",
        "What the sandbox adds, side by side" if of_delta else "Scores side by side",
        (
            Column("suite", "Suite"),
            Column("measure", "Measure"),
            Column("run", "Run"),
            Column("items", "Shared tasks", "count"),
            Column("tasks", "Tasks with both scores" if of_delta else "Tasks with a score", "count"),
            Column("scored", "Scored of finished"),
            *_mean_columns(of_delta=of_delta),
            Column("against", "Less the first, points", "points"),
            Column("against_interval", "95 % interval", "points", interval=True),
            Column("p", "p", "p"),
            Column("p_holm", "p, corrected", "p"),
            Column("wins", "Won", "count"),
            Column("losses", "Lost", "count"),
            Column("ties", "Tied", "count"),
        ),
        tuple(_line(comparison, row, cell) for row in rows for cell in row.cells),
        (
            "Means and differences are of the shared tasks: those of which all runs with a line here have a score.",
            "Scored of finished counts all attempts of the run. What is unscored is left out, never counted as wrong.",
            "p, corrected: by Holm's method over the suites. Won, lost and tied count tasks.",
            f"Intervals and tests: {'; '.join(methods)}.",
        ),
    )


def _line(comparison: "Comparison", row: Row, cell: Cell) -> "tuple[Shown, ...]":
    return (
        row.suite,
        row.measure,
        comparison.runs[cell.run].name,
        row.items,
        cell.coverage.items,
        str(cell.coverage),
        cell.estimate.mean,
        _interval(cell.estimate),
        *_against(cell),
    )


def _against(cell: Cell) -> "tuple[Shown, ...]":
    found = cell.against
    if found is None:
        return (None,) * 7
    return (found.mean, _interval(found), found.p, cell.p, found.wins, found.losses, found.ties)


def _settings(comparison: "Comparison") -> Table:
    runs = comparison.runs
    return Table(
        "settings",
        "Settings that differ",
        (Column("setting", "Setting"), *(Column(run.name, run.name) for run in runs)),
        tuple((setting.name, *setting.values) for setting in comparison.settings),
        ("From each run's config.toml, and the graders that gave its scores; – is what a run has not.",),
    )


def _mean_columns(*, of_delta: bool) -> Sequence[Column]:
    kind: Kind = "points" if of_delta else "share"
    title = "Difference, points" if of_delta else "Mean score, %"
    return Column("mean", title, kind), Column("interval", "95 % interval", kind, interval=True)


def _interval(estimate: "Estimate | Difference | None") -> Interval | None:
    return None if estimate is None else Interval(estimate.low, estimate.high)


def _verdict(place: Place) -> str:
    if place.behind is None:
        return "the best"
    return "behind the best" if place.apart else "not told apart from the best"
