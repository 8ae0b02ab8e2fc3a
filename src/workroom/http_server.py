"""A small HTTP/1.1 server for this machine: h11 does the protocol, asyncio the sockets."""

import asyncio
import resource
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "127.0.0.1"
MOST = 64 << 20  # bytes of a request's body
_PATIENCE = 120.0  # seconds until the next request of a connection is whole
_CONNECTIONS = 512
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """`path` without its query, as it was sent. Names of `headers` are in lower case."""

    method: str
    path: str
    headers: "Mapping[str, str]" = field(repr=False)
    body: bytes = field(repr=False)
    query: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """`body`: all of it, or pieces that are made while it is sent, off the event loop, `length` bytes in all where
    that is known. `headers`: more than type and length. A generator of pieces is closed, also where the client goes.
    """

    status: int
    body: bytes | Iterator[bytes]
    content_type: str = "application/json"
    headers: "Mapping[str, str]" = field(default_factory=dict)
    length: int | None = None


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers requests with `handler`, which must not raise; it is cancelled where the client goes away meanwhile.

    Listens on loopback unless another `host` is given, on a `port` that the system chooses unless one is given. `most`:
    bytes of a request's body. Connections on which no request comes are ended. Use as a context manager.
    """

    def __init__(self, handler: Handler, *, host: str = HOST, port: int = 0, most: int = MOST) -> None:
        self.host = host
        self.port = port
        self._most = most
        # Of a connection for which there is no file left, asyncio would tell at length.
        self._room = min(_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Raises OSError where the port is taken, or the host is not this machine."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) <= self._room:
                await _Connection(self._handler, reader, writer, self._most).serve()
        except (OSError, asyncio.CancelledError):
            return  # the client is gone, or the server closes: asyncio would report either
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):  # cancelled once more where the whole loop ends
                await writer.wait_closed()


class _Connection:
    """One client's connection, request after request."""

    def __init__(self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> None:
        self._handler = handler
        self._most = most
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        try:
            while (request := await self._read()) is not None:
                response = await self._answer(request)
                if response is None:
                    return
                await self._send(response, with_body=request.method != "HEAD")
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except TimeoutError:
            return
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._send(Response(error.error_status_hint, b""))

    async def _read(self) -> Request | None:
        """The next request whole, None where there is no more. Raises TimeoutError where it does not come."""
        async with asyncio.timeout(_PATIENCE):  # `wait_for` may swallow the cancellation by which the server ends
            return await self._read_on()

    async def _read_on(self) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    self._write(self._http.send(go_on))
                self._http.receive_data(await self._reader.read(_PIECE))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._most:
                    raise h11.RemoteProtocolError("the body is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                path, _, query = head.target.decode("latin-1").partition("?")
                return Request(head.method.decode("latin-1"), path, headers, bytes(body), query)
            else:  # the connection is closed
                return None

    async def _answer(self, request: Request) -> Response | None:
        """What the handler answers, None where the client has gone away before."""
        handling = asyncio.ensure_future(self._handler(request))
        listening = asyncio.ensure_future(self._reader.read(_PIECE))
        try:
            await asyncio.wait((handling, listening), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                if not (data := listening.result()):
                    return None
                self._http.receive_data(data)  # the next request already
            return await handling
        finally:
            handling.cancel()
            listening.cancel()
            await asyncio.gather(handling, listening, return_exceptions=True)

    async def _send(self, response: Response, *, with_body: bool = True) -> None:
        length = len(response.body) if isinstance(response.body, bytes) else response.length
        size = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
        headers = [("Content-Type", response.content_type), size, *response.headers.items()]
        reason = HTTPStatus(response.status).phrase.encode()
        self._write(self._http.send(h11.Response(status_code=response.status, headers=headers, reason=reason)))
        if with_body:
            await self._send_body(response.body)
        self._write(self._http.send(h11.EndOfMessage()))
        await self._writer.drain()

    async def _send_body(self, pieces: bytes | Iterator[bytes]) -> None:
        if isinstance(pieces, bytes):
            self._write(self._http.send(h11.Data(pieces)))
            return
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                self._write(self._http.send(h11.Data(piece)))
                await self._writer.drain()
        finally:
            if isinstance(pieces, Generator):
                with suppress(ValueError):  # its thread is at work yet: it is closed when nobody holds it
                    pieces.close()

    def _write(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)
