"""The metrics of a training with verl: as it logs them, and by our names."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from workroom.errors import ConfigError
from workroom.train.engines.verl_data import SOURCE
from workroom.train.ledger import Kind

# Ours, and what it is in verl; tokens of a response are those of observations, too.
_TRAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "reward": "critic/score/mean",
        "response_tokens": "response_length/mean",
        "loss": "actor/pg_loss",
        "entropy": "actor/entropy",
        "grad_norm": "actor/grad_norm",
        "learning_rate": "actor/lr",
        "clip_fraction": "actor/pg_clipfrac",
        "value_loss": "critic/vf_loss",
        "step_seconds": "timing_s/step",
        "rollout_seconds": "timing_s/gen",
        "update_seconds": "timing_s/update_actor",
    }
)
_MESSAGES: Final = "training/num_turns/mean"  # of both sides
_VALIDATED: Final = re.compile(rf"val-(?:core|aux)/{SOURCE}-(\w+)/(\w+)/mean@\d+")
_NAMES: Final[Mapping[str, str]] = MappingProxyType({"acc": "success"})  # the others have ours


def entries(directory: Path) -> Iterator[tuple[Kind, int, dict[str, float]]]:
    """What a ledger is to have of the training, by our names, in order; verl has no such thing as the rest of them."""
    for step, data in figures(directory).items():
        values = {name: data[theirs] for name, theirs in _TRAIN.items() if theirs in data}
        if _MESSAGES in data:
            values["turns"] = data[_MESSAGES] / 2
        if "reward" in values:
            yield "train", step, values
        found = [(match, value) for name, value in data.items() if (match := _VALIDATED.fullmatch(name))]
        if found:
            yield "validation", step, {f"{match[1]}/{_NAMES.get(match[2], match[2])}": value for match, value in found}


def figures(directory: Path) -> dict[int, dict[str, float]]:
    """verl's own metrics by step, by its names. What was done again after a resumption counts as the last time."""
    found: dict[int, dict[str, float]] = {}
    for log in _logs(directory):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                if number + 1 < len(lines):
                    raise ConfigError(f"{log} is damaged in line {number + 1}: begin the training anew") from None
                continue  # torn by a kill
            if number == 0:  # of the step after the checkpoint, or the validation of the checkpoint's own
                found = {step: data for step, data in found.items() if step <= entry["step"]}
            found.setdefault(entry["step"], {}).update(entry["data"])
    return dict(sorted(found.items()))


def _logs(directory: Path) -> list[Path]:
    """What verl's starts have logged, in order: each start wants a file of its own, and would empty one."""
    return sorted(directory.glob("verl-*.jsonl"))


def next_log(directory: Path) -> Path:
    """Where the next start is to log."""
    return directory / f"verl-{len(_logs(directory)) + 1:04d}.jsonl"
