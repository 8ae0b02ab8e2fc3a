"""What differs between runs besides their scores, so that nobody compares apples with pears unknowingly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workroom.bench.compare.runs import Run, suites_of
from workroom.trajectory.files import to_json

ABSENT: Final = "–"
# When a bench was begun, and whether a setting came from a flag or a file: neither changes what is run.
_NO_SETTINGS = ("created", "origins")
_SUITES = "suites"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is not the same in all runs: its dotted name, and its value in each run as text."""

    name: str
    values: tuple[str, ...]


def settings_of(runs: Sequence[Run]) -> list[Setting]:
    """The keys of `config.toml` with different values, and the suites that were graded by different graders.

    Of what is said of a suite only the runs count that have it.
    """
    general: list[dict[str, str]] = []
    of_suites: list[dict[str, str]] = []
    for run in runs:
        config = {key: value for key, value in run.bench.config.items() if key not in _NO_SETTINGS}
        suites = config.pop(_SUITES, {})
        graders = {f"grader of {suite}": names for suite in suites_of(runs) if (names := _graders(run, suite))}
        graders |= {f"judge of {suite}": names for suite in suites_of(runs) if (names := _judges(run, suite))}
        general.append(dict(_flat(config)))
        of_suites.append(dict(_flat({_SUITES: suites})) | graders)
    found = [setting for setting in _table(general) if len(set(setting.values)) > 1]
    return found + [setting for setting in _table(of_suites) if len({*setting.values} - {ABSENT}) > 1]


def _table(settings: Sequence[Mapping[str, str]]) -> Iterator[Setting]:
    for name in sorted({name for some in settings for name in some}):
        yield Setting(name, tuple(some.get(name, ABSENT) for some in settings))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else to_json(value)


def _graders(run: Run, suite: str) -> str:
    names = {line.grader for key, line in run.bench.scores.items() if key.suite == suite and line.score is not None}
    return ", ".join(sorted(names))


def _judges(run: Run, suite: str) -> str:
    """The models that judged what is scored now: a bench may have been graded again by another one."""
    lines = (line for key, line in run.bench.scores.items() if key.suite == suite and line.score is not None)
    return ", ".join(sorted({str(line.details["judge"]) for line in lines if "judge" in line.details}))
