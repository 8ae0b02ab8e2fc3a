"""Long context: documents in the prompt against documents as files."""

from statistics import fmean

from workroom.bench.outcomes import coverage, scores_by_item
from workroom.bench.report.notes import notes
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Interval, Table
from workroom.bench.report.tables.scores import differences_of
from workroom.bench.report.tables.tokens import totals
from workroom.bench.statistics import mean_interval

_ARMS = {
    "llm": "in the prompt, no sandbox",
    "sandbox+in_prompt": "in the prompt, in the sandbox",
    "sandbox": "as files, in the sandbox",
}


def long_context(results: Results) -> Table:
    """A row for each suite whose tasks have documents, and each of the three arms."""
    suites = [suite for suite, tasks in results.bench.tasks.items() if any(task.documents for task in tasks)]
    rows: list[tuple[Cell, ...]] = []
    files_less = {
        mode: differences_of(results, "sandbox", mode) for mode in _ARMS if mode != "sandbox" and mode in results.modes
    }
    for suite in suites:
        for mode, where in _ARMS.items():
            by_item = scores_by_item(results.bench, suite, mode)
            if not by_item:
                continue
            estimate = mean_interval(by_item)
            difference, p = files_less.get(mode, {}).get(suite, (None, None))
            used = [value for values in totals(results, suite, mode).values() for value in values]
            rows.append(
                (
                    suite,
                    where,
                    mode,
                    estimate.items,
                    str(coverage(results.bench, suite, mode)),
                    estimate.mean,
                    Interval(estimate.low, estimate.high),
                    difference.mean if difference else None,
                    Interval(difference.low, difference.high) if difference else None,
                    difference.p if difference else None,
                    p,
                    fmean(used) if used else None,
                )
            )
    return Table(
        "long_context",
        "Documents in the prompt against documents as files",
        (
            Column("suite", "Suite"),
            Column("documents", "Documents"),
            Column("arm", "Arm"),
            Column("items", "Items", "count"),
            Column("scored", "Scored of finished"),
            Column("mean", "Mean score, %", "share"),
            Column("interval", "95 % interval", "share", interval=True),
            Column("files_less_this", "Files − this, points", "points"),
            Column("files_less_this", "95 % interval", "points", interval=True),
            Column("p", "p", "p"),
            Column("p_holm", "p, corrected", "p"),
            Column("tokens", "Tokens an attempt", "count"),
        ),
        tuple(rows),
        _notes(results, suites),
    )


def _notes(results: Results, suites: list[str]) -> tuple[str, ...]:
    if not suites:
        return notes("long_context", "none")
    missing = [mode for mode in _ARMS if mode not in results.modes]
    names = ("paired", *(("missing",) if missing else ()))
    return notes("long_context", *names, arms=" nor ".join(missing))
