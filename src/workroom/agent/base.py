"""What the two kinds of episode share: numbering events, calling the model, accounting, the end."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workroom.agent.accounting import Bookkeeper, token_usage
from workroom.agent.asking import Asking
from workroom.agent.calls import Pending
from workroom.agent.context import Context, Trimmed
from workroom.agent.limits import Account
from workroom.errors import ContextOverflow, ImagesRefused, ModelError, SandboxError, WorkroomError
from workroom.models.base import Completion, Message, Sampling, TokenIds
from workroom.models.messages import merged, unique_ids
from workroom.trajectory.events import (
    AssistantTurn,
    Call,
    ContextTrimmed,
    Egress,
    EpisodeFinished,
    EpisodeStarted,
    Event,
    StopReason,
    Tokens,
)
from workroom.trajectory.reader import whole_text

if TYPE_CHECKING:
    from workroom.agent.loop import Agent
    from workroom.task import Task
    from workroom.trajectory.history import History

_SMALL = 4096  # tokens of a reply that every model allows to ask for


class BaseEpisode:
    """One run of an agent on one task."""

    def __init__(
        self, agent: "Agent", task: "Task", wake: asyncio.Event, history: "History | None" = None, saved: int = 0
    ) -> None:
        self.agent = agent
        self.task = task
        self.history = history
        self.saved = saved  # the turn whose files the sandbox has
        self.model = agent.model
        self.account = Account(agent.limits, agent.pricing)
        self.context = Context([])
        self.sampling = Sampling()
        self.reason: StopReason | None = None
        self.error: str | None = None
        self.wake = wake
        self._seq = 0 if history is None else history.next
        self.books = Bookkeeper(self.account, self.context)

    async def run(self) -> AsyncGenerator[Event, None]:
        """All events, the last one always EpisodeFinished."""
        try:
            self.model = self.agent.model.for_task(self.task.id)
            self.sampling = merged(self.agent.sampling, self.model.hints.sampling)
            async with aclosing(self.steps()) as events:
                async for event in events:
                    yield event
        except ContextOverflow as error:
            self.end("context_overflow", str(error))
        except ModelError as error:
            self.end("model_error", str(error))
        except SandboxError as error:
            self.end("sandbox_error", str(error))
        except WorkroomError as error:
            if self.history is not None and self._seq == self.history.next:
                raise  # nothing was begun: what was asked for cannot be done
            self.end("model_error" if self._seq == 0 else "sandbox_error", str(error))
        answer = None if self.reason == "sandbox_error" else await self.answer()
        for event in self.egress():
            yield event
        account = self.account
        yield self.stamp(
            EpisodeFinished(
                stop_reason=self.reason or "interrupted",
                answer=answer,
                error=self.error,
                turns=account.turns,
                usage=token_usage(account.usage, account.environment, estimated=account.estimated),
                cost=account.cost,
                duration=account.elapsed,
                model_seconds=account.model_seconds,
                tool_seconds=account.tool_seconds,
            )
        )

    def steps(self) -> AsyncGenerator[Event, None]:
        raise NotImplementedError

    async def answer(self) -> str | None:
        raise NotImplementedError

    def end(self, reason: StopReason, error: str | None = None) -> None:
        """Sets how the episode ends, and a sentence where the plant failed. The first one counts."""
        if self.reason is None:
            self.reason, self.error = reason, whole_text(error) if error else None

    def stamp(self, event: Event) -> Event:
        """Numbers an event. Live-only ones take the number of the next one that is written."""
        event.seq, event.time, event.elapsed = self._seq, time.time(), self.account.elapsed
        self._seq += not event.live_only
        return event

    def started(self, messages: list[Message], tools: list[dict[str, Any]], sandbox: dict[str, Any] | None) -> Event:
        return self.stamp(
            EpisodeStarted(
                episode=uuid.uuid4().hex,
                task=self.task.id,
                mode=self.agent.mode,
                model=self.model.name,
                protocol=self.model.hints.protocol,
                messages=[{"role": message.role, "content": message.content} for message in messages],
                tools=tools,
                documents=list(self.task.documents),
                sandbox=sandbox,
            )
        )

    def egress(self) -> list[Event]:
        """What the sandbox's proxy has reported since the last time."""
        events: list[Event] = []
        while self.agent.egress:
            record = self.agent.egress.popleft()
            event = Egress(
                host=whole_text(record.host),
                port=record.port,
                verdict=whole_text(record.verdict),
                sent=record.sent,
                received=record.received,
            )
            events.append(self.stamp(event))
        return events

    async def call_model(self) -> AsyncGenerator[Event, None]:
        """One turn's model call, with waits and shortening of the context; its last event is the AssistantTurn.

        Where the deadline or a stop ends it, there is none, and `self.reason` tells.
        """
        while True:
            if self.context.window is None:  # some servers tell it only with their first answer
                self.context.window = self.model.window
            if trimmed := await self.context.fit(self.sampling.max_tokens):
                yield self._trimmed(trimmed)
            asking = Asking(self)
            pending = Pending(asking.call)
            async with aclosing(pending.events(self.account.seconds_left)) as events:
                async for event in events:
                    yield self.stamp(event)
            if pending.ended is not None:
                self.books.ended(asking.streamed)
                self.account.model_seconds += asking.seconds
                self._end_call(pending.ended, asking.failure)
                return
            try:
                completion = pending.result()
            except ModelError as error:
                self.books.failed(error.usage)
                if isinstance(error, ContextOverflow) and not error.final:
                    if error.window is not None:
                        self.context.window = error.window
                    trimmed = await self.context.cut(self.sampling.max_tokens)
                elif isinstance(error, ImagesRefused):
                    trimmed = self.context.limit_pictures(error.most)
                else:
                    raise
                if not trimmed:
                    raise
                yield self._trimmed(trimmed)
                continue
            yield self._assistant(completion)
            return

    def _end_call(self, reason: StopReason, failure: ModelError | None) -> None:
        """How a call without an answer ends the episode. Where the time ran out while the provider failed, it is the
        provider that has ended it: of the model this says nothing."""
        if reason == "max_time" and failure is not None:
            limit = self.agent.limits.max_time
            self.end("model_error", f"{failure}; the time limit of {limit:g} s was over before another try succeeded")
        else:
            self.end(reason)

    def bounded_sampling(self) -> Sampling:
        """No longer a reply than the token budget has room for."""
        left = self.account.remaining()["tokens"]
        if left is None:
            return self.sampling
        room = max(int(left) - self.context.size(), 16)
        asked = self.sampling.max_tokens
        if asked is None:
            return self.sampling if room >= _SMALL else replace(self.sampling, max_tokens=room)
        return replace(self.sampling, max_tokens=min(asked, room))

    def _trimmed(self, trimmed: Trimmed) -> Event:
        return self.stamp(
            ContextTrimmed(
                turn=self.account.turns,
                observations=trimmed.observations,
                window=self.context.window,
                files=trimmed.files,
            )
        )

    def _assistant(self, completion: Completion) -> Event:
        """Takes the completion into the conversation and the account."""
        message = completion.message
        calls = tuple(
            replace(call, id=whole_text(call.id), name=whole_text(call.name), arguments=whole_text(call.arguments))
            for call in unique_ids(message.tool_calls, self.account.turns)
        )
        reasoning = whole_text(message.reasoning) if message.reasoning else None
        message = replace(message, content=whole_text(message.content), reasoning=reasoning, tool_calls=calls)
        usage = self.books.answered(completion, message)
        self.account.model_seconds += completion.duration
        self.context.add(message)
        if completion.usage is not None:
            self.context.measured(completion.usage)
        return self.stamp(
            AssistantTurn(
                turn=self.account.turns,
                content=message.content,
                reasoning=message.reasoning,
                calls=[Call(id=call.id, name=call.name, arguments=call.arguments) for call in calls],
                provider=dict(message.provider) if message.provider is not None else None,
                finish_reason=completion.finish_reason,
                usage=usage,
                duration=completion.duration,
                first_token=completion.first_token,
                tokens=_tokens(completion.tokens),
            )
        )


def _tokens(ids: TokenIds | None) -> Tokens | None:
    if ids is None:
        return None
    return Tokens(prompt=list(ids.prompt), completion=list(ids.completion), logprobs=list(ids.logprobs))
