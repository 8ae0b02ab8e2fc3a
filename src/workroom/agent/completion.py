"""The `llm` mode: one plain completion, without a computer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from workroom.agent.base import BaseEpisode
from workroom.agent.documents import as_texts
from workroom.agent.prompts import render
from workroom.agent.resuming import count_used
from workroom.models.base import Message
from workroom.trajectory.events import AssistantTurn, EpisodeResumed, Event, TurnStarted


class CompletionEpisode(BaseEpisode):
    """Documents in the prompt, the answer is the text. One that was cut by its length limit ends as `max_tokens`."""

    _text: str | None = None

    async def steps(self) -> AsyncGenerator[Event, None]:
        if self.agent.stop_requested:
            self.end("interrupted")
        if self.history is not None:
            count_used(self.account, self.history)
            for message in self.history.started.messages:
                self.context.add(Message(message["role"], message["content"]))
            yield self.stamp(EpisodeResumed(turn=0, after=self.history.after))
        else:
            prompt = render("llm", texts=as_texts(self.task), prompt=self.task.prompt)
            self.context.add(Message("user", prompt))
            yield self.started(self.context.messages, [], None)
        if self.reason is not None:
            return
        self.account.begin_turn()
        yield self.stamp(TurnStarted(turn=1, remaining=self.account.remaining()))
        async with aclosing(self.call_model()) as events:
            async for event in events:
                yield event
                if isinstance(event, AssistantTurn):
                    self._text = event.content.strip() or None
                    self.end(
                        "max_tokens" if event.finish_reason == "length" else "submitted" if self._text else "stalled"
                    )

    async def answer(self) -> str | None:
        return self._text
