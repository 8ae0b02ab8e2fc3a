"""A training's directory with figures that were made up, for what only reads files."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workroom.train import evaluation
from workroom.train.config import TrainConfig
from workroom.train.config_file import dump
from workroom.train.directory import CONFIG
from workroom.train.ledger import Ledger

STAGES = {"start": 0.1, "warm_start": 0.3, "final": 0.8}


def config(**sections: Any) -> TrainConfig:
    """A small configuration."""
    return TrainConfig.model_validate({"model": {"path": "local/smollm2-135m"}} | sections)


def line(task: str, mode: Any, reward: float | None, repeat: int = 0, **others: Any) -> evaluation.Line:
    """An episode of an evaluation."""
    values: dict[str, Any] = {
        "stop_reason": "submitted",
        "turns": 2,
        "tool_calls": {"execute_bash": 1, "submit": 1},
        "sampled": 40,
        "seconds": 1.5,
    }
    return evaluation.Line(task=task, mode=mode, repeat=repeat, reward=reward, **(values | others))


def episodes(share: float, count: int = 20) -> list[evaluation.Line]:
    """The first of so many tasks succeed in sandbox mode; in the other mode every tenth does."""
    found = []
    for number in range(count):
        found.append(line(f"task-{number}", "sandbox", float(number < share * count)))
        found.append(line(f"task-{number}", "llm", float(number % 10 == 0), turns=1, tool_calls={}))
    return found


def training(directory: Path, *, seed: int = 0, steps: int = 4, stages: Sequence[str] = tuple(STAGES)) -> Path:
    """The whole directory."""
    directory.mkdir(parents=True)
    made = config(seed=seed, algorithm={"steps": steps})
    (directory / CONFIG).write_text(dump(made))
    chance = random.Random(seed)
    with Ledger(directory, tensorboard=False) as ledger:
        for step in (1, 2):
            ledger.write("warm_start", step, {"loss": 1 / step})
        for step in range(1, steps + 1):
            share = step / steps
            ledger.write(
                "train",
                step,
                {
                    "reward": share * chance.random(),
                    "success": share,
                    "turns": 2.5,
                    "sampled_tokens": 41.0,
                    "tool_use": 0.5 + share / 2,
                    "clipped": 0.1,
                    "flat_groups": 0.25,
                    "dropped": 0.0,
                    "entropy": 1.5 - share,
                    "wall": 8.0,
                    "model_share": 0.9,
                    "sandbox_wait_share": 0.04,
                    "step_seconds": 10.0,
                },
            )
        ledger.write("timing", steps, {"warm_start_seconds": 30.0})
    for name in stages:
        evaluation.write(directory, name, episodes(STAGES[name]))
    evaluation.write(directory, "step-2", episodes(0.4, 10))
    evaluation.write(directory, "step-4", episodes(0.7, 10))
    return directory
