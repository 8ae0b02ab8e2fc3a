"""A training from beginning to end: data, the policy as it is, warm start, steps by reward, and what came of them.

Each stage leaves something in the directory that is there only when the stage is whole: a session that goes on after a
kill looks for these, and goes on in the middle of the steps from the trainer's last checkpoint.

    data/           the tasks               warm_start/   the policy after the supervised steps
    evaluations/    episodes, one a line    checkpoints/  the trainer's own
    samples/        trajectories            model/        the trained policy
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.train import evaluation
from workroom.train.config import TrainConfig
from workroom.train.ledger import Ledger
from workroom.train.plan import Outcome, Plan, make_plan

if TYPE_CHECKING:
    from workroom.task import Task
    from workroom.train.data import Splits
    from workroom.train.policies import Policy
    from workroom.train.records import Rollout

Tell = Callable[[str], None]
_STAGES = ("start", "warm_start", "final")


class Session:
    """One training in one directory, which is locked and has its configuration already.

    `tell` is told sentences, `on_metrics` each line of `metrics.jsonl`.
    """

    def __init__(
        self,
        config: TrainConfig,
        directory: Path,
        *,
        resume: bool,
        tell: Tell,
        on_metrics: Callable[[dict[str, Any]], None],
    ) -> None:
        self.config = config
        self.directory = directory
        self._resume = resume
        self._tell = tell
        self._on_metrics = on_metrics
        self._stopping = False
        self._runner = asyncio.Runner()

    def check(self) -> Plan:
        """What will be done, see `make_plan`, whose errors it raises."""
        return make_plan(self.config, self.directory)

    def request_stop(self) -> None:
        """Asks to end after the step under way, with a checkpoint; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> Outcome:
        """Trains. Raises a WorkroomError where it cannot go on; what was finished is kept."""
        if self.config.engine == "verl":
            return self._run_verl()
        with self._runner:
            return self._run()

    def _run_verl(self) -> Outcome:
        """verl trains in processes of its own; what it noted goes into the ledger when it has ended."""
        from workroom.train.engines.verl import entries, launch

        try:
            whole = launch(self.config, self.directory, tell=self._tell, stopping=lambda: self._stopping)
        finally:
            if found := list(entries(self.directory)):
                # It writes into tensorboard/ itself.
                with Ledger(self.directory, tensorboard=False, on_metrics=self._on_metrics) as ledger:
                    for kind, step, values in found:
                        ledger.write(kind, step, values)
        return self._outcome(interrupted=not whole)

    def _run(self) -> Outcome:
        from workroom.train.policies import Policy
        from workroom.train.rewards import Reward

        splits = self._data()
        reward = Reward(self.config.reward)
        step = self._last_checkpoint()
        self._tell("loading the policy")
        policy = Policy.load(self.config, self.directory, reward, warmed=self.warm_folder(), tell=self._tell)
        kept = step if self._resume else None
        try:
            with Ledger(
                self.directory,
                resume_step=kept,
                tensorboard=self.config.output.tensorboard,
                on_metrics=self._on_metrics,
            ) as ledger:
                whole = _Stages(self, policy, splits, ledger).run(step)
        finally:
            self._runner.run(policy.aclose())
            self._runner.run(reward.aclose())
        return self._outcome(interrupted=not whole)

    def _data(self) -> "Splits":
        from workroom.train.data import build, read, write

        folder = self.directory / "data"
        if self._resume and (folder / "test.jsonl").is_file():  # the last that is written
            return read(folder)
        splits = build(self.config.data, tell=self._tell)
        write(splits, folder)
        return splits

    def warm_folder(self) -> Path | None:
        """What the warm start left, None where it was not made."""
        folder = self.directory / "warm_start"
        return folder if (folder / "config.json").is_file() else None

    def _last_checkpoint(self) -> int:
        """The step of the trainer's last checkpoint, 0 without one."""
        names = [path.name for path in (self.directory / "checkpoints").glob("checkpoint-*")]
        return max((int(name.rpartition("-")[2]) for name in names), default=0)

    def _outcome(self, *, interrupted: bool = False) -> Outcome:
        from workroom.train.report import write

        return Outcome(write(self.directory), self.directory / "model", interrupted)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping

    def wait(self, work: Any) -> Any:
        """Runs a coroutine to its end, on the one event loop of the session."""
        return self._runner.run(work)

    def tell(self, text: str) -> None:
        """Says what is done now."""
        self._tell(text)


class _Stages:
    """The stages of a session, in order."""

    def __init__(self, session: Session, policy: "Policy", splits: "Splits", ledger: Ledger) -> None:
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
        """From the stage that is due; `step` is that of the last checkpoint. False where it was stopped before the
        end."""
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
        if self._config.engine == "trl":
            from workroom.train.engines.trl import TrlEngine

            engine = TrlEngine(
                self._policy.model,
                self._policy.tokenizer,
                self._config,
                list(self._tasks),
                self._directory / "checkpoints",
                collect=self._collect,
                on_step=self._stepped,
            )
        else:
            from workroom.train.engines.ppo import PpoEngine

            engine = PpoEngine(
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
        every = self._config.validation.every
        if every and step % every == 0 and step < self._config.algorithm.steps:
            self._evaluate(f"step-{step}", step, self._splits.validation)
            self._began = time.monotonic()
        return self._session.stopping

    def _evaluate(self, name: str, step: int, tasks: "Sequence[Task]") -> None:
        if evaluation.read(self._directory, name) is not None or not tasks or self._session.stopping:
            return
        settings = self._config.validation
        lines: list[evaluation.Line] = []
        values: dict[str, float] = {}
        for mode in settings.modes:
            self._session.tell(f"{name}: {len(tasks) * settings.repeats} held-out episodes in {mode} mode")
            rollouts = self._session.wait(
                self._policy.evaluate(tasks, mode, repeats=settings.repeats, name=f"{name}-{mode}")
            )
            own = [evaluation.line_of(rollout, mode) for rollout in rollouts]
            values |= {f"{mode}/{key}": value for key, value in evaluation.figures(own).items()}
            lines += own
        evaluation.write(self._directory, name, lines)
        if name not in _STAGES[:2]:
            self._ledger.write("validation", step, {**values, "held_out": "test" if name == "final" else "validation"})
        shown = ", ".join(f"{mode} {100 * values[f'{mode}/success']:.0f} %" for mode in settings.modes)
        self._session.tell(f"{name}: success {shown}")


def _chosen(figures: Mapping[str, float]) -> dict[str, float]:
    """The trainer's figures under the names of the report."""
    names = {
        "loss": "loss",
        "grad_norm": "grad_norm",
        "entropy": "entropy",
        "learning_rate": "learning_rate",
        "clip_ratio/region_mean": "clip_fraction",
        "step_time": "update_seconds",
    }
    return {new: figures[old] for old, new in names.items() if old in figures}
