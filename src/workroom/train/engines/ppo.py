"""The engine `ppo`: our own trainer around our rollouts, on one CPU or GPU."""

import random
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.train.engines.ppo_trainer import PpoTrainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workroom.train.config import TrainConfig
    from workroom.train.records import Rollout


class PpoEngine:
    """Trains `model` in place.

    `collect` runs the episodes of a step: from task ids, each repeated as often as it is to be tried, and the number of
    steps done to a rollout for each. `on_step` is told the number of each finished step and the trainer's figures, and
    says whether to stop. `directory` holds the checkpoints. Raises what `PpoTrainer` raises.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        config: "TrainConfig",
        tasks: "Sequence[str]",
        directory: Path,
        *,
        collect: "Callable[[Sequence[str], int], Sequence[Rollout]]",
        on_step: "Callable[[int, dict[str, float]], bool]",
    ) -> None:
        self.trainer = PpoTrainer(model, tokenizer, config)
        self._config = config
        self._tasks = list(tasks)
        self._directory = directory
        self._collect = collect
        self._on_step = on_step

    def train(self, *, resume: bool) -> int:
        """Runs all steps, or those after the last checkpoint in the directory; the number of the last one."""
        output, steps = self._config.output, self._config.algorithm.steps
        if resume:
            self.trainer.load(self._checkpoints()[-1])
        while self.trainer.steps < steps:
            rollouts = self._collect(self.names(self.trainer.steps), self.trainer.steps)
            began = time.monotonic()
            figures = self.trainer.step(rollouts)
            done = self.trainer.steps
            stop = self._on_step(done, figures | {"update_seconds": time.monotonic() - began})
            if stop or done == steps or done % output.checkpoint_every == 0:
                self._save(done)
            if stop:
                break
        return self.trainer.steps

    def names(self, step: int) -> list[str]:
        """The tasks of a step, counted from 0, each as often as a group is large.

        Every pass over the tasks is in an order of its own, which depends on the seed and the pass alone: a training
        that goes on meets the tasks that it would have met.
        """
        algorithm, size = self._config.algorithm, len(self._tasks)
        chosen = []
        for place in range(step * algorithm.prompts, (step + 1) * algorithm.prompts):
            turn, index = divmod(place, size)
            order = random.Random(f"{self._config.seed} {turn}").sample(self._tasks, size)
            chosen.append(order[index])
        return [name for name in chosen for _ in range(self._config.rollout.group)]

    def _save(self, step: int) -> None:
        self.trainer.save(self._directory / f"checkpoint-{step}")
        for old in self._checkpoints()[: -self._config.output.keep_checkpoints]:
            shutil.rmtree(old)

    def _checkpoints(self) -> list[Path]:
        """Those that are there, the last one last."""
        return sorted(self._directory.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
