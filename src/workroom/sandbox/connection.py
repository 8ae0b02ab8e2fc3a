"""The host's end of the socket to the agent inside a sandbox (the wire format is in `guest/guest.h`).

Many operations can be in flight; each has an id. What comes from inside is never trusted: frames are bounded, unknown
ids are ignored, and a stream that breaks the format ends the sandbox.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from workroom.errors import SandboxGone

PROTOCOL_VERSION = 3
HEADER = struct.Struct("<IIB")
EXIT = struct.Struct("<IIQQQQ")
TAIL = 64 << 10  # bytes beyond the cap of a stream that the agent keeps, see agent.c
MAX_FRAME = 1 << 20
READ_SIZE = 256 << 10


@dataclass(slots=True)
class Reply:
    """The answer to one request. `code`: exit status or errno; `seconds` and `cpu` seconds inside; `totals`: bytes
    written per stream."""

    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    code: int = 0
    flags: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    totals: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Pending:
    future: "asyncio.Future[Reply]"
    cap: int
    reply: Reply = field(default_factory=Reply)


class Connection:
    """Requests and replies over one socket. `on_lost` is called once, when the other end is gone."""

    def __init__(self, sock: socket.socket, on_lost: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._pending: dict[int, _Pending] = {}
        self._next_id = 1
        self._received = bytearray()
        self._unsent: deque[tuple[memoryview, list[int]]] = deque()
        self._lost = False
        self.hello: asyncio.Future[socket.socket | None] = self._loop.create_future()
        self._passed: socket.socket | None = None
        self._loop.add_reader(sock, self._on_readable)

    async def request(
        self, kind: str, payload: bytes, *, cap: int = 1 << 62, contents: bytes | int | None = None
    ) -> Reply:
        """Sends one request and waits for its end. `contents` travel as a sealed memory file (the guest's input), or
        are an open file of the host: only for our own programs, since it is handed over as it is.

        Raises SandboxGone when the sandbox dies first. A cancelled request is ended inside too.
        """
        if self._lost:
            raise SandboxGone("the sandbox is not running any more")
        number = self._next_id
        self._next_id = number % 0xFFFF_FFFF + 1
        pending = _Pending(self._loop.create_future(), cap)
        self._pending[number] = pending
        passed = []
        if contents is not None:
            passed = [os.dup(contents) if isinstance(contents, int) else _sealed(contents)]
        self._send(HEADER.pack(len(payload), number, ord(kind)) + payload, passed)
        try:
            return await pending.future
        except asyncio.CancelledError:
            if not self._lost:
                self._send(HEADER.pack(0, number, ord("K")), [])
            raise
        finally:
            self._pending.pop(number, None)

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._lost

    def close(self) -> None:
        """Closes the socket, upon which the sandbox ends. Everything in flight fails. Safe to call twice."""
        if self._lost:
            return
        self._lost = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        for _, passed in self._unsent:
            for fd in passed:
                os.close(fd)
        self._unsent.clear()
        if self._passed is not None:
            self._passed.close()
        gone = SandboxGone("the sandbox is not running any more")
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(gone)
        if not self.hello.done():
            self.hello.set_exception(gone)
            self.hello.exception()  # marks it as seen: an opening that was cancelled never looks

    def _end(self) -> None:
        if not self._lost:
            self.close()
            self._on_lost()

    def _send(self, data: bytes, passed: list[int]) -> None:
        self._unsent.append((memoryview(data), passed))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, passed = self._unsent[0]
            try:
                sent = socket.send_fds(self._socket, [data], passed) if passed else self._socket.send(data)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                self._end()
                return
            for fd in passed:
                os.close(fd)
            if sent < len(data):
                self._unsent[0] = (data[sent:], [])
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        try:
            data = self._receive()
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._received += data
        try:
            self._take_frames()
        except (ValueError, struct.error):
            self._end()

    def _receive(self) -> bytes:
        if self.hello.done():
            return self._socket.recv(READ_SIZE)
        data, descriptors, _, _ = socket.recv_fds(self._socket, READ_SIZE, 1)
        if descriptors:
            self._passed = socket.socket(fileno=descriptors[0])
        return data

    def _take_frames(self) -> None:
        received = self._received
        start = 0
        while len(received) - start >= HEADER.size:
            size, number, kind = HEADER.unpack_from(received, start)
            if size > MAX_FRAME:
                raise ValueError(size)
            end = start + HEADER.size + size
            if len(received) < end:
                break
            self._take(number, chr(kind), received[start + HEADER.size : end])
            start = end
        del received[:start]

    def _take(self, number: int, kind: str, payload: bytearray) -> None:
        if kind == "H":
            if int.from_bytes(payload, "little") != PROTOCOL_VERSION:
                raise ValueError(payload)
            self.hello.set_result(self._passed)
            self._passed = None
            return
        pending = self._pending.get(number)
        if pending is None or pending.future.done():
            return
        reply = pending.reply
        if kind in "OE":
            stream = reply.out if kind == "O" else reply.err
            stream += payload
            if len(stream) > pending.cap + TAIL:
                raise ValueError(len(stream))
        elif kind == "Z":
            reply.code, reply.flags, microseconds, cpu, *totals = EXIT.unpack(payload)
            reply.seconds, reply.cpu = microseconds / 1e6, cpu / 1e6
            reply.totals = (totals[0], totals[1])
            pending.future.set_result(reply)
        else:
            raise ValueError(kind)


def _sealed(contents: bytes) -> int:
    """A memory file that nobody can change any more, positioned at its start."""
    import fcntl

    fd = os.memfd_create("contents", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(contents)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    except BaseException:
        os.close(fd)
        raise
    return fd
