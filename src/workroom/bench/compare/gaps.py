"""What no row can be made of, so that nobody takes a suite that is missing for one that was never run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """A suite and measure of which only one of the `runs` has scores, or no task that all of them have."""

    suite: str
    measure: str
    runs: tuple[int, ...]


def describe(gaps: Sequence[Gap], names: Sequence[str]) -> Iterator[str]:
    """Why each of them is not compared, in a clause for all that the same runs have. `names`: of all runs."""
    by_runs: dict[tuple[int, ...], dict[str, list[str]]] = {}
    for gap in gaps:
        by_runs.setdefault(gap.runs, {}).setdefault(gap.suite, []).append(gap.measure)
    for runs, by_suite in by_runs.items():
        what = ", ".join(f"{suite} ({', '.join(measures)})" for suite, measures in by_suite.items())
        whose = ", ".join(names[run] for run in runs)
        alone = len(runs) == 1
        yield f"only {whose} has scores of {what}" if alone else f"no task of {what} has a score in all of {whose}"
