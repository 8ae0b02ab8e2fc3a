"""The host's end of the socket against a guest that lies."""

import asyncio
import os
import socket
import struct

import pytest

from workroom.errors import SandboxGone
from workroom.sandbox.connection import EXIT, HEADER, MAX_FRAME, TAIL, Connection, Reply


def frame(kind: str, payload: bytes, number: int = 1) -> bytes:
    return HEADER.pack(len(payload), number, ord(kind)) + payload


def talk(sent: bytes, *, cap: int = 1000, hang_up: bool = True) -> Reply:
    """What a request gives when the guest answers `sent`."""

    async def work() -> Reply:
        ours, theirs = socket.socketpair()
        lost: list[bool] = []
        connection = Connection(ours, lambda: lost.append(True))
        try:
            request = asyncio.create_task(connection.request("X", b"payload", cap=cap))
            await asyncio.sleep(0)
            theirs.sendall(sent)
            if hang_up:
                theirs.close()
            return await asyncio.wait_for(request, 2)
        finally:
            connection.close()
            theirs.close()

    return asyncio.run(work())


EXITED = frame("Z", EXIT.pack(7, 1, 2_500_000, 1_000_000, 3, 0))


def test_an_answer_in_pieces() -> None:
    reply = talk(frame("O", b"ab") + frame("O", b"c") + frame("E", b"d") + EXITED)
    assert (bytes(reply.out), bytes(reply.err), reply.code, reply.flags, reply.seconds) == (b"abc", b"d", 7, 1, 2.5)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x00" * 5,
        HEADER.pack(MAX_FRAME + 1, 1, ord("O")),
        HEADER.pack(0xFFFFFFFF, 1, ord("O")),
        frame("?", b""),
        frame("Z", b"short"),
        frame("H", struct.pack("<I", 99)),
        frame("O", b"x" * (1000 + TAIL + 1)) + EXITED,
        frame("O", b"x", number=2) + frame("Z", EXIT.pack(0, 0, 0, 0, 0, 0), number=2),
    ],
)
def test_broken_or_missing_answers_are_a_dead_sandbox(sent: bytes) -> None:
    with pytest.raises(SandboxGone):
        talk(sent)


def test_frames_of_unknown_requests_are_ignored() -> None:
    assert talk(frame("O", b"x", number=9) + frame("?", b"", number=9) + EXITED).code == 7


def test_requests_after_the_end_fail_at_once() -> None:
    async def work() -> None:
        ours, theirs = socket.socketpair()
        connection = Connection(ours, lambda: None)
        theirs.close()
        with pytest.raises(SandboxGone):
            await connection.request("X", b"")
        with pytest.raises(SandboxGone):
            await connection.request("X", b"")
        connection.close()

    asyncio.run(work())


def test_a_large_request_waits_for_a_slow_reader() -> None:
    async def work() -> None:
        ours, theirs = socket.socketpair()
        connection = Connection(ours, lambda: None)
        task = asyncio.create_task(connection.request("X", b"z" * 4_000_000, contents=b"input"))
        await asyncio.sleep(0.05)
        theirs.setblocking(False)
        received = bytearray()
        descriptors: list[int] = []
        while len(received) < 4_000_000 + HEADER.size:
            try:
                data, passed, _, _ = socket.recv_fds(theirs, 1 << 20, 4)
            except BlockingIOError:
                await asyncio.sleep(0.001)
                continue
            received += data
            descriptors += passed
        assert os.read(descriptors[0], 100) == b"input"
        os.close(descriptors[0])
        theirs.sendall(EXITED)
        assert (await task).code == 7
        connection.close()
        theirs.close()

    asyncio.run(work())
