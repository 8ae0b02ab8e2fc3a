"""Rollouts: many episodes at a time, each one a run with the loop, tools and sandboxes of `workroom run`.

Twice as many sandboxes as agents that work are there at a time, so that those of the next episodes are opened, and
those of the last ones emptied and closed, while the others keep the model busy.
"""

import asyncio
import json
import random
import shutil
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workroom._outcome import slug
from workroom.errors import ModelError, SandboxError, WorkroomError
from workroom.train.episode import Job, Mode, Places, play, settings
from workroom.train.meter import Meter
from workroom.train.rewards import PLANT
from workroom.trajectory.files import replace_file, to_json

if TYPE_CHECKING:
    from workroom.models.base import Model
    from workroom.train.config import TrainConfig
    from workroom.train.records import Rollout
    from workroom.train.rewards import Reward

__all__ = ["Job", "Rollouts", "prune"]

T = TypeVar("T")


class Rollouts:
    """Makes rollouts of one policy. `directory` is the training's: runs lie below its `running/` while they are under
    way, and those that are kept below its `samples/`.

    Belongs to one event loop, as `reward` does; `collect` may be called while another one is under way. Neither model
    nor reward is closed.
    """

    def __init__(self, model: "Model", config: "TrainConfig", reward: "Reward", directory: Path) -> None:
        self.meter = Meter()  # of the last batch
        self._model = model
        self._config = config
        self._reward = reward
        self._directory = directory
        self._places = Places(config.rollout.concurrency, ahead=config.rollout.concurrency)
        self._batches = 0

    async def collect(
        self,
        jobs: Sequence[Job],
        *,
        keep: int = 0,
        mode: Mode = "sandbox",
        temperature: float | None = None,
        name: str | None = None,
    ) -> "list[Rollout]":
        """A rollout for each job, in their order; those without a reward are to be dropped, see `groups`.

        `keep` of them, the best, the worst and others, stay to be read in `samples/NAME/` (what was there is replaced),
        with an `index.jsonl` of what they earned. `mode` and `temperature` are for validation: `llm` asks for one plain
        completion, with the documents in the prompt.

        Raises SandboxError or ModelError where every episode failed, ConfigError for settings or tasks that cannot be
        run, WorkroomError where no answer could be graded. Being cancelled ends all sandboxes.
        """
        if not jobs:
            return []
        self._batches += 1
        name = name or f"batch-{self._batches:05d}"
        resolved = settings(self._config.rollout, self._model, mode=mode, temperature=temperature)
        if mode == "sandbox":
            from workroom.sandbox.image import ensure_image

            await asyncio.to_thread(ensure_image, resolved.config.image)
        place = self._directory / "running" / name
        self.meter = meter = Meter()

        async def make(number: int, job: Job) -> "Rollout":
            directory = place / f"{number:04d}-{slug(job.task.id)}-{job.sample}"
            return await play(job, self._model, resolved, self._reward, directory, meter=meter, places=self._places)

        try:
            rollouts = await _all(make(number, job) for number, job in enumerate(jobs, 1))
            _check(rollouts)
            kept = choose(rollouts, keep, seed=f"{self._config.seed} {name}")
            return await asyncio.to_thread(_keep, rollouts, kept, self._directory / "samples" / name)
        finally:
            shutil.rmtree(place, ignore_errors=True)


async def _all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them give. The first error of one ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def choose(rollouts: "Sequence[Rollout]", keep: int, seed: str) -> list[int]:
    """The numbers of those to keep, in order: the best, the worst, then others by chance."""
    there = [number for number, rollout in enumerate(rollouts) if rollout.path is not None]
    earned = [(reward, number) for number in there if (reward := rollouts[number].reward) is not None]
    chosen = [max(earned)[1], min(earned)[1]] if earned else []
    others = [number for number in there if number not in chosen]
    random.Random(seed).shuffle(others)
    return sorted(list(dict.fromkeys([*chosen, *others]))[:keep])


def _keep(rollouts: "Sequence[Rollout]", chosen: Iterable[int], target: Path) -> "list[Rollout]":
    """Moves the runs of those that are chosen below `target`; the others have no path any more."""
    paths: dict[int, Path] = {}
    lines = []
    for number in chosen:
        rollout = rollouts[number]
        assert rollout.path is not None
        if not paths:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        paths[number] = rollout.path.rename(target / rollout.path.name)
        line = {"run": rollout.path.name, "task": rollout.group, "sample": rollout.sample, "reward": rollout.reward}
        lines.append(to_json(line | {"stop_reason": rollout.stop_reason, "components": dict(rollout.components)}))
    if lines:
        replace_file(target / "index.jsonl", "".join(f"{line}\n" for line in lines).encode())
    return [replace(rollout, path=paths.get(number)) for number, rollout in enumerate(rollouts)]


def prune(folder: Path, keep: int) -> None:
    """Leaves the first `keep` runs of a folder below `samples/`, in its index, too."""
    index = folder / "index.jsonl"
    lines = index.read_text(encoding="utf-8").splitlines(keepends=True) if index.is_file() else []
    for line in lines[keep:]:
        shutil.rmtree(folder / json.loads(line)["run"], ignore_errors=True)
    if lines:
        replace_file(index, "".join(lines[:keep]).encode())


def _check(rollouts: "Sequence[Rollout]") -> None:
    """Raises the error of a batch in which nothing can be learnt from, since nothing was rewarded."""
    if any(rollout.reward is not None for rollout in rollouts):
        return
    first = next((rollout for rollout in rollouts if rollout.stop_reason in PLANT), rollouts[0])
    if first.stop_reason not in PLANT:
        raise WorkroomError(
            f"none of {len(rollouts)} answers could be graded, and here is why of the first: {first.error}"
        )
    kind = ModelError if first.stop_reason == "model_error" else SandboxError
    raise kind(f"all {len(rollouts)} episodes failed, and here is why of the first: {first.error}")
