"""Benches side by side, paired: what differs between models or settings, and a ranking of them.

benches ─▶ runs (names; the same tasks?) ─▶ rows (by suite and measure) ─▶ ranking (over suites)
              │                                │                             │
              └─▶ settings (what else differs) ┴─────────────────────────────┴─▶ document ─▶ Markdown, HTML, CSV

A *measure* is a mode, such as `sandbox`, or `sandbox − llm`: what the sandbox adds. What is compared stands on the same
ground: only tasks count that all runs which have the measure have a score of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workroom.bench.compare.ranking import Ranking, rank
from workroom.bench.compare.rows import DELTA, Row, rows_of
from workroom.bench.compare.runs import Run, check_tasks, runs_of
from workroom.bench.compare.settings import Setting, settings_of
from workroom.bench.compare.writing import to_csv, to_markdown, write_comparison
from workroom.bench.store import BenchDirectory
from workroom.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first of the `runs` is what the others are compared with. `settings`: those that differ."""

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    rankings: tuple[Ranking, ...]
    settings: tuple[Setting, ...]


def compare(benches: Sequence[BenchDirectory]) -> Comparison:
    """Compares two or more benches. It only reads, so they may still be running.

    Raises ConfigError where they are of different tasks under the same name, or have nothing in common.
    """
    runs = runs_of(benches)
    check_tasks(runs)
    rows = rows_of(runs)
    if not rows:
        raise ConfigError(
            "there is nothing to compare: no task has a score in the same suite and mode of two of these benches; "
            "`workroom bench grade DIR` scores what is unscored"
        )
    return Comparison(tuple(runs), tuple(rows), tuple(rank(runs, rows)), tuple(settings_of(runs)))


__all__ = [
    "DELTA",
    "Comparison",
    "Ranking",
    "Row",
    "Run",
    "Setting",
    "compare",
    "to_csv",
    "to_markdown",
    "write_comparison",
]
