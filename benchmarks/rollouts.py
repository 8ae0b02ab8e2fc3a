"""Rollouts a second of `workroom train`'s own, with a policy that answers at once, and who is waited for.

    python -m benchmarks.rollouts [--tasks 64] [--levels 1 16 64] [--seconds 0] [--json]

A rollout is what the scripted expert plays on a generated task: its documents put into a sandbox, two commands, the
answer read, graded and the run written down. `--seconds` is how long the policy takes for a turn: with 0, the sandboxes
are all there is to wait for; with the seconds of a real one, their share is what they add to it. The levels take turns,
and the median batch counts.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workroom.models.base import Completion, Delta, Message, ModelHints, Sampling, TokenIds, ToolSpec
from workroom.models.text import TextProtocolModel
from workroom.sandbox.image import ensure_image
from workroom.task import Task
from workroom.train.config import DataSection, ModelSection, RolloutSection, TrainConfig
from workroom.train.data import build, expert_turns
from workroom.train.rewards import Reward
from workroom.train.rollouts import Job, Rollouts

BATCHES = 3
END = 2  # the token that ends a turn


class Expert:
    """A policy that plays the expert's turns of each task, and tells a made-up token for each word."""

    def __init__(self, turns: Mapping[str, Sequence[str]], seconds: float, task: str = "") -> None:
        self.name = "scripted/expert"
        self.window: int | None = None
        self.hints = ModelHints(prompt="compact")
        self._turns = turns
        self._seconds = seconds
        self._task = task
        self._ids: tuple[int, ...] = ()

    def for_task(self, task_id: str) -> "Expert":
        """The policy of one episode."""
        return Expert(self._turns, self._seconds, task_id)

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),  # noqa: ARG002 - it knows them
        *,
        sampling: Sampling | None = None,  # noqa: ARG002 - it does not sample
        on_delta: Callable[[Delta], None] | None = None,  # noqa: ARG002 - it is done at once
    ) -> Completion:
        """The next turn."""
        await asyncio.sleep(self._seconds)
        said = self._turns[self._task][sum(message.role == "assistant" for message in messages)]
        new = messages[-1:] if self._ids else messages
        prompt = self._ids + _ids(" ".join(message.content for message in new))
        sampled = (*_ids(said), END)
        self._ids = prompt + sampled
        return Completion(Message("assistant", said), "stop", tokens=TokenIds(prompt, sampled, (-0.5,) * len(sampled)))

    async def aclose(self) -> None:
        """It holds nothing."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch took. `sandbox`: the share of the wall clock in which sandboxes were all that was waited for;
    `cpu`: seconds of this process for a rollout, without those of sandboxes and graders."""

    rate: float
    sandbox: float
    cpu: float


def _ids(text: str) -> tuple[int, ...]:
    return tuple(sum(word.encode()) for word in text.split())


async def _batch(tasks: Sequence[Task], config: TrainConfig, seconds: float, folder: Path) -> Batch:
    """A rollout of every task."""
    model = TextProtocolModel(Expert({task.id: expert_turns(task) for task in tasks}, seconds), "bash")
    reward = Reward(config.reward)
    try:
        await reward.grade(tasks[0], tasks[0].answer)  # loads the grader
        rollouts = Rollouts(model, config, reward, folder)
        start, cpu = time.perf_counter(), time.process_time()
        made = await rollouts.collect([Job(task, 0) for task in tasks])
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
    finally:
        await reward.aclose()
    assert all(rollout.reward == 1.0 for rollout in made), [rollout.error or rollout.answer for rollout in made]
    return Batch(len(made) / took, rollouts.meter.share("sandbox"), cpu / len(made))


def measure(tasks: Sequence[Task], level: int, seconds: float) -> Batch:
    """A batch with so many rollouts at a time, in a folder that is removed."""
    rollout = RolloutSection(concurrency=level, memory="256m")
    config = TrainConfig(model=ModelSection(path="expert"), rollout=rollout)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_batch(tasks, config, seconds, Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ensure_image()
    section = DataSection(train=options.tasks, validation=0, test=0)
    tasks = build(section, tell=lambda _: None).train
    measure(tasks[:4], 2, 0.0)
    batches: dict[int, list[Batch]] = {level: [] for level in options.levels}
    for _ in range(BATCHES):
        for level in options.levels:
            batches[level].append(measure(tasks, level, options.seconds))
    medians = {level: sorted(some, key=lambda batch: batch.rate)[BATCHES // 2] for level, some in batches.items()}
    if options.json:
        print(json.dumps({level: asdict(batch) for level, batch in medians.items()}))
        return
    for level, batch in medians.items():
        print(
            f"{level:4} at a time {batch.rate:8.1f} rollouts/s   waiting for sandboxes {batch.sandbox:6.1%}   "
            f"{1000 * batch.cpu:6.1f} ms of CPU each"
        )


if __name__ == "__main__":
    main()
