"""Removes what killed processes left of their sandboxes: at the first start of a process, and by `sandbox gc`."""

import asyncio
import os

from workroom.errors import ConfigError, SandboxError
from workroom.sandbox.backend import find_backend
from workroom.sandbox.ledger import Entry, entries, forget

_seen_by = 0


def collect_abandoned(name: str | None = None) -> tuple[list[Entry], list[str]]:
    """Ends and removes all that is left of sandboxes whose owner is dead, or of the one of that name.

    Returns those that are gone now, and in words why others are not (their backend cannot be asked): those stay
    written down for the next time.
    """
    gone, problems = [], []
    for entry in entries():
        if not entry.abandoned or name not in (None, entry.name):
            continue
        try:
            find_backend(entry.backend).collect(entry.name, entry.place)
        except (ConfigError, SandboxError, OSError) as error:
            problems.append(f"{entry.name} ({entry.backend}) could not be removed: {error}")
        else:
            forget(entry.name)
            gone.append(entry)
    return gone, problems


async def collect_once() -> None:
    """The same, once in the life of this process, in silence: what stays is told by `workroom sandbox gc`."""
    global _seen_by
    if _seen_by != os.getpid():
        _seen_by = os.getpid()
        if any(entry.abandoned for entry in entries()):
            await asyncio.to_thread(collect_abandoned)
