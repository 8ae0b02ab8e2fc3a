"""The egress proxy of one sandbox: CONNECT with TLS to the very name that was asked for, and plain HTTP GET and HEAD.

It listens on a socket that was made inside the sandbox's network namespace and handed out, so a sandbox is known by
its socket and needs no password. Refusals are readable, so that a model stops trying.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from workroom.errors import SandboxUnavailable
from workroom.sandbox.egress.policy import Address, EgressRecord, Policy, Refused, normal_host
from workroom.sandbox.egress.registries import client_environment
from workroom.sandbox.image.registries import CA_ENVIRONMENT

MAX_HEAD = 64 << 10
HEAD_TIMEOUT = 30.0
CONNECT_TIMEOUT = 20.0
IDLE_TIMEOUT = 300.0
MAX_CONNECTIONS = 64
MAX_RECEIVED = 2 << 30  # bytes into one sandbox over its life
MAX_SENT = 50 << 20  # bytes out of one sandbox over its life
HANDSHAKE = b"\x16\x03"  # record type and major version


@dataclass(slots=True)
class _Request:
    method: str
    target: str
    host: str
    port: int
    headers: list[tuple[str, str]]


@dataclass(slots=True)
class _Traffic:
    host: str = "?"
    port: int = 0
    verdict: str = "allowed"
    sent: int = 0
    received: int = 0


class EgressProxy:
    """Serves one sandbox until it is closed."""

    PORT: ClassVar[int] = 3128  # on the sandbox's own loopback

    def __init__(self, policy: Policy, on_record: Callable[[EgressRecord], None] | None) -> None:
        self._policy = policy
        self._on_record = on_record
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._sent = 0
        self._received = 0

    @classmethod
    async def serve(
        cls, listener: socket.socket | None, policy: Policy, on_record: Callable[[EgressRecord], None] | None = None
    ) -> "EgressProxy":
        """Starts serving a listening TCP socket. `on_record` hears of each request when it has ended."""
        if listener is None or not (
            listener.family == socket.AF_INET
            and listener.type == socket.SOCK_STREAM
            and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            raise SandboxUnavailable("the sandbox gave no egress port, so its network policy cannot be kept")
        proxy = cls(policy, on_record)
        listener.setblocking(False)
        proxy._server = await asyncio.start_server(proxy._accept, sock=listener, limit=MAX_HEAD)
        return proxy

    @property
    def environment(self) -> dict[str, str]:
        """What programs inside need in order to find the proxy, the certificates and the registries."""
        url = f"http://127.0.0.1:{self.PORT}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
        direct = dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1")
        return {**proxies, **direct, **CA_ENVIRONMENT, **client_environment()}

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve_one(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._handle(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # one of the two ends went away
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        traffic = _Traffic()
        try:
            request = await _read_request(reader)
            traffic.host, traffic.port = request.host, request.port
            await self._forward(request, reader, writer, traffic)
        except Refused as refusal:
            traffic.verdict = f"refused: {refusal}"
            text = f"workroom: the network policy {self._policy.name!r} of this sandbox refuses this: {refusal}\n"
            head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {len(text.encode())}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n{text}".encode())
            await writer.drain()
        finally:
            if self._on_record is not None:
                self._on_record(EgressRecord(**asdict(traffic)))

    async def _forward(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: _Traffic
    ) -> None:
        if len(self._tasks) > MAX_CONNECTIONS:
            raise Refused(f"more than {MAX_CONNECTIONS} connections at once")
        tunnel = request.method == "CONNECT"
        if not tunnel and not self._policy.is_open and request.method not in ("GET", "HEAD"):
            raise Refused(f"plain HTTP can only GET and HEAD, not {request.method}")
        addresses = await self._policy.admit(request.host, request.port)
        out_reader, out_writer = await _dial(addresses, request.port)
        sending = None
        try:
            first = b"" if tunnel else _plain_head(request)
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                if not self._policy.is_open:
                    first = await _client_hello(reader)
                    if not _is_for(request.host, first):
                        traffic.verdict = "refused: the tunnel does not begin with TLS for the host that was asked for"
                        return
            out_writer.write(first)
            self._sent += len(first)
            traffic.sent += len(first)
            if tunnel or self._policy.is_open:
                sending = asyncio.create_task(self._relay(reader, out_writer, traffic, sent=True))
            await self._relay(out_reader, writer, traffic, sent=False)
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            out_writer.close()

    async def _relay(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, traffic: _Traffic, *, sent: bool
    ) -> None:
        while True:
            async with asyncio.timeout(IDLE_TIMEOUT):
                data = await source.read(MAX_HEAD)
            if sent:
                traffic.sent += len(data)
                self._sent += len(data)
            else:
                traffic.received += len(data)
                self._received += len(data)
            if self._sent > MAX_SENT or self._received > MAX_RECEIVED:
                traffic.verdict = "refused: the byte budget of this sandbox is used up"
                return
            if not data:
                break
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()


async def _read_request(reader: asyncio.StreamReader) -> _Request:
    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise Refused("the head of the request is too long") from None
    first, *lines = head[:-4].split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1") or any(line[:1] in " \t" for line in lines):
        raise Refused("this is no HTTP request")
    method, target = words[0], words[1]
    try:
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        port = parts.port
    except ValueError:
        raise Refused("the target of the request is malformed") from None
    wrong_form = parts.path not in ("", "/") if method == "CONNECT" else parts.scheme != "http"
    if not parts.hostname or wrong_form or "@" in parts.netloc or any(ord(char) <= 32 for char in target):
        raise Refused("the target must be a host and port, or an http:// URL without user name")
    if method == "CONNECT" and port is None:
        raise Refused("the target has no port")
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    path = parts._replace(scheme="", netloc="").geturl() or "/"
    return _Request(method, path, normal_host(parts.hostname), 80 if port is None else port, headers)


def _plain_head(request: _Request) -> bytes:
    """The request as the server sees it: for the host that was checked, and no second one on this connection."""
    host = request.host if request.port == 80 else f"{request.host}:{request.port}"
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    dropped = ("host", "connection", "keep-alive", "te", "trailer", "upgrade")
    lines += [
        f"{name}: {value}"
        for name, value in request.headers
        if name and name.lower() not in dropped and not name.lower().startswith("proxy-")
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _dial(addresses: list[Address], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for address in addresses:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await asyncio.open_connection(str(address), port)
    raise Refused("the server cannot be reached from this machine")


async def _client_hello(reader: asyncio.StreamReader) -> bytes:
    """The first record that the client sends; only its head where that is no TLS handshake."""
    async with asyncio.timeout(HEAD_TIMEOUT):
        head = await reader.readexactly(5)
        if not head.startswith(HANDSHAKE):
            return head
        return head + await reader.readexactly(int.from_bytes(head[3:5]))


def _is_for(host: str, record: bytes) -> bool:
    """Whether it is a TLS ClientHello for this name; a registry that is set up by address has no name to compare."""
    if not record.startswith(HANDSHAKE):
        return False
    named = server_name(record[5:])
    return named == host or (named is None and host.replace(".", "").isdigit())


def server_name(hello: bytes) -> str | None:
    """The name in the SNI extension of a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3); None without one."""
    at = 4 + 2 + 32
    try:
        if hello[0] != 1:
            return None
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2])
        at += 1 + hello[at]
        end = at + 2 + int.from_bytes(hello[at : at + 2])
        at += 2
        while at + 4 <= min(end, len(hello)):
            kind, size = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
            if kind == 0:
                length = int.from_bytes(hello[at + 7 : at + 9])
                return normal_host(hello[at + 9 : at + 9 + length].decode("ascii"))
            at += 4 + size
    except (IndexError, UnicodeDecodeError):
        return None
    return None
