"""A model that is asked by so many episodes at a time."""

import asyncio
from collections.abc import Callable, Sequence

from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolSpec
from workroom.models.waiting import on_queue


class BoundedModel:
    """`inner`, with at most so many calls under way. What waits can be stopped, and knows that it waits."""

    def __init__(self, inner: Model, places: int | asyncio.Semaphore) -> None:
        self.name = inner.name
        self.window = inner.window
        self.hints = inner.hints
        self._inner = inner
        self._places = asyncio.Semaphore(places) if isinstance(places, int) else places

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`."""
        tell = on_queue.get()
        waits = self._places.locked()
        if tell is not None and waits:
            tell(True)
        async with self._places:
            if tell is not None and waits:
                tell(False)
            try:
                return await self._inner.complete(messages, tools, sampling=sampling, on_delta=on_delta)
            finally:
                self.window = self._inner.window
                self.hints = self._inner.hints

    def for_task(self, task_id: str) -> "BoundedModel":
        inner = self._inner.for_task(task_id)
        return self if inner is self._inner else BoundedModel(inner, self._places)

    async def aclose(self) -> None:
        await self._inner.aclose()
