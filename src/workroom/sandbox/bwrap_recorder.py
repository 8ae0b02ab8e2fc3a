"""Checkpoints of a bubblewrap sandbox one after the other, each with what has changed since the one before.

A sandbox of our own programs stays beside the recorded one, has its layers below /mnt, and keeps a list of what it saw
there, see `record.sh`.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import cache
from importlib.resources import files
from pathlib import Path

from workroom.errors import SandboxGone, SandboxUnavailable
from workroom.sandbox import checkpoints
from workroom.sandbox.bwrap import BwrapGuest, Step, upkeep

_LONGEST = 120.0  # seconds of one save


class BwrapRecorder:
    """Records one guest. Raises SandboxUnavailable or TransferError for what cannot be read or written."""

    def __init__(self, guest: BwrapGuest) -> None:
        self._guest = guest
        self._stack = AsyncExitStack()
        self._run: Step | None = None

    async def save(self, target: Path, *, whole: bool) -> bool:
        """Writes the new file `target`; returns whether it holds everything."""
        whole = whole or self._run is None
        try:
            async with asyncio.timeout(_LONGEST):
                run = await self._helper()
                with checkpoints.created(target, durable=False) as file:
                    file.write(self._guest.header())
                    file.flush()
                    await run(["/bin/sh", "-c", _script(), "sh", "whole" if whole else "changes"], file.fileno())
        except (SandboxGone, TimeoutError) as error:
            await self.close()  # the next save begins with another helper
            raise SandboxUnavailable("what packs the sandbox's files has ended or takes too long") from error
        return whole

    async def _helper(self) -> Step:
        if self._run is None:
            helper, _ = await self._guest.reader()
            self._run = await self._stack.enter_async_context(upkeep(helper))
        return self._run

    async def close(self) -> None:
        """Ends what stays beside the sandbox; safe to call twice."""
        self._run = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


@cache
def _script() -> str:
    return files(__package__).joinpath("record.sh").read_text("utf-8")
