"""Running a coroutine to its end from code that already has an event loop, as every cell of a notebook does."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in an event loop of a new thread and waits. KeyboardInterrupt cancels it, with clean-up."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    done = threading.Event()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(asyncio.wait([task]))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            done.set()

    threading.Thread(target=serve, name="workroom-run").start()
    try:
        done.wait()
    except KeyboardInterrupt:
        loop.call_soon_threadsafe(task.cancel)
        done.wait()
        raise
    return task.result()
