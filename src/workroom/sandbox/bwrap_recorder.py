"""Checkpoints of a bubblewrap sandbox one after the other, each with what has changed since the one before.

A sandbox of our own programs stays beside the recorded one, has its layers below /mnt, and keeps a list of what it saw
there, see `record.sh`.
"""

from contextlib import AsyncExitStack
from functools import cache
from importlib.resources import files
from pathlib import Path

from workroom.sandbox import checkpoints
from workroom.sandbox.bwrap import BwrapGuest, Step, upkeep


class BwrapRecorder:
    """Records one guest. Raises SandboxUnavailable or TransferError for what cannot be read or written."""

    def __init__(self, guest: BwrapGuest) -> None:
        self._guest = guest
        self._stack = AsyncExitStack()
        self._run: Step | None = None

    async def save(self, target: Path, *, whole: bool) -> bool:
        """Writes the new file `target`; returns whether it holds everything."""
        whole = whole or self._run is None
        if self._run is None:
            helper, _ = await self._guest.reader()
            self._run = await self._stack.enter_async_context(upkeep(helper))
        with checkpoints.created(target, durable=False) as file:
            file.write(self._guest.header())
            file.flush()
            await self._run(["/bin/sh", "-c", _script(), "sh", "whole" if whole else "changes"], file.fileno())
        return whole

    async def close(self) -> None:
        """Ends what stays beside the sandbox; safe to call twice."""
        self._run = None
        await self._stack.aclose()


@cache
def _script() -> str:
    return files(__package__).joinpath("record.sh").read_text("utf-8")
