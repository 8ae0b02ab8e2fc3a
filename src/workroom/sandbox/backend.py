"""The seam between a sandbox and what isolates it: a backend starts and ends guests, all else is done over a socket."""

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from workroom.sandbox.base import Limits
    from workroom.sandbox.image import Image


@dataclass(slots=True)
class GuestFacts:
    """What a started guest really has: limits in force, how each is enforced, versions of the pieces."""

    limits: dict[str, Any] = field(default_factory=dict)
    enforcement: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


class Guest(Protocol):
    """A started sandbox. `socket` leads to the agent inside; closing it ends the sandbox."""

    socket: socket.socket
    facts: GuestFacts

    def oom_kills(self) -> int:
        """How many processes inside were ended for lack of memory so far (0 where it cannot be known)."""
        ...

    def memory(self) -> int | None:
        """Bytes that the sandbox holds now, None where it cannot be known."""
        ...

    def last_words(self) -> str:
        """What the start-up wrote about its failure, on one line; empty where nothing."""
        ...

    async def stop(self) -> None:
        """Ends everything and waits until it is gone. Safe to call twice."""
        ...


class Backend(Protocol):
    """Something that can start guests."""

    name: str

    async def start(self, image: "Image", limits: "Limits", *, port: int | None) -> Guest:
        """Starts a guest; `port` asks for an egress port inside. Raises SandboxUnavailable where a piece is missing."""
        ...
