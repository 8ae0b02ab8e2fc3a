"""Benches side by side, paired: what differs between models or settings, and a ranking of them.

benches ─▶ runs (names; the same tasks?) ─▶ rows and gaps (suite, measure) ─▶ ranking (over suites)
              │                                │                                │
              └─▶ settings (what else differs) ┴────────────────────────────────┴─▶ document ─▶ Markdown, HTML, CSV

A *measure* is a mode, such as `sandbox`, or `sandbox − llm`: what the sandbox adds. What is compared stands on the same
ground: only tasks count that all runs which have the measure have a score of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workroom.bench.compare.gaps import Gap, describe
from workroom.bench.compare.ranking import Ranking, rank
from workroom.bench.compare.rows import DELTA, Row, rows_of
from workroom.bench.compare.runs import Run, check_tasks, runs_of
from workroom.bench.compare.settings import Setting, settings_of
from workroom.bench.compare.writing import to_csv, to_markdown, write_comparison
from workroom.bench.store import BenchDirectory
from workroom.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Comparison:
    """In each of the `rows` the first of its runs is what the others are compared with. `settings`: those that differ.

    `gaps`: what has scores, and is not compared.
    """

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    rankings: tuple[Ranking, ...]
    settings: tuple[Setting, ...]
    gaps: tuple[Gap, ...]


def compare(benches: Sequence[BenchDirectory]) -> Comparison:
    """Compares two or more benches. It only reads, so they may still be running.

    Raises ConfigError where they are of different tasks under the same name, or have nothing in common.
    """
    runs = runs_of(benches)
    check_tasks(runs)
    rows, gaps = rows_of(runs)
    if not rows:
        why = "; ".join(describe(gaps, [run.name for run in runs])) or "none of these benches has a score"
        raise ConfigError(f"there is nothing to compare: {why}; `workroom bench grade DIR` scores what is unscored")
    return Comparison(tuple(runs), tuple(rows), tuple(rank(runs, rows)), tuple(settings_of(runs)), tuple(gaps))


__all__ = [
    "DELTA",
    "Comparison",
    "Gap",
    "Ranking",
    "Row",
    "Run",
    "Setting",
    "compare",
    "to_csv",
    "to_markdown",
    "write_comparison",
]
