"""Real servers for the egress tests: origins on this host's loopback, with a certificate authority made on the spot."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from workroom.sandbox.egress import EgressProxy, EgressRecord, parse_policy
from workroom.sandbox.egress.policy import Policy

HOST = "127.0.0.2"  # an address of this host that a sandbox's `no_proxy` does not name
NAMES = ("allowed.test", "registry.test", HOST)


@dataclass
class Authority:
    """A certificate authority for `NAMES`, and a server certificate signed by it."""

    bundle: Path
    server: ssl.SSLContext = field(repr=False)

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.bundle))


def make_authority(folder: Path) -> Authority:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
    added = [word for line in extensions for word in ("-addext", line)]
    openssl("req", "-x509", *key, "-subj", "/CN=throw-away", *added, "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key[:-2], "-subj", "/CN=origin", "-keyout", "origin.key", "-out", "origin.csr")
    names = ",".join(f"DNS:{name}" for name in NAMES[:-1]) + f",IP:{HOST}"
    (folder / "names").write_text(f"subjectAltName={names}\n")
    openssl(
        *("x509", "-req", "-in", "origin.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "names", "-out", "origin.pem"),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "origin.pem", folder / "origin.key")
    return Authority(folder / "ca.pem", context)


class Origin(ThreadingHTTPServer):
    """An HTTP server that keeps what it was asked. `pages` maps a path to what makes its answer."""

    daemon_threads = True

    def __init__(self, authority: Authority | None = None, host: str = HOST) -> None:
        super().__init__((host, 0), _Handler)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.pages: dict[str, Callable[[Any], None]] = {}
        if authority is not None:
            self.socket = authority.server.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Origin)
        server.seen.append((self.command, self.path, dict(self.headers)))
        page = server.pages.get(self.path)
        if page is not None:
            page(self)
        else:
            self.reply(f"origin-token {self.command} {self.path}".encode())

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server looks for

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def origin(authority: Authority | None = None, host: str = HOST) -> Iterator[Origin]:
    server = Origin(authority, host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Served:
    """A proxy on this host's loopback, as a sandbox would see it, and what it has recorded."""

    proxy: EgressProxy
    port: int
    records: list[EgressRecord]

    @property
    def verdicts(self) -> list[str]:
        return [record.verdict for record in self.records]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, *pieces: bytes) -> bytes:
        """All that comes back for these bytes."""
        async with self.connect() as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(20):
                return await reader.read()


@asynccontextmanager
async def served(policy: str | Policy) -> AsyncIterator[Served]:
    """The real proxy, without a sandbox around it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    parsed = parse_policy(policy) if isinstance(policy, str) else policy
    assert parsed is not None
    records: list[EgressRecord] = []
    proxy = await EgressProxy.serve(listener, parsed, records.append)
    try:
        yield Served(proxy, port, records)
    finally:
        await proxy.close()
