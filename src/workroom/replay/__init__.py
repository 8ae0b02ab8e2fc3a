"""A run's commands again, in a fresh sandbox: does the same come out?

The recorded turns are played to the agent as a model would give them, so that everything around a tool call is as it
was in the run: what is refused, cut off, or told instead of being run.
"""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workroom.config import RunConfig, from_arguments
from workroom.errors import ConfigError, SandboxGone
from workroom.replay.compare import difference
from workroom.replay.documents import Content
from workroom.replay.recorded import Expected, RecordedModel, recorded

if TYPE_CHECKING:
    from workroom.trajectory.events import Call, EpisodeFinished, ToolFinished
    from workroom.trajectory.rundir import RunDirectory

Status = Literal["same", "different", "not_reached"]
_KEPT = (
    "documents",
    "execution",
    "read_only",
    "sandbox",
    "image",
    "network",
    "cpus",
    "memory",
    "pids",
    "disk",
    "command_timeout",
    "command_output",
    "max_turns",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call beside its recording. `diff` is a unified diff, empty where they are the same.

    `not_reached`: the replay had ended before.
    """

    turn: int
    call: "Call"
    status: Status
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How a replay came out. `skipped` counts the recorded calls that the run itself had not carried out.

    `answer`: as `Outcome.status`, None where the recorded run did not come to its end.
    """

    outcomes: tuple[Outcome, ...]
    skipped: int
    answer: Status | None = None
    answer_diff: str = ""

    @property
    def same(self) -> bool:
        return self.answer in (None, "same") and all(outcome.status == "same" for outcome in self.outcomes)


def configuration(run: "RunDirectory", overrides: Mapping[str, Any]) -> RunConfig:
    """The settings of the run's sandbox, with those of `overrides` that are not None in their place.

    A run that was imported ran elsewhere: its commands get no network unless `overrides` says so. Raises ConfigError
    for a run without a sandbox and for a value that is none.
    """
    if run.started is None:
        raise ConfigError(
            f"the log of the run in {run.path} has no beginning, or that is damaged: it cannot be replayed"
        )
    if run.started.mode == "llm":
        raise ConfigError(f"the run in {run.path} was made in mode llm: it ran no commands that could be replayed")
    facts = run.started.sandbox or {}
    values: dict[str, Any] = {"sandbox": facts.get("backend"), "network": facts.get("network")}
    if "imported_from" in run.run:
        values = {"network": "none"}
    config = run.run.get("config")
    for key, entry in config.items() if isinstance(config, dict) else ():
        if key in _KEPT and isinstance(entry, dict):
            values[key] = entry.get("value")
    values |= {key: value for key, value in overrides.items() if value is not None}
    return from_arguments(values).config


async def replay(
    run: "RunDirectory",
    config: RunConfig,
    documents: Mapping[str, Content],
    *,
    exact: bool = False,
    on_start: Callable[[int, int, "Call"], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Result:
    """Runs the recorded calls and compares what they give, observation by observation.

    `exact`: compare also what differs by nature, see `compare`. `on_start(number, of, call)` is told before a call,
    `on_outcome` after it. Raises ConfigError for a run without calls, SandboxError where the sandbox fails.
    """
    from workroom.agent import Agent, EpisodeLimits
    from workroom.sandbox import Sandbox
    from workroom.task import Task

    turns, skipped = recorded(run)
    expected = [call for turn in turns for call in turn.expected]
    if not expected:
        raise ConfigError(f"the run in {run.path} has no tool call that could be replayed")
    limits = EpisodeLimits(max_turns=max(config.max_turns, len(turns)))
    outcomes: list[Outcome] = []
    end: EpisodeFinished | None = None
    async with Sandbox.open(config.sandbox, image=config.image, network=config.network, limits=config.limits) as box:
        if on_notice is not None:
            _tell_differences(run, box.facts, on_notice)
        model = RecordedModel(run, turns, box)
        arm: dict[str, Any] = {key: getattr(config, key) for key in ("documents", "execution", "read_only")}
        stream = Agent(model, box, limits=limits, **arm).stream(Task(_TASK, documents=documents))
        async with aclosing(stream) as events:
            async for event in events:
                if event.type == "tool_started" and on_start is not None and len(outcomes) < len(expected):
                    on_start(len(outcomes) + 1, len(expected), event.call)
                elif event.type == "tool" and len(outcomes) < len(expected):
                    outcomes.append(_compare(expected[len(outcomes)], event, exact))
                    if on_outcome is not None:
                        on_outcome(outcomes[-1])
                elif event.type == "episode_finished":
                    end = event
    assert end is not None
    if end.stop_reason == "sandbox_error":
        raise SandboxGone(end.error or "the sandbox died")
    if len(outcomes) < len(expected):
        for left in expected[len(outcomes) :]:
            outcomes.append(Outcome(left.turn, left.call, "not_reached"))
            if on_outcome is not None:
                on_outcome(outcomes[-1])
    return Result(tuple(outcomes), skipped, *_answers(run, end, exact))


_TASK = "This is a replay."  # no model reads it


def _compare(expected: Expected, event: "ToolFinished", exact: bool) -> Outcome:
    diff = difference(expected.finished, event, exact=exact)
    return Outcome(expected.turn, expected.call, "different" if diff else "same", diff)


def _answers(run: "RunDirectory", end: "EpisodeFinished", exact: bool) -> tuple[Status | None, str]:
    """The answer beside the recorded one, where the run came to its own end."""
    was = run.finished
    if was is None or was.stop_reason in ("interrupted", "model_error", "sandbox_error") or "imported_from" in run.run:
        return None, ""
    diff = difference(was, end, exact=exact)
    return ("different" if diff else "same"), diff


def _tell_differences(run: "RunDirectory", facts: Any, notice: Callable[[str], None]) -> None:
    """What may explain a difference: another image, another backend."""
    was = (run.started.sandbox if run.started else None) or {}
    for name in ("backend", "image"):
        now = getattr(facts, name)
        if was.get(name) not in (None, now):
            notice(f"the run had the {name} {was[name]}, this is {now}")
