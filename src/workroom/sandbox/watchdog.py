"""Bounds the memory of a sandbox where no control group can: it looks twice a second, and ends the largest process.

What grows faster than that is stopped by nothing but the limit of each single process (RLIMIT_DATA).
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

INTERVAL = 0.5  # seconds
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watchdog:
    """Watches all that descends from the process `pid` and the memory-backed files below `files`; `limit` in bytes."""

    def __init__(self, pid: int, files: str, limit: int) -> None:
        self.kills = 0
        self._pid = pid
        self._files = files
        self._limit = limit
        self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Stops looking. Safe to call twice."""
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            with contextlib.suppress(OSError):
                self._look()

    def _look(self) -> None:
        disk = os.statvfs(self._files)
        written = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        resident = {pid: _resident(pid) for pid in descendants(self._pid)}
        if written + sum(resident.values()) <= self._limit:
            return
        # Memory that several share counts once only in the dearer figure, which is asked for when it may matter.
        shares = {pid: _share(pid) for pid in resident}
        if written + sum(shares.values()) > self._limit and shares:
            with contextlib.suppress(ProcessLookupError):
                os.kill(max(shares, key=lambda pid: shares[pid]), signal.SIGKILL)
                self.kills += 1


def descendants(pid: int) -> list[int]:
    """All processes below `pid` but its own children: of a sandbox, all but its process 1."""
    found, level = [], _children(pid)
    while level := [child for parent in level for child in _children(parent)]:
        found += level
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    return []


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _share(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
