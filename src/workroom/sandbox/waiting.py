"""Waiting that cancellation and threads cannot spoil."""

import asyncio
import socket
from typing import TypeVar

T = TypeVar("T")


async def finished(task: "asyncio.Task[T]") -> T:
    """The result of a task that must come to its end even where the one who waits for it is cancelled."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # marks it as seen
        raise


async def until_readable(file: int | socket.socket) -> None:
    """Waits without a thread until there is something to read: at the descriptor of a process, until it has ended."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(file, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(file)
