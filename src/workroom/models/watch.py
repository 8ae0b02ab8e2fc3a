"""How long a request may take: until its first piece, between two signs of life, and in all."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from anyio import CancelScope, current_time
from httpx2 import AsyncByteStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable


class Watch:
    """A cancel scope whose deadline moves with every sign of life. All times in seconds.

    Before the first piece of the answer a silence may last `first`, after it `idle`; the whole answer `total`.
    """

    def __init__(self, *, first: float, idle: float, total: float) -> None:
        self._first, self._idle, self._total = first, idle, total
        self._end = current_time() + total
        self._begun = False
        self.scope = CancelScope(deadline=min(self._end, current_time() + first))

    def begun(self) -> None:
        """The first piece of the answer is there."""
        if not self._begun:
            self._begun = True
            self.alive()

    def alive(self) -> None:
        """Something came, be it a comment that says nothing."""
        self.scope.deadline = min(self._end, current_time() + (self._idle if self._begun else self._first))

    def reason(self) -> str:
        """What went on for too long, once the scope is cancelled."""
        if current_time() >= self._end:
            return f"no complete answer within {self._total:g} s"
        if self._begun:
            return f"the server fell silent for {self._idle:g} s in the middle of its answer"
        return f"the server was silent for {self._first:g} s before its answer"


class WatchedStream(AsyncByteStream):
    """The bytes of a response; each piece is told to `on_bytes`."""

    def __init__(self, inner: "AsyncIterable[bytes]", on_bytes: Callable[[], None]) -> None:
        self._inner = inner
        self._on_bytes = on_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._on_bytes()
            yield piece

    async def aclose(self) -> None:
        if isinstance(self._inner, AsyncByteStream):
            await self._inner.aclose()
