"""The small HTTP server, byte by byte."""

import asyncio

import pytest

from workroom import http_server
from workroom.http_server import HOST, HttpServer, Request, Response


async def echo(request: Request) -> Response:
    return Response(200, f"{request.method} {request.path} {request.body.decode()}".encode(), "text/plain")


def talk(*pieces: bytes, pauses: bool = False, most: int = 100) -> bytes:
    """All that the server answers to the pieces, until it hangs up or has answered what it will."""

    async def inside() -> bytes:
        async with HttpServer(echo, most=most) as server:
            reader, writer = await asyncio.open_connection(HOST, server.port)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pauses:
                    heard.append(await reader.readuntil(b"\r\n\r\n"))
            answer = b"".join(heard) + await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    heard: list[bytes] = []
    return asyncio.run(inside())


def test_requests_on_one_connection_are_answered_in_turn_also_if_they_come_at_once() -> None:
    first = b"POST /a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
    last = b"GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    for pieces in ((first, last), (first + last,)):
        answer = talk(*pieces)
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert answer.index(b"POST /a hi") < answer.index(b"GET /b ")


def test_a_body_in_chunks_and_a_client_that_asks_before_it_sends_one() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"
    assert talk(chunked).endswith(b"POST /a hi")
    answer = talk(head + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"hi", pauses=True)
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert answer.endswith(b"POST /a hi")


def test_an_old_client_is_hung_up_on() -> None:
    assert talk(b"GET /a HTTP/1.0\r\n\r\n").endswith(b"GET /a ")


def test_a_body_over_the_limit_is_refused() -> None:
    long = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nlong"
    assert talk(long, most=3).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("sent", [b"", b"GET /a HTTP/1.1\r\nHo", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"])
def test_a_connection_without_a_request_is_ended(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE", 0.3)
    assert talk(sent).startswith(b"HTTP/1.1 200") is sent.endswith(b"\r\n\r\n")


def test_connections_beyond_what_there_is_room_for_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_CONNECTIONS", 2)

    async def inside() -> None:
        async with HttpServer(echo) as server:
            held = [await asyncio.open_connection(HOST, server.port) for _ in range(3)]
            assert await asyncio.wait_for(held[2][0].read(), 30) == b""
            held[0][1].write(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert (await held[0][0].read()).endswith(b"GET /a ")
            for _, writer in held:
                writer.close()

    asyncio.run(inside())


def test_closing_ends_connections_and_calls_that_are_under_way() -> None:
    async def inside() -> None:
        started = asyncio.Event()
        ended = asyncio.Event()

        async def forever(request: Request) -> Response:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        async with HttpServer(forever) as server:
            reader, writer = await asyncio.open_connection(HOST, server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await started.wait()
        assert ended.is_set()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    asyncio.run(inside())
