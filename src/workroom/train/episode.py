"""One episode for training: a run like any other, and what a trainer needs of it."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from workroom._run import Run
from workroom.config import Resolved, from_arguments
from workroom.errors import ConfigError, ModelError, SandboxError, WorkroomError
from workroom.sandbox.waiting import finished
from workroom.task import Task
from workroom.train.meter import Meter, Watch, WatchedModel
from workroom.train.records import Rollout, TrainRow
from workroom.train.rewards import PLANT
from workroom.train.rows import rows_of

if TYPE_CHECKING:
    from workroom._outcome import RunResult
    from workroom.models.base import Model
    from workroom.train.config import RolloutSection
    from workroom.train.rewards import Reward
    from workroom.trajectory.events import Event, StopReason

UNKNOWN = "unknown"  # tools that a model invents, counted together
Mode = Literal["sandbox", "llm"]
Place = AbstractAsyncContextManager[object]
_ROOM: Final[Place] = nullcontext()


@dataclass(frozen=True, slots=True)
class Job:
    """A rollout to make: which of the task's it is, and the seed to sample with (None: any)."""

    task: Task
    sample: int
    seed: int | None = None


def settings(
    section: "RolloutSection", model: "Model", *, mode: Mode = "sandbox", temperature: float | None = None
) -> Resolved:
    """The settings of a run that `section` means. `temperature`: another than the section's.

    Raises ConfigError for a value that no run takes.
    """
    return from_arguments(
        {
            "model": model.name,
            "mode": mode,
            "style": section.style,
            "sandbox": section.sandbox,
            "image": section.image,
            "network": section.network,
            "memory": section.memory,
            "pids": section.pids,
            "disk": section.disk,
            "command_timeout": section.command_timeout,
            "max_turns": section.max_turns,
            "max_time": section.max_time,
            "temperature": section.temperature if temperature is None else temperature,
            "checkpoints": False,
            "token_ids": True,
        }
    )


async def play(
    job: Job,
    model: "Model",
    resolved: Resolved,
    reward: "Reward",
    directory: Path,
    *,
    meter: Meter | None = None,
    room: Place = _ROOM,
    slot: Place = _ROOM,
    tries: int = 2,
) -> Rollout:
    """Runs the episode in `directory`, which is made anew, and grades it; where the plant fails, up to `tries` times.

    A plant that goes on failing gives a rollout without a reward, and its `error` says why. `room` is held as long as
    there is a sandbox, `slot` while the agent works in it; both are entered for every try.

    Raises ConfigError for settings or a task that no run takes, and for a model that does not tell its token ids;
    WorkroomError where the host's disk takes no more.
    """
    config = replace(resolved.config, seed=job.seed)
    watch = Watch(meter or Meter(), "sandbox" if config.mode == "sandbox" else "other")
    watch.turn_to("queue")
    try:
        for attempt in range(1, tries + 1):
            async with room:
                watch.turn_to(watch.home)
                rollout = await _attempt(job, model, Resolved(config, resolved.origins), directory, watch, slot)
            watch.turn_to("queue")
            if rollout.stop_reason not in PLANT or attempt == tries:
                break
        watch.turn_to("other")
        earned = await reward.of(job.task, rollout.answer, rollout.stop_reason, rollout.error)
    finally:
        watch.turn_to(None)
    seconds = watch.seconds
    return replace(
        rollout,
        reward=earned.value,
        components=earned.components,
        error=rollout.error if earned.value is not None else earned.reason or rollout.error,
        seconds=sum(seconds.values()) - seconds["queue"],
        model_seconds=seconds["model"],
        sandbox_seconds=seconds["sandbox"],
        path=directory if (directory / "events.jsonl").is_file() else None,
    )


async def _attempt(
    job: Job,
    model: "Model",
    resolved: Resolved,
    directory: Path,
    watch: Watch,
    slot: Place,
) -> Rollout:
    """One try, not graded yet."""
    own = WatchedModel(model, watch)
    run = Run(job.task, resolved, model=own, out=directory, slot=_watched(slot, watch))
    reason: StopReason = "sandbox_error"
    try:
        # To its end: a thread that is left alone would make the directory after it was removed.
        await finished(asyncio.create_task(asyncio.to_thread(_begin, run, directory)))
        return _rollout(job, await run.episode(), model.name)
    except ConfigError:
        raise
    except (ModelError, SandboxError) as failure:
        reason, error = ("model_error" if isinstance(failure, ModelError) else reason), str(failure)
    except WorkroomError:  # nothing can be written any more
        raise
    except Exception as failure:  # noqa: BLE001 - a mistake of ours in one episode must not end the others
        error = f"internal error: {type(failure).__name__}: {failure}"
    return Rollout(job.task.id, job.sample, (), None, reason, error=error)


def _begin(run: Run, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    run.prepare()


@asynccontextmanager
async def _watched(slot: Place, watch: Watch) -> AsyncIterator[None]:
    watch.turn_to("queue")
    async with slot:
        watch.turn_to(watch.home)
        yield


def _rollout(job: Job, result: "RunResult", model: str) -> Rollout:
    return Rollout(
        group=job.task.id,
        sample=job.sample,
        rows=_rows(result.trajectory, model),
        reward=None,
        stop_reason=result.stop_reason,
        answer=result.answer,
        error=result.error,
        turns=result.turns,
        tool_calls=_calls(result.trajectory),
    )


def _rows(events: "Sequence[Event]", model: str) -> tuple[TrainRow, ...]:
    """The rows of the episode. Raises ConfigError where a turn of it has no token ids, or no log-probabilities."""
    if any(event.type == "assistant" and event.tokens is None for event in events):
        raise ConfigError(
            f"{model} does not tell the token ids of what it samples, from which training learns: serve it with vLLM "
            "or SGLang, or load it here"
        )
    return rows_of(events)


def _calls(events: "Sequence[Event]") -> dict[str, int]:
    """How often each tool was called, in order of the first call."""
    offered: set[str] = set()
    calls: Counter[str] = Counter()
    for event in events:
        if event.type == "episode_started":
            offered = {tool["function"]["name"] for tool in event.tools}
        elif event.type == "assistant":
            calls.update(call.name if call.name in offered else UNKNOWN for call in event.calls)
    return dict(calls)
