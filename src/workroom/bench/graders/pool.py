"""Worker processes for graders that compute, which can be killed: what hangs or crashes costs one score and no more."""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

from workroom.bench.graders.worker import HEAD, LARGEST_REPLY, Request
from workroom.bench.score import Score
from workroom.redaction import without_keys
from workroom.sandbox.waiting import finished, until_readable

MEMORY: Final = 4 << 30  # bytes of address space of a worker
LOADING: Final = 120.0  # seconds to start a worker and to import a grader's libraries, on a machine that is busy
_DYING = 1.0  # seconds for a process that has crashed to be gone
# Own sources come last: nothing beside them can stand in for a module of the standard library.
_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from workroom.bench.graders.worker import main; main()"
_ROOT = str(Path(__file__).parents[3])
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # each takes address space


class Pool:
    """At most `workers` processes of `memory` bytes, started when they are needed; `timeout` in seconds for a grade.

    Belongs to one event loop. `aclose` ends all; what was being graded is then unscored.
    """

    def __init__(
        self, workers: int = 2, timeout: float = 30.0, *, memory: int = MEMORY, loading: float = LOADING
    ) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._timeout = timeout
        self._loading = loading
        self._memory = memory
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    async def grade(self, request: Request) -> Score:
        """The score, unscored with a reason where the grader fails in any way."""
        try:
            payload = pickle.dumps(request)
        except Exception as error:  # noqa: BLE001 - whatever is in the task's metadata
            return Score(None, f"the task cannot be handed to the grader: {error}"[:500])
        async with self._slots:
            if self._closed:
                return Score(None, "grading was stopped")
            try:
                worker = await self._take()
            except OSError as error:
                return Score(None, f"no process for the grader could be started: {error.strerror}")
            return await self._ask(worker, payload)

    async def aclose(self) -> None:
        """Ends all workers. Safe to call twice."""
        self._closed = True
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.kill() for worker in workers))

    async def _take(self) -> "_Worker":
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await worker.kill()
        return await _Worker.start(self._memory)

    async def _ask(self, worker: "_Worker", payload: bytes) -> Score:
        self._busy.add(worker)
        keep = False
        try:
            reply = await worker.ask(payload, self._loading, self._timeout)
            keep = not reply.pop("spent")
            return Score(**reply)
        except TimeoutError:
            if worker.loaded:
                return Score(None, f"the grader took longer than {self._timeout:g} s")
            return Score(None, f"the grader was not loaded within {self._loading:g} s")
        except (ValueError, TypeError):
            return Score(None, "the grader gave a score that is damaged or too large")
        except (OSError, EOFError):
            if self._closed:
                return Score(None, "grading was stopped")
            return Score(None, f"the grader crashed its process: {await worker.crash()}")
        finally:
            self._busy.discard(worker)
            if keep and not self._closed:
                self._idle.append(worker)
            else:
                await worker.kill()


class _Worker:
    """One process and the socket to it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.loaded = False  # the grader of the last request has begun
        self._number = 0  # of the last request
        self._process = process
        self._reader = reader
        self._writer = writer
        self._end: asyncio.Task[str] | None = None

    @classmethod
    async def start(cls, memory: int) -> Self:
        """Starts the process from this thread, with which it dies. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond
                    # -P: the working directory holds no modules of ours
                    [sys.executable, "-P", "-c", _BOOT, _ROOT, str(theirs.fileno()), str(os.getpid()), str(memory)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=without_keys(os.environ) | dict.fromkeys(_ONE_THREAD, "1"),
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # an interrupt at the terminal is not for it
                )
            except OSError:
                ours.close()
                raise
        try:
            return cls(process, *await asyncio.open_connection(sock=ours))
        except BaseException:
            process.kill()
            process.wait()
            ours.close()
            raise

    @property
    def alive(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    async def ask(self, payload: bytes, loading: float, timeout: float) -> dict[str, Any]:
        """The reply to a request. Raises TimeoutError, and OSError, EOFError or ValueError where there is none."""
        self.loaded = False
        self._number += 1
        async with asyncio.timeout(loading):
            self._writer.write(HEAD.pack(self._number, len(payload)) + payload)
            await self._writer.drain()
            reply = await self._receive()
        if not reply:
            self.loaded = True
            async with asyncio.timeout(timeout):
                reply = await self._receive()
        value = json.loads(reply)
        if not isinstance(value, dict):
            raise ValueError("a reply is an object")  # noqa: TRY004 - one kind for all that is damaged
        return value

    async def kill(self) -> str:
        """Ends the process and what it started, and says how it had ended. Safe to call twice."""
        if self._end is None:
            self._end = asyncio.create_task(self._ended())
        return await finished(self._end)

    async def crash(self) -> str:
        """Like `kill`, of one that has cut the line: it is let finish, so that its own end is told and not this one."""
        with contextlib.suppress(OSError, TimeoutError):
            descriptor = os.pidfd_open(self._process.pid)
            try:
                async with asyncio.timeout(_DYING):
                    await until_readable(descriptor)
            finally:
                os.close(descriptor)
        return await self.kill()

    async def _ended(self) -> str:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it is not reaped yet, so that the number is still its own
        self._writer.close()
        code = await asyncio.to_thread(self._process.wait)
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    async def _receive(self) -> bytes:
        number, size = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        if number != self._number:
            raise ValueError("a reply to another request")
        if size > LARGEST_REPLY:
            raise ValueError("a reply is not as large as this")
        return await self._reader.readexactly(size)
