"""Awaiting one thing while the loop goes on yielding events, and ending it at the deadline."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from workroom.trajectory.events import Event, StopReason

T = TypeVar("T")


class Pending(Generic[T]):
    """One call under way. Iterate `events()` to its end, then ask for `result()`.

    `emit` hands in an event from a callback of the call. `end(reason)` cancels it; `ended` then tells that reason.
    `hold` stops the clock of its deadline, `go_on` lets it run again.
    """

    def __init__(self, start: Callable[["Pending[T]"], Coroutine[Any, Any, T]]) -> None:
        self.ended: StopReason | None = None
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._left: float | None = None  # seconds when the clock stopped
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(start(self))
        self._task.add_done_callback(lambda _: self._queue.put_nowait(None))

    def emit(self, event: "Event") -> None:
        self._queue.put_nowait(event)

    def end(self, reason: "StopReason") -> None:
        if not self._task.done():
            self.ended = reason
            self._task.cancel()

    def hold(self) -> None:
        if self._timer is not None:
            self._left = self._timer.when() - asyncio.get_running_loop().time()
            self._timer.cancel()
            self._timer = None

    def go_on(self) -> None:
        if self._timer is None and self._left is not None:
            self._timer = asyncio.get_running_loop().call_later(max(self._left, 0), self.end, "max_time")

    async def events(self, seconds: float | None) -> "AsyncGenerator[Event, None]":
        """The events as they come, until the call is over; after `seconds` it is ended with `max_time`.

        Leaving the iteration early, also by being cancelled, ends the call and waits until it has let go.
        """
        self._left = seconds
        self.go_on()
        try:
            while (event := await self._queue.get()) is not None:
                yield event
        finally:
            self.hold()
            if not self._task.done():
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    def result(self) -> T:
        """What the call gave, or its exception; CancelledError where it was ended."""
        return self._task.result()
