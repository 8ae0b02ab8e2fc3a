"""Episodes on held-out documents, as a file with a line for each: what the report compares."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from workroom.train.records import Rollout
from workroom.trajectory.files import to_json

if TYPE_CHECKING:
    from workroom.bench.report.observed import Observed

Mode = Literal["sandbox", "llm"]
FOLDER = "evaluations"


@dataclass(frozen=True, slots=True)
class Line:
    """One episode. `reward` is None where the plant failed; `success` is full marks. `seconds` is wall time.

    `uses`: how many of its turns show each capability, `phrases`: how often each kind occurs in what the model wrote,
    as `workroom analyze` counts them; None where the run was not kept to be looked at.
    """

    task: str
    mode: Mode
    repeat: int
    reward: float | None
    stop_reason: str
    turns: int
    tool_calls: dict[str, int]
    sampled: int
    seconds: float
    answer: str | None = None
    model_seconds: float = 0.0
    sandbox_seconds: float = 0.0
    uses: dict[str, int] | None = None
    phrases: dict[str, int] | None = None

    @property
    def success(self) -> bool:
        return self.reward == 1.0


def line_of(rollout: Rollout, mode: Mode) -> Line:
    """The line of a rollout, with what its run shows where that was kept."""
    seen = _observed(rollout.path)
    return Line(
        task=rollout.group,
        mode=mode,
        repeat=rollout.sample,
        reward=rollout.reward,
        stop_reason=rollout.stop_reason,
        turns=rollout.turns,
        tool_calls=dict(rollout.tool_calls),
        sampled=rollout.sampled,
        seconds=round(rollout.seconds, 3),
        answer=rollout.answer,
        model_seconds=round(rollout.model_seconds, 3),
        sandbox_seconds=round(rollout.sandbox_seconds, 3),
        uses=None if seen is None else dict(seen.capabilities),
        phrases=None if seen is None else dict(seen.phrases),
    )


def _observed(path: Path | None) -> "Observed | None":
    from workroom.bench.report.observed import observe
    from workroom.trajectory.rundir import RunDirectory

    if path is None or not path.is_dir():
        return None
    run = RunDirectory.load(path)
    return observe(run.events, run.run)


def write(directory: Path, name: str, lines: Iterable[Line]) -> Path:
    """`evaluations/NAME.jsonl`, in place only when it is whole, so that its being there says that it was done."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for line in lines:
            record = {field: getattr(line, field) for field in Line.__slots__} | {"success": line.success}
            file.write(to_json(record) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def read(directory: Path, name: str) -> list[Line] | None:
    """The lines of an evaluation, None where it was not made."""
    path = directory / FOLDER / f"{name}.jsonl"
    if not path.is_file():
        return None
    found: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [Line(**{key: value for key, value in record.items() if key != "success"}) for record in found]


def forget(directory: Path, step: int) -> None:
    """Removes the evaluations of later steps, which will be made once more, by another policy."""
    for path in (directory / FOLDER).glob("step-*.jsonl"):
        if int(path.stem.removeprefix("step-")) > step:
            path.unlink()


def figures(lines: Sequence[Line]) -> dict[str, float]:
    """Means over the scored episodes: `reward`, `success` and `tool_use` are shares, `turns`, `tool_calls` and
    `sampled_tokens` numbers an episode. `episodes` is the number of all, `dropped` the share without a score."""
    scored = [line for line in lines if line.reward is not None]
    found = {"episodes": float(len(lines)), "dropped": 1 - len(scored) / len(lines) if lines else 0.0}
    if scored:
        found |= {
            "reward": fmean(line.reward or 0.0 for line in scored),
            "success": fmean(line.success for line in scored),
            "tool_use": fmean(any(name != "submit" for name in line.tool_calls) for line in scored),
            "turns": fmean(line.turns for line in scored),
            "tool_calls": fmean(sum(line.tool_calls.values()) for line in scored),
            "sampled_tokens": fmean(line.sampled for line in scored),
        }
    return found
