"""Outward connections: a name is resolved once and that very address is dialled, or the host's own proxy is asked."""

import asyncio
import base64
import contextlib
import ipaddress
import socket
import ssl
import threading
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from workroom.errors import SandboxUnavailable
from workroom.sandbox.egress.policy import Address, unmapped
from workroom.sandbox.image.registries import ca_bundle

RESOLVE_TIMEOUT = 15.0
CONNECT_TIMEOUT = 10.0  # for each address
MAX_ADDRESSES = 4  # of a name that are tried
MAX_LOOKUPS = 4  # at a time for one sandbox
MAX_HEAD = 32 << 10
READ_SIZE = 256 << 10


class Failed(Exception):
    """What the policy allows did not work; the text is for the model."""


class Stream:
    """A connection in either direction, with what was read ahead of it."""

    def __init__(self) -> None:
        self._ahead = b""

    async def read(self, size: int = READ_SIZE) -> bytes:
        """At least a byte and at most `size`; b"" at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        return await self._receive(size)

    @property
    def ahead(self) -> bytes:
        """What was read ahead, or put back."""
        return self._ahead

    def unread(self, data: bytes) -> None:
        self._ahead = data + self._ahead

    async def _receive(self, size: int) -> bytes:
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Says that nothing more will be sent, where that can be said."""

    def close(self) -> None:
        """Cuts it."""
        raise NotImplementedError


class Plain(Stream):
    """A socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        sock.setblocking(False)
        self.socket = sock
        self._loop = asyncio.get_running_loop()

    async def _receive(self, size: int) -> bytes:
        await asyncio.sleep(0)  # where bytes are always there, `sock_recv` lets nobody else have a turn
        return await self._loop.sock_recv(self.socket, size)

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()


class Encrypted(Stream):
    """A TLS connection to a server whose certificate was checked for its name."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, plain: Plain, host: str) -> "Encrypted":
        """Begins TLS on a connection. Raises Failed, and closes it, where the certificate is not good."""
        bundle = ca_bundle()
        context = _context(str(bundle), bundle.stat().st_mtime_ns) if bundle else _context(None, 0)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return cls(*await asyncio.open_connection(sock=plain.socket, ssl=context, server_hostname=host))
        except BaseException as error:
            plain.close()
            if not isinstance(error, OSError):  # a TimeoutError and an SSLError are
                raise
            raise Failed(f"no TLS connection to {host} can be made: {_words(error)}") from None

    async def _receive(self, size: int) -> bytes:
        return await self._reader.read(size)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Upstream:
    """The HTTP proxy that this host itself must go through."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def header(self) -> str:
        return f"Proxy-Authorization: {self.authorization}\r\n" if self.authorization else ""


def upstream_for(scheme: str, host: str, port: int) -> Upstream | None:
    """By HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the host. Raises SandboxUnavailable for a kind that is not known."""
    url = urllib.request.getproxies().get(scheme)
    if not url or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    name = f"{scheme.upper()}_PROXY"
    try:
        number = parts.port or 80
    except ValueError:
        number = 0
    if parts.scheme != "http" or not parts.hostname or not number:
        raise SandboxUnavailable(f"{name} of this host names no http:// proxy; others cannot be gone through")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    header = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
    return Upstream(parts.hostname, number, header)


class Dialler:
    """Resolves and dials for one sandbox, so that slow names of one do not keep another waiting."""

    def __init__(self) -> None:
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)

    async def resolve(self, host: str, port: int, timeout: float = RESOLVE_TIMEOUT) -> list[Address]:
        """The addresses of a name, if any. In a thread of its own: a resolver cannot be interrupted."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address]] = loop.create_future()

        def settle(addresses: list[Address]) -> None:
            self._lookups.release()
            if not answer.done():
                answer.set_result(addresses)

        def look_up() -> None:
            addresses: list[Address] = []
            with contextlib.suppress(OSError, UnicodeError):
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = [unmapped(ipaddress.ip_address(entry[4][0])) for entry in found]
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, list(dict.fromkeys(addresses)))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._lookups.acquire()
                try:
                    threading.Thread(target=look_up, name="workroom-resolve", daemon=True).start()
                except RuntimeError:  # no thread is left
                    settle([])
                return await answer
        return []

    async def dial(self, addresses: list[Address], port: int) -> Plain:
        """A connection to the first address that answers. Raises Failed."""
        why = ""
        for address in addresses[:MAX_ADDRESSES]:
            sock = None
            try:
                sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
                sock.setblocking(False)
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return Plain(sock)
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if not isinstance(error, OSError):  # a TimeoutError is one
                    raise
                why = _words(error)
        raise Failed(f"the server cannot be reached from this machine: {why or 'it has no address'}")

    async def dial_upstream(self, upstream: Upstream) -> Plain:
        """A connection to the host's own proxy. Raises Failed."""
        try:
            return await self.dial(await self.resolve(upstream.host, upstream.port), upstream.port)
        except Failed as error:
            raise Failed(f"the proxy of this machine does not answer ({error})") from None

    async def tunnel_through(self, upstream: Upstream, host: str, port: int) -> Plain:
        """A tunnel to a name through the host's own proxy. Raises Failed."""
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        plain = await self.dial_upstream(upstream)
        try:
            async with asyncio.timeout(2 * CONNECT_TIMEOUT):
                await plain.write(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n{upstream.header}\r\n".encode())
                head = await read_head(plain)
            status = head.split(b" ", 2)[1:2] if head.endswith(b"\r\n\r\n") else []
        except (OSError, Failed):
            status = []
        except BaseException:
            plain.close()
            raise
        if status != [b"200"]:
            plain.close()
            code = status[0][:3].decode("latin-1") if status else "nothing"
            raise Failed(f"the proxy of this machine does not reach {name}: it answers {code}")
        return plain


async def read_head(stream: Stream) -> bytes:
    """All up to the first empty line; what follows stays unread. b"" at the end.

    Of a head that is longer than MAX_HEAD, the beginning, without an empty line.
    """
    data = b""
    while b"\r\n\r\n" not in data and len(data) <= MAX_HEAD:
        more = await stream.read(MAX_HEAD)
        if not more:
            return b""
        data += more
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD) + 4
    if end < 4:
        return data[: MAX_HEAD + 1].replace(b"\r\n\r\n", b"")
    stream.unread(data[end:])
    return data[:end]


@lru_cache(maxsize=4)
def _context(bundle: str | None, _changed: int) -> ssl.SSLContext:
    """Reading a bundle takes longer than all else that a request needs."""
    return ssl.create_default_context(cafile=bundle)


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return getattr(error, "verify_message", "") or error.strerror or type(error).__name__
