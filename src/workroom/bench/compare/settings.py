"""What differs between runs besides their scores, so that nobody compares apples with pears unknowingly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workroom.bench.compare.runs import Run, suites_of
from workroom.trajectory.files import to_json

ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is not the same in all runs: its dotted name, and its value in each run as text."""

    name: str
    values: tuple[str, ...]


def settings_of(runs: Sequence[Run]) -> list[Setting]:
    """The keys of `config.toml` with different values, and the suites that were graded by different graders."""
    flat = [dict(_flat(run.bench.config)) for run in runs]
    names = sorted({name for settings in flat for name in settings})
    found = [Setting(name, tuple(settings.get(name, ABSENT) for settings in flat)) for name in names]
    for suite in suites_of(runs):
        # A run that has not the suite is no difference in how it was graded.
        graders = tuple(_graders(run, suite) for run in runs)
        if len({text for text in graders if text != ABSENT}) > 1:
            found.append(Setting(f"grader of {suite}", graders))
    return [setting for setting in found if len(set(setting.values)) > 1]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else to_json(value)


def _graders(run: Run, suite: str) -> str:
    names = {line.grader for key, line in run.bench.scores.items() if key.suite == suite and line.score is not None}
    return ", ".join(sorted(names)) or ABSENT
