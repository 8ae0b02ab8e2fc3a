"""The recorded turns of a run, as a model that plays them."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workroom.errors import BadRequest, TransferError
from workroom.models.base import Completion, Delta, Message, ModelHints, Sampling, ToolCall, ToolSpec, Usage
from workroom.trajectory.reader import answers, kept

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox
    from workroom.trajectory.events import AssistantTurn, Call, Event, ToolFinished
    from workroom.trajectory.rundir import RunDirectory

_SHORTENED = re.compile(r".*/turn-(\d+)-(\d+)\.txt")
_NOT_RUN = ("submitted", "max_time", "last_turn", "interrupted")


@dataclass(frozen=True, slots=True)
class Expected:
    """A call and what it gave in the run."""

    turn: int
    call: "Call"
    finished: "ToolFinished"


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn to play, with the calls that were carried out.

    `files`: what the harness had put into the sandbox before it, the full texts of observations that it shortened.
    """

    completion: Completion
    expected: tuple[Expected, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)


def recorded(run: "RunDirectory") -> tuple[list[Turn], int]:
    """The turns of the run's one history, and how many of their calls were never carried out.

    Those are what was in flight when the run was killed, and what it told the model it had not run, since the work was
    stopped or submitted before.
    """
    from workroom.agent.prompts import render

    refusals = tuple(render("not_run", why=why) for why in _NOT_RUN)
    history = kept(run.events)
    turns, skipped = [], 0
    files: dict[str, bytes] = {}
    for place, event in enumerate(history):
        if event.type == "context_trimmed":
            files |= _shortened(history[:place], event.files)
        if event.type != "assistant":
            continue
        answered = answers(history, place)
        done = [
            Expected(event.turn, call, answered[call.id])
            for call in event.calls
            if call.id in answered and not answered[call.id].observation.startswith(refusals)
        ]
        skipped += len(event.calls) - len(done)
        if done or not event.calls:
            turns.append(Turn(_completion(event, done), tuple(done), files))
            files = {}
    return turns, skipped


def _shortened(history: "Sequence[Event]", paths: Sequence[str]) -> dict[str, bytes]:
    """The full texts of observations, by the file that the loop had put them into: `turn-<turn>-<number>.txt`."""
    texts: dict[str, bytes] = {}
    for path in paths:
        match = _SHORTENED.fullmatch(path)
        turn, number = (int(match[1]), int(match[2])) if match else (0, 0)
        found = [event.observation for event in history if event.type == "tool" and event.turn == turn]
        if 0 < number <= len(found):
            texts[path] = found[number - 1].encode("utf-8", "replace")
    return texts


class RecordedModel:
    """Plays the turns, in order. It is offered what the model of the run was."""

    def __init__(self, run: "RunDirectory", turns: Sequence[Turn], sandbox: "Sandbox") -> None:
        started = run.started
        assert started is not None
        self.name = started.model
        self.window: int | None = None
        self.hints = _hints(run, started.tools)
        self._turns = iter(turns)
        self._sandbox = sandbox

    async def complete(
        self,
        messages: Sequence[Message],  # noqa: ARG002
        tools: Sequence[ToolSpec] = (),  # noqa: ARG002
        *,
        sampling: Sampling | None = None,  # noqa: ARG002
        on_delta: Callable[[Delta], None] | None = None,  # noqa: ARG002
    ) -> Completion:
        """The next turn. Raises BadRequest after the last one, which ends the episode."""
        turn = next(self._turns, None)
        if turn is None:
            raise BadRequest("the recorded turns are over")
        for path, data in turn.files.items():
            with suppress(OSError, TransferError):  # the command that reads it will show
                await self._sandbox.write(path, data)
        return turn.completion

    def for_task(self, task_id: str) -> "RecordedModel":  # noqa: ARG002
        return self

    async def aclose(self) -> None:
        """Nothing to free."""


def _completion(event: "AssistantTurn", done: Sequence[Expected]) -> Completion:
    calls = tuple(ToolCall(item.call.id, item.call.name, item.call.arguments) for item in done)
    whole = len(done) == len(event.calls)
    message = Message("assistant", event.content, event.reasoning, calls)
    usage = Usage(event.usage.prompt, event.usage.completion, event.usage.cached, event.usage.reasoning)
    return Completion(message, event.finish_reason if whole else "tool_calls", usage)  # type: ignore[arg-type] # as it was recorded


def _hints(run: "RunDirectory", tools: Sequence[dict[str, object]]) -> ModelHints:
    """Small models have their own wording of the tools, shorter observations, and a submit that takes the answer."""
    given = (tool.get("function", tool) for tool in tools)
    functions = {
        str(function["name"]): function for function in given if isinstance(function, dict) and "name" in function
    }
    submit = functions.get("submit", {}).get("parameters", {})
    compact = isinstance(submit, dict) and "answer" in submit.get("properties", {})
    assert run.started is not None
    protocol = run.started.protocol
    return ModelHints(
        protocol=protocol if protocol in ("native", "json", "bash") else "native",  # type: ignore[arg-type] # checked
        tools=tuple(functions) or None,
        prompt="compact" if compact else "standard",
        vision=any(event.type == "tool" and event.images for event in run.events),
    )
