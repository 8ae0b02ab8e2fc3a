"""How many model calls are under way at once: what a provider's rate limit allows, found out as TCP finds its rate.

All calls of an event loop that go to one server with one key share a `Throttle`. It starts with a few places, gets one
more with each request that the server takes (so they double in each round), and halves them on a 429. What a server
asks everyone to wait is waited for once, by all. A failure of the server (5xx, time-out) says nothing about the rate.
"""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from anyio import Event, Lock, sleep
from anyio.lowlevel import RunVar

from workroom.errors import Overloaded, RateLimited
from workroom.models.waiting import on_queue

FEW: Final = 8  # places at a provider that nothing is known of
MANY: Final = 64  # places at a server of this machine, which queues by itself
MOST: Final = 1000  # connections that the SDKs allow
_FIRST_PAUSE = 0.5  # seconds; doubles with each 429 in a row that says no time
_LONGEST_PAUSE = 30.0
_KNOWN: Final = 512  # throttles that are kept; more only while they are in use
_LONGEST_ASKED = 600.0  # who asks for more is not waited for: every call fails by itself, and says so

Taken = Callable[[], None]


class Throttle:
    """Places for calls, in the order of asking. `limit` is how many there are now."""

    def __init__(self, places: int) -> None:
        self.limit = float(places)
        self.refused = 0  # requests that were answered with 429
        self._threshold = float(MOST)  # up to here places double in a round, beyond they grow by a quarter
        self._active = 0
        self._open_at = 0.0
        self._in_a_row = 0
        self._lowered_at = 0.0
        self._door = Lock()
        self._changed = Event()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Taken]:
        """Waits for a place and holds it. The value is to be called when the server has taken the request."""
        tell = on_queue.get()
        if tell is not None and (self._door.locked() or self._is_shut()):
            tell(True)
        async with self._door:
            while not await self._may_enter():
                pass
            self._active += 1
        if tell is not None:
            tell(False)
        began = time.monotonic()
        try:
            yield self._grow
        except (RateLimited, Overloaded) as error:
            self._back_off(error, began)
            raise
        finally:
            self._active -= 1
            self._changed.set()

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way and nothing is waited for."""
        return not self._active and not self._is_shut()

    def _is_shut(self) -> bool:
        return self._open_at > time.monotonic() or self._active >= int(self.limit)

    async def _may_enter(self) -> bool:
        """False after a wait: things may have changed."""
        pause = self._open_at - time.monotonic()
        if pause > 0:
            await sleep(pause)
        elif self._active >= int(self.limit):
            self._changed = Event()
            await self._changed.wait()
        else:
            return True
        return False

    def _grow(self) -> None:
        self._in_a_row = 0
        if 2 * self._active >= self.limit:  # places that nobody uses tell nothing
            self.limit = min(MOST, self.limit + (1.0 if self.limit < self._threshold else 0.25))
            self._changed.set()

    def _back_off(self, error: RateLimited | Overloaded, began: float) -> None:
        asked = error.retry_after
        if isinstance(error, RateLimited):
            self.refused += 1
            if began > self._lowered_at:  # of the calls that were under way together, one lowers the limit for all
                self.limit = self._threshold = max(1.0, self.limit / 2)
                self._lowered_at = time.monotonic()
                self._in_a_row += 1
            if asked is None:
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._in_a_row - 1, 30))
                asked = longest * random.uniform(0.5, 1.0)
        if asked is not None and asked <= _LONGEST_ASKED:
            self._open_at = max(self._open_at, time.monotonic() + asked)


_throttles: RunVar[dict[tuple[str, str], Throttle]] = RunVar("workroom_throttles")


def throttle_of(host: str, key: str, places: int) -> Throttle:
    """The throttle of this server and key in the running event loop; a new one has so many places."""
    try:
        known = _throttles.get()
    except LookupError:
        known = {}
        _throttles.set(known)
    if len(known) >= _KNOWN and (host, key) not in known:  # keys that are made for one episode each
        for place in [place for place, throttle in known.items() if throttle.is_idle]:
            del known[place]
    return known.setdefault((host, key), Throttle(places))
