"""Whole episodes against a server that fails, in either wire format."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.conftest import SMALL
from tests.fakes import FakeServer, Reply, Request, anthropic, openai
from tests.fakes.server import Handler
from tests.models.support import KEY
from workroom.agent import Agent
from workroom.models.anthropic import AnthropicModel
from workroom.models.base import Model
from workroom.models.openai import OpenAIModel
from workroom.models.retry import RetryPolicy
from workroom.sandbox import Sandbox
from workroom.trajectory import AssistantTurn, EpisodeFinished, Event, ModelWaiting, ToolFinished

Kind = Literal["openai", "anthropic"]
KINDS: list[Kind] = ["openai", "anthropic"]
QUICK = RetryPolicy(attempts=4, first_wait=0.01, max_wait=0.02)
Ids = Sequence[str] | None
Call = tuple[str, Mapping[str, Any] | str]


@dataclass(frozen=True)
class Wire:
    """One of the two formats."""

    kind: Kind

    def says(self, text: str = "", *calls: Call, finish: str | None = None, ids: Ids = None) -> Reply:
        return self.stream(self.events(text, *calls, finish=finish, ids=ids))

    def events(self, text: str = "", *calls: Call, finish: str | None = None, ids: Ids = None) -> list[dict[str, Any]]:
        """The events of an answer. Arguments that are text are sent as they are."""
        if self.kind == "openai":
            size = max(5, max((len(arguments) for _, arguments in calls), default=0) // 20)
            return openai.chunks(text, calls=calls, finish_reason=finish, ids=ids, size=size)
        names = ids or [f"toolu_{number}" for number in range(len(calls))]
        raw = [arguments if isinstance(arguments, str) else json.dumps(arguments) for _, arguments in calls]
        blocks = [anthropic.text(text)] if text else []
        blocks += [anthropic.tool_use(name, {}, names[number]) for number, (name, _) in enumerate(calls)]
        made = anthropic.events(blocks, stop_reason=finish)
        deltas = [event for event in made if event.get("delta", {}).get("type") == "input_json_delta"]
        for event, arguments in zip(deltas, raw, strict=True):
            event["delta"] = {"type": "input_json_delta", "partial_json": arguments}
        return made

    def stream(self, events: Sequence[Mapping[str, Any] | str], **options: Any) -> Reply:
        if self.kind == "openai":
            return openai.stream(events, **options)
        parts = [f"{event}\n\n" if isinstance(event, str) else event for event in events]
        return anthropic.stream(parts, **{key: value for key, value in options.items() if key != "done"})

    def error(self, status: int, words: str, **options: Any) -> Reply:
        return (
            openai.error(status, words, **options)
            if self.kind == "openai"
            else anthropic.error(status, words, **options)
        )

    def model(self, base: str, **options: Any) -> Model:
        """The model at the server's root."""
        if self.kind == "openai":
            return OpenAIModel("openai/fake", base_url=f"{base}/v1", api_key=KEY, **options)
        return AnthropicModel("anthropic/fake", base_url=base, api_key=KEY, **options)


BASH = "execute_bash"
DONE: list[Call] = [(BASH, {"command": "echo 42 > answer.txt"}), ("submit", {})]


@dataclass(frozen=True)
class Played:
    """What an episode gave and what the server was sent."""

    events: list[Event]
    requests: list[Request]

    @property
    def end(self) -> EpisodeFinished:
        last = self.events[-1]
        assert isinstance(last, EpisodeFinished)
        return last

    @property
    def waits(self) -> list[ModelWaiting]:
        return [event for event in self.events if isinstance(event, ModelWaiting)]

    @property
    def turns(self) -> list[AssistantTurn]:
        return [event for event in self.events if isinstance(event, AssistantTurn)]

    @property
    def tools(self) -> list[ToolFinished]:
        return [event for event in self.events if isinstance(event, ToolFinished)]


async def run(
    model: Model,
    *,
    mode: Literal["llm", "sandbox"] = "llm",
    on_event: Callable[[Event], None] | None = None,
    retry: RetryPolicy = QUICK,
    **options: Any,
) -> list[Event]:
    """All events of an episode with this model, which is closed."""

    async def events(box: Sandbox | None) -> list[Event]:
        seen = []
        async for event in Agent(model, box, mode=mode, retry=retry, **options).stream("Find out."):
            seen.append(event)
            if on_event is not None:
                on_event(event)
        return seen

    try:
        if mode == "llm":
            return await events(None)
        async with Sandbox.open("bwrap", limits=SMALL) as box:
            return await events(box)
    finally:
        await model.aclose()


def play(
    wire: Wire,
    replies: Sequence[Reply | Handler] | Handler,
    *,
    mode: Literal["llm", "sandbox"] = "llm",
    options: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Played:
    """An episode against a server that plays the replies; `options` are the model's."""
    with FakeServer(replies) as server:
        events = asyncio.run(run(wire.model(server.root, **(options or {})), mode=mode, **rest))
        assert KEY not in repr(events)
        return Played(events, list(server.requests))
