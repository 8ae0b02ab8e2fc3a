"""Episodes on held-out documents, as a file with a line for each: what the report compares."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workroom.train.records import Rollout

Mode = Literal["sandbox", "llm"]
FOLDER = "evaluations"


@dataclass(frozen=True, slots=True)
class Line:
    """One episode. `reward` is None where the plant failed; `success` is full marks. `seconds` is wall time."""

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

    @property
    def success(self) -> bool:
        return self.reward == 1.0


def line_of(rollout: Rollout, mode: Mode) -> Line:
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
    )


def write(directory: Path, name: str, lines: Iterable[Line]) -> Path:
    """`evaluations/NAME.jsonl`, in place only when it is whole, so that its being there says that it was done."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for line in lines:
            record = {field: getattr(line, field) for field in Line.__slots__} | {"success": line.success}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
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


def success_rate(lines: Iterable[Line], mode: Mode) -> float | None:
    """The share of full marks among the scored episodes of a mode, None without any."""
    scored = [line.success for line in lines if line.mode == mode and line.reward is not None]
    return sum(scored) / len(scored) if scored else None
