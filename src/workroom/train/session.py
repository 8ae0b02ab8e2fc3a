"""A training from beginning to end: data, the policy as it is, warm start, steps by reward, and what came of them.

Each stage leaves something in the directory that is there only when the stage is whole: a session that goes on after a
kill looks for these, and goes on in the middle of the steps from the trainer's last checkpoint.

    data/           the tasks               warm_start/   the policy after the supervised steps
    evaluations/    episodes, one a line    checkpoints/  the trainer's own
    samples/        trajectories            model/        the trained policy
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.train.config import TrainConfig
from workroom.train.ledger import Ledger
from workroom.train.plan import Outcome, Plan, make_plan

if TYPE_CHECKING:
    from workroom.train.data import Splits

Tell = Callable[[str], None]


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
        from workroom.train.hf_model import fitting
        from workroom.train.policies import Policy
        from workroom.train.rewards import Reward
        from workroom.train.stages import Stages

        splits = self._data()
        reward = Reward(self.config.reward)
        step = self._last_checkpoint()
        self.config = self.config.model_copy(update={"model": fitting(self.config.model, tell=self._tell)})
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
                whole = Stages(self, policy, splits, ledger).run(step)
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
