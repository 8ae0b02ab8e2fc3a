"""The seam between a sandbox and what isolates it: a backend starts and ends guests, all else is done over a socket."""

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from workroom.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from workroom.sandbox.base import Limits
    from workroom.sandbox.image import Image


BACKENDS = ("bwrap", "docker")


@dataclass(slots=True)
class GuestFacts:
    """What a started guest really has: limits in force, how each is enforced, versions of the pieces."""

    limits: dict[str, Any] = field(default_factory=dict)
    enforcement: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counters:
    """Processes that were ended for lack of memory, starts of processes that were refused, and how often all was
    ended because the disk's limit was passed, so far."""

    oom_kills: int = 0
    refused_starts: int = 0
    disk_stops: int = 0


class Guest(Protocol):
    """A started sandbox. `socket` leads to the agent inside; closing it ends the sandbox. `packs_inside`: a fork or a
    checkpoint of it runs one of its own programs."""

    socket: socket.socket
    facts: GuestFacts
    packs_inside: bool

    def counters(self) -> "Counters":
        """How often its limits were hit so far."""
        ...

    def memory(self) -> int | None:
        """Bytes that the sandbox holds now, None where it cannot be known."""
        ...

    def memory_peak(self) -> int | None:
        """The most bytes that it held at one time, None where it cannot be known."""
        ...

    def last_words(self) -> str:
        """What the start-up wrote about its failure, on one line; empty where nothing."""
        ...

    async def fork(
        self, name: str, *, port: int | None, leave: "Callable[[], Awaitable[None]] | None"
    ) -> "tuple[Guest, Guest]":
        """Two guests with the files of this one: the one that goes on in its place (it may be this one itself), and
        a second one called `name`.

        Where nothing runs inside, this one may be replaced by another: `leave` is to be awaited before it is ended.
        """
        ...

    async def seal(self, path: str, size: int) -> None:
        """Makes every file read-only for good but the one at `path`, which is there and may have `size` bytes from now
        on. Nothing runs inside.

        Raises ConfigError where the backend cannot do that, SandboxUnavailable where it fails.
        """
        ...

    async def checkpoint(self, target: "Path") -> None:
        """Writes what the sandbox has changed over its image to a new file, which `Backend.start` takes."""
        ...

    def recorder(self) -> "Recorder":
        """What writes checkpoints of this guest one after the other."""
        ...

    async def stop(self) -> None:
        """Ends everything and waits until it is gone. Safe to call twice."""
        ...


class Recorder(Protocol):
    """Writes checkpoints of one guest one after the other."""

    async def save(self, target: "Path", *, whole: bool) -> bool:
        """Writes a new file, with all files where `whole`, else with what has changed since the last save alone where
        the backend can do that; returns whether it is whole. It need not outlast a power failure."""
        ...

    async def close(self) -> None:
        """Ends what it needs for that; safe to call twice."""
        ...


class Backend(Protocol):
    """Something that can start guests."""

    name: str

    @property
    def place(self) -> str:
        """Where it starts them, for `collect`: the address of a daemon, say."""
        ...

    async def start(
        self, name: str, image: "Image", limits: "Limits", *, port: int | None, checkpoint: "Sequence[Path]" = ()
    ) -> Guest:
        """Starts a guest; `port` asks for an egress port inside, `checkpoint` for the files of an earlier one: a whole
        file, and then any that hold the changes upon it.

        All that it makes on the host bears `name`. Raises SandboxUnavailable where a piece is missing.
        """
        ...

    def collect(self, name: str, place: str) -> None:
        """Ends and removes whatever a dead owner left of the sandbox `name`; nothing left is no error.

        To be called without a running event loop. Raises SandboxUnavailable where it cannot be told what is left.
        """
        ...


def find_backend(name: str) -> Backend:
    """The backend of that name. Raises ConfigError."""
    if name == "bwrap":
        from workroom.sandbox.bwrap import BwrapBackend

        return BwrapBackend()
    if name == "docker":
        from workroom.sandbox.docker import DockerBackend

        return DockerBackend()
    raise ConfigError(f"there is no sandbox backend {name!r}; there is: {', '.join(BACKENDS)}")
