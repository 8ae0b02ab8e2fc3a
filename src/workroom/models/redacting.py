"""A model that is never told a key, and never tells one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workroom.errors import ModelError
from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolCall, ToolSpec

if TYPE_CHECKING:
    from workroom.redaction import Redactor


class RedactingModel:
    """`inner`, with the keys taken out of the messages both ways, of what is streamed, and of the errors."""

    def __init__(self, inner: Model, redactor: "Redactor") -> None:
        self.name = inner.name
        self.window = inner.window
        self.hints = inner.hints
        self._inner = inner
        self._redactor = redactor

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`."""
        streams = None if on_delta is None else _Streams(self._redactor, on_delta)
        clean = [self._clean(message) for message in messages]
        try:
            completion = await self._inner.complete(clean, tools, sampling=sampling, on_delta=streams)
        except ModelError as error:
            error.args = (self._redactor.text(str(error)), *error.args[1:])
            raise
        finally:
            self.window = self._inner.window
            self.hints = self._inner.hints
        if streams is not None:
            streams.close()
        return replace(completion, message=self._clean(completion.message))

    def for_task(self, task_id: str) -> "RedactingModel":
        inner = self._inner.for_task(task_id)
        return self if inner is self._inner else RedactingModel(inner, self._redactor)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _clean(self, message: Message) -> Message:
        redactor = self._redactor
        if not redactor.forms:
            return message
        calls = tuple(
            ToolCall(redactor.text(call.id), redactor.text(call.name), redactor.arguments(call.arguments))
            for call in message.tool_calls
        )
        clean = replace(
            message,
            content=redactor.text(message.content),
            reasoning=message.reasoning and redactor.text(message.reasoning),
            tool_calls=calls,
            tool_call_id=message.tool_call_id and redactor.text(message.tool_call_id),
            provider=message.provider and redactor.value(message.provider),
        )
        return message if clean == message else clean


class _Streams:
    """Passes deltas on, but for what may be the beginning of a key: that waits for the next piece."""

    def __init__(self, redactor: "Redactor", on_delta: Callable[[Delta], None]) -> None:
        self._redactor = redactor
        self._on_delta = on_delta
        self._held: dict[str, Delta] = {}

    def __call__(self, delta: Delta) -> None:
        held = self._held.pop(delta.kind, None)
        text = self._redactor.text(delta.text if held is None else held.text + delta.text)
        kept = self._beginning(text)
        if kept:
            self._held[delta.kind] = Delta(delta.kind, text[-kept:])
            text = text[:-kept]
        if text:
            self._on_delta(Delta(delta.kind, text))

    def close(self) -> None:
        """Passes on what turned out to be no key."""
        for delta in self._held.values():
            self._on_delta(delta)
        self._held = {}

    def _beginning(self, text: str) -> int:
        """How many characters at the end may be the beginning of a key."""
        longest = 0
        for form in self._redactor.forms:
            at = text.find(form[0], max(0, len(text) - len(form) + 1))
            while at >= 0 and len(text) - at > longest:
                if form.startswith(text[at:]):
                    longest = len(text) - at
                    break
                at = text.find(form[0], at + 1)
        return longest
