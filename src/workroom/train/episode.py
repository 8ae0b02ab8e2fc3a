"""One episode for training: a run like any other, and what a trainer needs of it."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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


@dataclass(frozen=True, slots=True)
class Job:
    """A rollout to make: which of the task's it is, and the seed to sample with (None: any)."""

    task: Task
    sample: int
    seed: int | None = None


class Places:
    """What episodes share: at most `working` agents at a time, and `ahead` more sandboxes that are there for the next
    ones or still being closed. As many sandboxes as agents are opened at a time, in the order of the episodes, so that
    those that are ahead hold up none that could work already."""

    def __init__(self, working: int, ahead: int) -> None:
        self.working = asyncio.Semaphore(working)
        self.opening = asyncio.Semaphore(working)
        self.alive = asyncio.Semaphore(working + ahead)


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
    places: Places | None = None,
    tries: int = 2,
) -> Rollout:
    """Runs the episode in `directory`, which is made anew, and grades it; where the plant fails, up to `tries` times.

    A plant that goes on failing gives a rollout without a reward, and its `error` says why. `places`: what it shares
    with other episodes, None for one that is alone.

    Raises ConfigError for settings or a task that no run takes, and for a model that does not tell its token ids;
    WorkroomError where the host's disk takes no more.
    """
    config = replace(resolved.config, seed=job.seed)
    watch = Watch(meter or Meter(), "sandbox" if config.mode == "sandbox" else "other")
    places = places or Places(1, 1)
    watch.turn_to("queue")
    try:
        for attempt in range(1, tries + 1):
            rollout = await _attempt(job, model, Resolved(config, resolved.origins), directory, watch, places)
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
    job: Job, model: "Model", resolved: Resolved, directory: Path, watch: Watch, places: Places
) -> Rollout:
    """One try, not graded yet."""
    reason: StopReason = "sandbox_error"
    async with places.alive, AsyncExitStack() as opening:
        await opening.enter_async_context(places.opening)
        watch.turn_to(watch.home)
        own = WatchedModel(model, watch)
        slot = _working(places.working, opening, watch)
        run = Run(job.task, resolved, model=own, out=directory, slot=slot, durable=False)
        try:
            # To its end: a thread that is left alone would make the directory after it was removed.
            await finished(asyncio.create_task(asyncio.to_thread(_begin, run, directory)))
            return _rollout(job, await run.episode(), model.name)
        except asyncio.CancelledError:
            run.interrupted()  # where that came before the episode, which does so itself
            raise
        except ConfigError:
            raise
        except (ModelError, SandboxError) as failure:
            reason, error = ("model_error" if isinstance(failure, ModelError) else reason), str(failure)
        except WorkroomError:  # nothing can be written any more
            raise
        except Exception as failure:  # noqa: BLE001 - a mistake of ours in one episode must not end the others
            error = f"internal error: {type(failure).__name__}: {failure}"
        finally:
            watch.turn_to("queue")
    return Rollout(job.task.id, job.sample, (), None, reason, error=error)


def _begin(run: Run, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    run.prepare()


@asynccontextmanager
async def _working(working: asyncio.Semaphore, opening: AsyncExitStack, watch: Watch) -> AsyncIterator[None]:
    """Held while the agent works; what is held for the opening of its sandbox is let go before."""
    await opening.aclose()
    watch.turn_to("queue")
    async with working:
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
