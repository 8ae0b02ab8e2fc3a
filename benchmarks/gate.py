"""Holds many episodes at one point of the loop, to tell what they take of memory there."""

import asyncio
import gc
import os
import threading
from pathlib import Path

from benchmarks.script import TURNS, command

HELD = command(TURNS - 2)  # the last command of an episode


class Gate:
    """Opens when `count` episodes have come to it; `resident` is this process's memory at that moment, in bytes."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._waiting: list[asyncio.Event] = []
        self.resident = 0

    def wait(self) -> None:
        self._arrive()
        self._open.wait()

    async def passed(self) -> None:
        opened = asyncio.Event()
        self._waiting.append(opened)
        self._arrive()
        await opened.wait()

    def _arrive(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self.resident = resident()
                self._open.set()
                for opened in self._waiting:
                    opened.set()


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
