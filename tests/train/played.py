"""`python -m tests.train.played ARGUMENTS`: the command line with a session that trains nothing, but does as one does.

`PLAYED` in the environment is what goes otherwise: `slow` (a step takes half a second), `hung` (the
second one takes longer than anybody waits), `broken` (a sandbox error).
"""

import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.train.made_up import episodes
from workroom.errors import SandboxUnavailable
from workroom.train import evaluation
from workroom.train.config import TrainConfig
from workroom.train.ledger import Ledger
from workroom.train.plan import Group, Outcome, Plan


class Session:
    """Writes figures, and the step of its last checkpoint into a file."""

    def __init__(
        self,
        config: TrainConfig,
        directory: Path,
        *,
        resume: bool,
        tell: Callable[[str], None],
        on_metrics: Callable[[dict[str, Any]], None],
    ) -> None:
        self._config, self._directory, self._resume = config, directory, resume
        self._tell, self._on_metrics = tell, on_metrics
        self._stopping = False

    def check(self) -> Plan:
        return Plan((Group("Model", (("policy", self._config.model.path),)), Group("Output", (("steps", "a\nb"),))))

    def request_stop(self) -> None:
        self._stopping = True

    def run(self) -> Outcome:
        played = os.environ.get("PLAYED", "")
        if played == "broken":
            raise SandboxUnavailable("there is no sandbox here: build one")
        checkpoint = self._directory / "checkpoint"
        done = int(checkpoint.read_text()) if self._resume and checkpoint.exists() else 0
        if not done:
            evaluation.write(self._directory, "start", episodes(0.1))
        self._tell(f"beginning after step {done}")
        resume_step = done if self._resume else None
        with Ledger(self._directory, resume_step=resume_step, tensorboard=False, on_metrics=self._on_metrics) as ledger:
            for step in range(done + 1, self._config.algorithm.steps + 1):
                self._tell(f"step {step} begins")
                time.sleep(0.5 if played == "slow" else 90 if played == "hung" and step == 2 else 0)
                ledger.write("train", step, {"reward": step / 10})
                checkpoint.write_text(str(step))
                if self._stopping:
                    return self._outcome(interrupted=True)
        evaluation.write(self._directory, "final", episodes(0.8))
        return self._outcome(interrupted=False)

    def _outcome(self, *, interrupted: bool) -> Outcome:
        return Outcome(self._directory / "report" / "report.md", self._directory / "model", interrupted)


if __name__ == "__main__":
    module = types.ModuleType("workroom.train.session")
    module.Session = Session  # type: ignore[attr-defined]
    sys.modules["workroom.train.session"] = module
    from workroom.cli import main

    sys.exit(main(sys.argv[1:]))
