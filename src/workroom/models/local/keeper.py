"""The keeper: a small process that owns one llama-server, and ends it when nobody has used it for a while.

    python -m workroom.models.local.keeper < specification (JSON)

It is started by the first process that needs the server and outlives it, so that later ones find a warm server. What
ties them together is kernel locks on files in the server's state folder, which end with their holders however these
die:

    keeper.lock    held by the keeper as long as it lives
    clients.lock   held, shared, by every client during each model call; its time stamp is the last use
    server.json    address and key of the server; there while it runs

llama-server itself gets SIGKILL from the kernel when the keeper dies.
"""

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any

from workroom.models.local.paths import try_lock

_TRIES = 3
_POLL = 0.05


class Keeper:
    """Owns the server of one state folder. `idle`: seconds without a call after which it stops the server."""

    def __init__(self, specification: dict[str, Any]) -> None:
        self.name: str = specification["name"]
        self.folder = Path(specification["folder"])
        self.command: list[str] = specification["command"]
        self.log = Path(specification["log"])
        self.idle = float(specification["idle"])
        self.key = secrets.token_urlsafe(32)
        self.stopping = False
        self.server: subprocess.Popen[bytes] | None = None
        self.clients = os.open(self.folder / "clients.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """Starts the server, tells `ready` the outcome, and stays until it is time to stop."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for _ in range(_TRIES):
                port = _free_port()
                if self._start(port):
                    self._publish(port)
                    ready({})
                    self._watch()
                    return
                if self.stopping:
                    break
            ready({"error": f"llama-server did not start; see {self.log}"})
        finally:
            self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _start(self, port: int) -> bool:
        """Starts the server and waits until it answers. False when it ended before."""
        with self.log.open("ab") as log:
            # The key goes by the environment: arguments can be read by every user of the machine. Threads that sleep
            # while they wait for each other cost nothing on a calm machine, and are far faster on a busy one.
            environment = {**os.environ, "LLAMA_API_KEY": self.key, "OMP_WAIT_POLICY": "PASSIVE"}
            self.server = subprocess.Popen(
                [*self.command, "--host", "127.0.0.1", "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 (this process has one thread)
            )
        while self.server.poll() is None and not self.stopping:
            if _answers(port):
                return True
            time.sleep(_POLL)
        return False

    def _publish(self, port: int) -> None:
        assert self.server is not None
        facts = {
            "name": self.name,
            "url": f"http://127.0.0.1:{port}/v1",
            "key": self.key,
            "keeper": os.getpid(),
            "server": self.server.pid,
        }
        partial = self.folder / "server.json.partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        os.utime(self.clients)
        partial.rename(self.folder / "server.json")

    def _watch(self) -> None:
        """Returns when the server has ended, has been idle for too long, or is to stop."""
        assert self.server is not None
        pause = min(1.0, self.idle / 4)
        while self.server.poll() is None and not self.stopping and (self.folder / "server.json").exists():
            if time.time() - os.fstat(self.clients).st_mtime >= self.idle and try_lock(self.clients, fcntl.LOCK_EX):
                # Nobody is inside a call. The lock is kept, so that nobody can begin one on a server that ends;
                # but a call may have ended just before.
                if time.time() - os.fstat(self.clients).st_mtime >= self.idle:
                    return
                fcntl.flock(self.clients, fcntl.LOCK_UN)
            time.sleep(pause)

    def _end(self) -> None:
        (self.folder / "server.json").unlink(missing_ok=True)
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()


def _answers(port: int) -> bool:
    """Whether the server is there and has loaded its model."""
    # Straight to the server: a proxy of the environment has no business here.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes llama-server: asks the kernel to be killed with its parent (Linux only)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def main() -> None:
    """Becomes a process of its own, takes the keeper's lock and keeps the server."""
    specification = json.load(sys.stdin)
    if os.fork():
        os._exit(0)  # the caller waits for this one, and has no zombie later
    ready = os.fdopen(specification["ready"], "w", encoding="utf-8")

    def tell(outcome: dict[str, Any]) -> None:
        # The process that asked may be gone by now; others may still want the server.
        with contextlib.suppress(BrokenPipeError), ready:
            json.dump(outcome, ready)

    folder = Path(specification["folder"])
    lock = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 10
    while not try_lock(lock, fcntl.LOCK_EX):  # a client may be looking, or the keeper before this one ending
        if time.monotonic() > deadline:
            tell({"error": f"another server is still ending in {folder}; try again"})
            return
        time.sleep(_POLL)
    Keeper(specification).run(tell)


if __name__ == "__main__":
    main()
