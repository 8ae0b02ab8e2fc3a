"""The stages of a training on this machine, one after the other, each left out where it was done before."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.errors import ConfigError
from workroom.train import evaluation

if TYPE_CHECKING:
    from workroom.task import Task
    from workroom.train.data import Splits
    from workroom.train.engines.ppo import PpoEngine
    from workroom.train.engines.trl import TrlEngine
    from workroom.train.ledger import Ledger
    from workroom.train.policies import Policy
    from workroom.train.records import Rollout
    from workroom.train.session import Session

_BEFORE = ("start", "warm_start")  # evaluations of a policy that has made no step yet
# What the engine `ppo` tells beside what TRL tells too: see `PpoTrainer.step`.
_OF_PPO = (
    "policy_loss",
    "value_loss",
    "value_grad_norm",
    "explained_variance",
    "kl",
    "reference_kl",
    "clip_fraction",
    "sampler_gap",
    "updates",
    "failed_updates",
    "update_seconds",
)


class Stages:
    """Goes through them for one session."""

    def __init__(self, session: "Session", policy: "Policy", splits: "Splits", ledger: "Ledger") -> None:
        self._session = session
        self._config = session.config
        self._directory = session.directory
        self._policy = policy
        self._splits = splits
        self._ledger = ledger
        self._tasks = {task.id: task for task in splits.train}
        self._collected: dict[str, float] = {}
        self._began = time.monotonic()

    def run(self, step: int) -> bool:
        """From the stage that is due; `step` is that of the last checkpoint. False where it was stopped earlier."""
        evaluation.forget(self._directory, step)
        warmed = self._session.warm_folder() is not None
        if not step and not warmed:
            self._evaluate("start", 0, self._splits.test)
            if self._config.warm_start.steps and not self._session.stopping:
                self._warm_start()
                warmed = True
        if warmed and not step:
            self._evaluate("warm_start", 0, self._splits.test)
        if self._session.stopping:
            return False
        trained = self._directory / "model"
        if (trained / "config.json").is_file():
            self._policy.load_weights(trained)
        else:
            if self._train(resume=step > 0) < self._config.algorithm.steps:
                return False
            self._policy.save(trained)
        self._evaluate("final", self._config.algorithm.steps, self._splits.test)
        return True

    def _warm_start(self) -> None:
        from workroom.train.warm_start import learn, read_rows

        settings = self._config.warm_start
        if settings.data == "expert":
            rows = self._session.wait(self._policy.expert_rows(self._splits.train[: settings.tasks]))
            if not rows:
                raise ConfigError(
                    f"the expert solved none of {settings.tasks} tasks: see what it ran into below "
                    f"{self._directory / 'samples' / 'expert'} (rollout.context and rollout.max_tokens bound it, too)"
                )
        else:
            rows = read_rows(Path(settings.data))
        self._session.tell(f"warm start: {settings.steps} supervised steps on {len(rows)} rows")
        with self._policy.exclusive():
            losses = learn(
                self._policy.model, self._policy.tokenizer, rows, self._config, self._directory / "checkpoints"
            )
        for number, loss in enumerate(losses, 1):
            self._ledger.write("warm_start", number, {"loss": loss})
        self._policy.save_plain(self._directory / "warm_start")

    def _train(self, *, resume: bool) -> int:
        """The steps by reward; the number of the last one."""
        engine = _engine(self._config.engine)(
            self._policy.model,
            self._policy.tokenizer,
            self._config,
            list(self._tasks),
            self._directory / "checkpoints",
            collect=self._collect,
            on_step=self._stepped,
        )
        self._began = time.monotonic()
        return engine.train(resume=resume)

    def _collect(self, names: Sequence[str], step: int) -> "Sequence[Rollout]":
        from workroom.train.metrics import summarise

        every = self._config.validation.every
        if every and step and step % every == 0:  # here, and not after the step, whose checkpoint is whole by now
            self._evaluate(f"step-{step}", step, self._splits.validation)
            self._began = time.monotonic()
        tasks = [self._tasks[name] for name in names]
        rollouts: list[Rollout] = self._session.wait(
            self._policy.rollouts(tasks, seed=f"{self._config.seed} {step}", name=f"step-{step + 1:05d}")
        )
        self._collected = summarise(rollouts, self._policy.meter)
        return rollouts

    def _stepped(self, step: int, figures: Mapping[str, float]) -> bool:
        """Notes a step; whether to stop."""
        self._policy.changed()
        now = time.monotonic()
        seconds, self._began = now - self._began, now
        shares = {"step_seconds": seconds, "sandbox_share": self._policy.sandbox_seconds() / seconds}
        self._ledger.write("train", step, {**self._collected, **_chosen(figures), **shares})
        return self._session.stopping

    def _evaluate(self, name: str, step: int, tasks: "Sequence[Task]") -> None:
        """All modes of an evaluation that is missing; it leaves nothing where it was stopped in between."""
        if evaluation.read(self._directory, name) is not None or not tasks:
            return
        settings = self._config.validation
        lines: list[evaluation.Line] = []
        values: dict[str, float] = {}
        for mode in settings.modes:
            if self._session.stopping:
                return
            self._session.tell(f"{name}: {len(tasks) * settings.repeats} held-out episodes in {mode} mode")
            own = self._session.wait(
                self._policy.evaluate(tasks, mode, repeats=settings.repeats, name=f"{name}-{mode}")
            )
            values |= {f"{mode}/{key}": value for key, value in evaluation.figures(own).items()}
            lines += own
        evaluation.write(self._directory, name, lines)
        if name not in _BEFORE:
            self._ledger.write("validation", step, {**values, "held_out": "test" if name == "final" else "validation"})
        shown = ", ".join(f"{mode} {100 * values.get(f'{mode}/success', 0.0):.0f} %" for mode in settings.modes)
        self._session.tell(f"{name}: success {shown}")


def _engine(name: str) -> "type[TrlEngine | PpoEngine]":
    """What updates the weights; loaded only where it is used."""
    if name == "trl":
        from workroom.train.engines.trl import TrlEngine

        return TrlEngine
    from workroom.train.engines.ppo import PpoEngine

    return PpoEngine


def _chosen(figures: Mapping[str, float]) -> dict[str, float]:
    """The trainer's figures under the names of the report."""
    names = {
        "loss": "loss",
        "grad_norm": "grad_norm",
        "entropy": "entropy",
        "learning_rate": "learning_rate",
        "clip_ratio/region_mean": "clip_fraction",
        "step_time": "update_seconds",
        **{name: name for name in _OF_PPO},
    }
    return {new: figures[old] for old, new in names.items() if old in figures}
