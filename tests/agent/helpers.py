"""A model that plays what a test wants, failures included, and an episode with it in a real sandbox."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.conftest import RunInBox
from workroom.agent import Agent
from workroom.models.base import (
    Completion,
    Delta,
    FinishReason,
    Message,
    Model,
    ModelHints,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from workroom.models.retry import RetryPolicy
from workroom.sandbox import Sandbox
from workroom.task import Task
from workroom.trajectory import EpisodeFinished, Event, Reminder, ToolFinished

Reply = Completion | Exception
QUICK = RetryPolicy(attempts=3, first_wait=0.01)
ANSWER = {"command": "echo 42 > /testbed/answer.txt"}


class Player:
    """Plays the replies in turn, the last one for ever. `seen` keeps the messages and settings of every call."""

    def __init__(self, *replies: Reply, window: int | None = None, hints: ModelHints | None = None, delay: float = 0):
        self.name = "test/player"
        self.window = window
        self.hints = hints or ModelHints()
        self.delay = delay
        self.replies = list(replies)
        self.seen: list[tuple[Message, ...]] = []
        self.sampling: list[Sampling | None] = []
        self.tools: Sequence[ToolSpec] = ()
        self.cancelled = False

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        reply = self.replies[min(len(self.seen), len(self.replies) - 1)]
        self.seen.append(tuple(messages))
        self.sampling.append(sampling)
        self.tools = tools
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(reply, Exception):
            raise reply
        if on_delta is not None:
            on_delta(Delta("content", reply.message.content))
        return reply

    def for_task(self, task_id: str) -> "Player":
        return self

    async def aclose(self) -> None:
        pass


def call(name: str, arguments: str | dict[str, Any] | None = None, identifier: str = "") -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return ToolCall(identifier, name, text)


def bash(command: str, **rest: Any) -> ToolCall:
    return call("execute_bash", {"command": command, **rest})


SUBMIT = call("submit")
FINISH = (call("execute_bash", ANSWER), SUBMIT)


def says(
    *calls: ToolCall,
    text: str = "",
    reasoning: str | None = None,
    finish: FinishReason | None = None,
    usage: Usage | None = None,
) -> Completion:
    message = Message("assistant", text, reasoning=reasoning, tool_calls=calls)
    return Completion(message, finish or ("tool_calls" if calls else "stop"), usage)


def play(
    run_in_box: RunInBox,
    model: Model,
    task: Task | str = "Find out.",
    *,
    on_event: Callable[[Agent, Event], None] | None = None,
    prepare: Callable[[Sandbox], Any] | None = None,
    **options: Any,
) -> list[Event]:
    """All events of one episode in a fresh sandbox."""

    async def work(box: Sandbox) -> list[Event]:
        if prepare is not None:
            await prepare(box)
        agent = Agent(model, box, retry=QUICK, **options)
        events = []
        async for event in agent.stream(task):
            events.append(event)
            if on_event is not None:
                on_event(agent, event)
        return events

    events: list[Event] = run_in_box(work)
    assert [event.seq for event in events if not event.live_only] == list(
        range(sum(not event.live_only for event in events))
    )
    return events


def end(events: list[Event]) -> EpisodeFinished:
    last = events[-1]
    assert isinstance(last, EpisodeFinished)
    return last


def tools(events: list[Event]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


def reminders(events: list[Event]) -> list[Reminder]:
    return [event for event in events if isinstance(event, Reminder)]
