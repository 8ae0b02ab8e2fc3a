"""An HTTP server that plays a list of replies, in threads, on a free loopback port."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. Header names are lower case; `time` is `time.monotonic()` at arrival."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    time: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers.

    A reply with `pieces` is sent in chunks as they are, `delay` seconds apart; one with `body` is sent whole.
    `end` says what happens after the last piece: `close` ends the reply as it should be, `cut` closes the connection
    in the middle, `reset` resets it, `hang` stays silent until the server is closed.
    """

    status: int = 200
    body: bytes = b""
    pieces: Sequence[bytes] | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    end: str = "close"


Handler = Callable[[Request], Reply]


class FakeServer:
    """Plays `replies` in order, one a request; a callable is asked for its reply. After the last one: status 599.

    `replies` may be one callable that answers every request. `url` is the base URL for an `openai/` model (with
    `/v1`), `root` the one for an `anthropic/` model. `requests` is what came in, in order.
    """

    def __init__(self, replies: Sequence[Reply | Handler] | Handler, *, port: int = 0) -> None:
        self._replies: Handler | list[Reply | Handler] = replies if callable(replies) else list(replies)
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _RequestHandler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def reply(self, request: Request) -> Reply:
        """The reply to the request, which is noted in `requests`."""
        with self._lock:
            self.requests.append(request)
            if callable(self._replies):
                step: Reply | Handler = self._replies
            else:
                step = self._replies.pop(0) if self._replies else Reply(599, b"the fake server has no more replies")
        return step(request) if callable(step) else step

    @property
    def port(self) -> int:
        return self._server.server_port

    def wait_closing(self, seconds: float | None = None) -> bool:
        return self._closing.wait(seconds)

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() joins the threads, so that no socket outlives its test
    block_on_close = True
    request_queue_size = 512  # hundreds of episodes may connect at once
    fake: FakeServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many tests are about: nothing to report."""

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Silent: the tests' output is not a log."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_CONNECT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.fake.reply(Request(self.command, self.path, headers, body, time.monotonic()))
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.pieces is None:
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in reply.pieces:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                if reply.delay and self.server.fake.wait_closing(reply.delay):
                    break
            if reply.end == "close":
                self.wfile.write(b"0\r\n\r\n")
        if reply.end == "hang":
            self.server.fake.wait_closing()
        if reply.end != "close":
            self.close_connection = True
        if reply.end == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
