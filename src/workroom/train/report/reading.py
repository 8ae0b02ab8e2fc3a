"""What a training has left, read from its files alone."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from workroom.errors import ConfigError
from workroom.train import directory as place
from workroom.train import evaluation, ledger

MODES: Final = ("sandbox", "llm")
STAGES: Final = {"start": "before", "warm_start": "after warm start", "final": "after training"}
_BETWEEN = re.compile(r"step-(\d+)")


@dataclass(frozen=True, slots=True)
class Training:
    """A training as its report looks at it.

    `config` and `facts` are empty where their files are missing. `evaluations` by name: `start`, `warm_start`, `final`,
    in this order and as far as they are there. `between`: those of `step-N`, by N.
    """

    directory: Path
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    lines: tuple[ledger.Line, ...]
    evaluations: Mapping[str, list[evaluation.Line]]
    between: Mapping[int, list[evaluation.Line]]

    def steps(self) -> list[ledger.Line]:
        """The lines of the steps of training."""
        return [line for line in self.lines if line.kind == "train"]

    def modes(self) -> list[str]:
        """Those that an evaluation has episodes of."""
        found = {line.mode for lines in [*self.evaluations.values(), *self.between.values()] for line in lines}
        return [mode for mode in MODES if mode in found]

    def setting(self, key: str) -> Any:
        """A value of the configuration by its full name, None where it is not there."""
        value: Any = self.config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def load(directory: Path) -> Training:
    """Reads a training, also one that runs or was killed. Raises ConfigError where there is none."""
    # A line that was written twice, before and after a kill, counts once.
    lines = tuple({(line.kind, line.step): line for line in ledger.read(directory)}.values())
    evaluations = {name: found for name in STAGES if (found := evaluation.read(directory, name)) is not None}
    between = dict(sorted(_between(directory)))
    config = _config(directory)
    if not (lines or evaluations or between or config):
        raise ConfigError(f"there is no training in {directory}: it has no {place.CONFIG}")
    return Training(directory, config, place.facts(directory), lines, evaluations, between)


def _between(directory: Path) -> Iterator[tuple[int, list[evaluation.Line]]]:
    for path in (directory / evaluation.FOLDER).glob("step-*.jsonl"):
        match = _BETWEEN.fullmatch(path.stem)
        if match is not None and (found := evaluation.read(directory, path.stem)) is not None:
            yield int(match[1]), found


def _config(directory: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((directory / place.CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{directory / place.CONFIG} cannot be read: {error}") from error


def scores(lines: list[evaluation.Line], mode: str, what: str = "success") -> dict[str, list[float]]:
    """By task, the values of its episodes in a mode; what the plant dropped is left out."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if line.mode == mode and line.reward is not None:
            found.setdefault(line.task, []).append(float(line.success if what == "success" else line.reward))
    return found
