"""Starts processes from one thread that lives as long as this process.

A sandbox dies with its parent by PR_SET_PDEATHSIG, and the kernel takes the parent to be the *thread* that started it:
from a worker thread of a pool a sandbox would die whenever that worker ends.
"""

import asyncio
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

_requests: "queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]"
_requests = queue.SimpleQueue()
_lock = threading.Lock()
_thread: threading.Thread | None = None


async def spawn(command: Sequence[str], *, passed: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Starts `command` in a session of its own, without environment, with the descriptors `passed` and a pipe as
    standard error. The caller closes `passed` afterwards."""

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            pass_fds=passed,
            start_new_session=True,
        )

    _ensure_thread()
    done: Future[subprocess.Popen[bytes]] = Future()
    _requests.put((start, done))
    return await asyncio.wrap_future(done)


def _ensure_thread() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_serve, name="workroom-spawner", daemon=True)
            _thread.start()


def _serve() -> None:
    while True:
        start, done = _requests.get()
        if not done.set_running_or_notify_cancel():
            continue
        try:
            done.set_result(start())
        except BaseException as error:  # noqa: BLE001 - handed to the one who asked
            done.set_exception(error)
