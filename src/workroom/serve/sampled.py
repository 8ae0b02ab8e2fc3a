"""A model as one request wants it sampled."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolSpec
from workroom.models.messages import merged


class SampledModel:
    """`inner`, with other settings where the request has some; those of the run go before them."""

    def __init__(self, inner: Model, sampling: Sampling) -> None:
        self.name = inner.name
        self._inner = inner
        self._sampling = sampling
        self._take_over()

    def _take_over(self) -> None:
        """What the inner model is, which it may learn from its server's answers."""
        self.window = self._inner.window
        self.hints = replace(self._inner.hints, sampling=merged(self._sampling, self._inner.hints.sampling))

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`."""
        wanted = merged(sampling, self._sampling)
        try:
            return await self._inner.complete(messages, tools, sampling=wanted, on_delta=on_delta)
        finally:
            self._take_over()

    def for_task(self, task_id: str) -> Model:
        inner = self._inner.for_task(task_id)
        return self if inner is self._inner else SampledModel(inner, self._sampling)

    async def aclose(self) -> None:
        """Nothing: the inner model is shared."""
