"""A bench as its report looks at it: by suite and arm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workroom.bench.arms import VARIATIONS
from workroom.bench.report.observed import Observed
from workroom.bench.report.table import Link
from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine

FOLDER = "report"


@dataclass(frozen=True)
class Results:
    """What is there. `observed` has the attempts whose events could be read."""

    bench: BenchDirectory
    observed: Mapping[Key, Observed]

    @cached_property
    def suites(self) -> list[str]:
        """In the order of the tasks."""
        return list(dict.fromkeys([*self.bench.tasks, *(key.suite for key in self.bench.attempts)]))

    @cached_property
    def modes(self) -> list[str]:
        """The arms that were to be run or were: `llm`, `sandbox`, then the variations in their order."""
        found = {*planned_modes(self.bench.config), *(key.mode for key in self.bench.attempts)}
        places = {name: place for place, name in enumerate(VARIATIONS)}
        return sorted(
            found, key=lambda mode: (mode != "llm", [places.get(name, len(places)) for name in mode.split("+")[1:]])
        )

    @cached_property
    def groups(self) -> dict[tuple[str, str], list[Attempt]]:
        """The finished attempts by suite and arm, in the order of the tables. Empty groups are left out."""
        groups: dict[tuple[str, str], list[Attempt]] = {
            (suite, mode): [] for suite in self.suites for mode in self.modes
        }
        for key, attempt in self.bench.attempts.items():
            groups[key.suite, key.mode].append(attempt)
        return {place: attempts for place, attempts in groups.items() if attempts}

    @cached_property
    def sound(self) -> dict[tuple[str, str], list[Attempt]]:
        """As `groups`, without the attempts in which the plant failed: these say nothing of time and tokens."""
        sound = {place: [one for one in attempts if not one.failed] for place, attempts in self.groups.items()}
        return {place: attempts for place, attempts in sound.items() if attempts}

    @cached_property
    def planned(self) -> int | None:
        """How many attempts the bench was to make, None where its configuration does not tell."""
        arms = planned_modes(self.bench.config)
        if not arms:
            return None
        return len(arms) * sum(
            len(tasks) * repeats(self.bench.config, suite) for suite, tasks in self.bench.tasks.items()
        )

    def score(self, attempt: Attempt) -> ScoreLine | None:
        """Its score; None where it was not graded."""
        return self.bench.scores.get(attempt.key)

    def seen(self, attempts: list[Attempt]) -> Iterator[tuple[Attempt, Observed]]:
        """Those of the attempts whose events could be read, with what was observed."""
        for attempt in attempts:
            if (observed := self.observed.get(attempt.key)) is not None:
                yield attempt, observed

    def link(self, key: Key, text: str, file: str = "") -> Link:
        """A link from the report to an attempt's folder, or to a file in it."""
        place = self.bench.attempt_dir(key).relative_to(self.bench.path)
        return Link(text, (Path("..") / place).as_posix() + f"/{file}")


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of `config.toml`, empty where it has none of that name."""
    value = config.get(name)
    return value if isinstance(value, Mapping) else {}


def planned_modes(config: Mapping[str, Any]) -> list[str]:
    """The arms that a bench's configuration names."""
    arms = section(config, "bench").get("arms")
    return [str(arm) for arm in arms] if isinstance(arms, list) else []


def repeats(config: Mapping[str, Any], suite: str) -> int:
    """How often each task of a suite is to be attempted in each arm."""
    value = section(section(config, "suites"), suite).get("repeats", 1)
    return value if isinstance(value, int) else 1
