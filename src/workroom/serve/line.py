"""Who works and who waits: so many at once, the others in the order they came."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from workroom.serve.errors import busy
from workroom.serve.settings import Key

WAIT = 10  # seconds after which to try again


@dataclass(eq=False)
class Place:
    """A place in the line. `ready` is done once its turn has come."""

    key: Key
    ready: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Line:
    """At most `most` at work, and of one key at most its own `concurrency`; at most `room` waiting."""

    def __init__(self, most: int, room: int) -> None:
        self.most = most
        self.room = room
        self._working: set[Place] = set()
        self._waiting: list[Place] = []
        self._by_key: Counter[str] = Counter()

    @property
    def working(self) -> int:
        return len(self._working)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def join(self, key: Key) -> Place:
        """Takes a place, to be left with `leave` whatever happens. Raises ApiError (429) where there is no room."""
        place = Place(key)
        self._waiting.append(place)
        self._admit()
        if not place.ready.done() and len(self._waiting) > self.room:
            self._waiting.remove(place)
            raise busy(f"{self.working} requests are worked on and {self.waiting} wait: try again later", WAIT)
        return place

    def ahead(self, place: Place) -> int:
        """How many wait in front of it."""
        return self._waiting.index(place) if place in self._waiting else 0

    def leave(self, place: Place) -> None:
        """Gives the place up, be it waiting or at work. Safe to call twice."""
        if place in self._working:
            self._working.remove(place)
            self._by_key[place.key.name] -= 1
        elif place in self._waiting:
            self._waiting.remove(place)
            place.ready.cancel()
        self._admit()

    def _admit(self) -> None:
        for place in list(self._waiting):
            if len(self._working) >= self.most:
                return
            bound = place.key.concurrency
            if bound is not None and self._by_key[place.key.name] >= bound:
                continue  # those behind it may be of another key
            self._waiting.remove(place)
            self._working.add(place)
            self._by_key[place.key.name] += 1
            place.ready.set_result(None)
