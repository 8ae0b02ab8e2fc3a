"""What one sandbox and one request have moved, counted before it moves, so that a budget is never exceeded."""

import asyncio
from dataclasses import dataclass, field

from workroom.sandbox.egress.policy import EgressRecord, Refused

IDLE_TIMEOUT = 300.0  # without a byte in either direction
MAX_REQUESTS = 20_000  # of one sandbox over its life; beyond, one a second is refused, and not recorded
MAX_RECEIVED = 2 << 30  # bytes into one sandbox over its life
MAX_SENT = 50 << 20  # bytes out of one sandbox over its life


@dataclass(slots=True)
class Budget:
    """What one sandbox has used; goes on where its proxy is replaced."""

    requests: int = 0
    sent: int = 0
    received: int = 0

    def check(self) -> None:
        if self.sent >= MAX_SENT or self.received >= MAX_RECEIVED:
            raise Refused("the byte budget of this sandbox is used up")
        if self.requests > MAX_REQUESTS:
            raise Refused("this sandbox has made too many requests")


@dataclass(slots=True)
class Traffic:
    """One request as it goes. `begun`: an answer has begun, so that no other one can be given."""

    budget: Budget
    host: str = "?"
    port: int = 0
    verdict: str = "allowed"
    sent: int = 0
    received: int = 0
    begun: bool = False
    idle: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))

    def send(self, size: int) -> None:
        """Counts bytes that go out. Raises Refused where they do not fit into the budget."""
        if self.budget.sent + size > MAX_SENT:
            self.budget.sent = MAX_SENT
        self.budget.check()
        self.budget.sent += size
        self.sent += size
        self._moved()

    def receive(self, size: int) -> None:
        """Counts bytes that come in. Raises Refused where they do not fit into the budget."""
        if self.budget.received + size > MAX_RECEIVED:
            self.budget.received = MAX_RECEIVED
        self.budget.check()
        self.budget.received += size
        self.received += size
        self._moved()

    def _moved(self) -> None:
        if self.idle.when() is not None:
            self.idle.reschedule(asyncio.get_running_loop().time() + IDLE_TIMEOUT)

    def record(self) -> EgressRecord:
        return EgressRecord(self.host, self.port, self.verdict, self.sent, self.received)
