"""Requests to a registry that needs credentials: the proxy adds them, and lets nothing of them come back.

Only GET and HEAD, only to the origin and below the path that the credential is for. Redirects are not followed. In
index pages the registry's own URL is put as the sandbox knows it, so that the files they name come this way too.
"""

import asyncio
import re
from collections.abc import AsyncIterator

from workroom.sandbox.egress.credentials import Credential
from workroom.sandbox.egress.dial import Failed, Stream, Upstream, read_head
from workroom.sandbox.egress.policy import Refused
from workroom.sandbox.egress.request import Request
from workroom.sandbox.egress.traffic import Traffic

MAX_INDEX = 32 << 20
_INDEX = re.compile(r"text/html|application/(json|vnd\.(pypi\.simple|npm)[\w.+-]*)", re.ASCII)
_NOT_SENT = frozenset(("authorization", "cookie", "accept-encoding", "expect", "content-length"))
# Sessions and challenges stay outside; the framing of the answer is ours.
_NOT_RETURNED = frozenset(
    (
        "set-cookie",
        *("www-authenticate", "authentication-info", "proxy-authenticate", "link", "alt-svc"),
        *("strict-transport-security", "connection", "keep-alive", "transfer-encoding", "trailer", "upgrade"),
        "content-length",
    )
)


def credential_for(request: Request, known: tuple[Credential, ...]) -> Credential | None:
    """The one that covers the request. Raises Refused where the registry only speaks HTTPS and none does."""
    best = max(
        (entry for entry in known if entry.covers(request.target)), key=lambda entry: len(entry.path), default=None
    )
    if best is None and any(entry.scheme == "https" for entry in known):
        paths = ", ".join(sorted({entry.path for entry in known}))
        raise Refused(f"of this registry only what is below {paths} can be reached")
    return best


def request_head(request: Request, credential: Credential, upstream: Upstream | None) -> bytes:
    """The request as the registry gets it, or the host's own proxy before it."""
    name = f"[{request.host}]" if ":" in request.host else request.host
    default = 443 if credential.scheme == "https" else 80
    host = name if request.port == default else f"{name}:{request.port}"
    target = f"http://{host}{request.target}" if upstream else request.target
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += ["Accept-Encoding: identity", f"Authorization: {credential.authorization}"]
    lines += [f"{name}: {value}" for name, value in request.headers if name not in _NOT_SENT]
    return ("\r\n".join(lines) + f"\r\n{upstream.header if upstream else ''}\r\n").encode("latin-1")


async def answer(
    request: Request,
    credential: Credential,
    server: Stream,
    client: Stream,
    traffic: Traffic,
    indexes: asyncio.Semaphore,
) -> None:
    """Hands the registry's answer on. Only so many index pages at a time as the semaphore lets are held in memory."""
    status, fields = await _answer_head(server)
    headers = dict(fields)
    clean = Cleaner(request, credential)
    body = _body(request, status, headers, server)
    kept = [f"{name}: {clean.text(value)}" for name, value in fields if name not in _NOT_RETURNED]
    first = f"HTTP/1.1 {status} {'OK' if status < 300 else 'Registry'}"
    index = bool(_INDEX.match(headers.get("content-type", "").lower()))
    if index and request.method == "GET" and status != 304:
        if headers.get("content-encoding", "identity") != "identity" or status == 206:
            raise Failed("the registry answers with a compressed or partial index, which was not asked for")
        async with indexes:
            page = bytearray()
            async for piece in body:
                traffic.receive(len(piece))
                page += piece
                if len(page) > MAX_INDEX:
                    raise Failed(f"the registry's index page is larger than {MAX_INDEX >> 20} MiB")
            cleaned = clean.bytes(bytes(page))
            traffic.begun = True
            await client.write(_head(first, kept, len(cleaned)) + cleaned)
        return
    length = headers.get("content-length")
    traffic.begun = True
    await client.write(_head(first, kept, int(length) if length and length.isdigit() else None))
    async for piece in body:
        traffic.receive(len(piece))
        await client.write(piece)


class Cleaner:
    """Puts the registry's own URL as the sandbox knows it, and takes out user names, passwords and tokens."""

    def __init__(self, request: Request, credential: Credential) -> None:
        host, port = re.escape(request.host.encode()), str(request.port).encode()
        default = b"(?::" + port + b")?" if request.port in (80, 443) else b":" + port
        scheme = credential.scheme.encode()
        self._url = re.compile(
            scheme + rb":(\\?/\\?/)(?:[^/@\s\"'<>]*@)?" + host + default + rb"(?![\w.:-])", re.IGNORECASE
        )
        self._new = rb"http:\g<1>" + request.authority.encode()
        self._secrets = credential.secrets

    def bytes(self, data: bytes) -> bytes:
        data = self._url.sub(self._new, data)
        for secret in self._secrets:
            data = data.replace(secret, b"***")
        return data

    def text(self, value: str) -> str:
        return self.bytes(value.encode("latin-1")).decode("latin-1")


def _head(first: str, kept: list[str], length: int | None) -> bytes:
    lines = [first, *kept, "connection: close", *([] if length is None else [f"content-length: {length}"])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _answer_head(server: Stream) -> tuple[int, list[tuple[str, str]]]:
    while True:
        head = (await read_head(server)).decode("latin-1")
        if not head.endswith("\r\n\r\n"):
            raise Failed("the registry gave no HTTP answer")
        first, *lines = head[:-4].split("\r\n")
        match = re.match(r"HTTP/1\.[01] ([1-5][0-9][0-9])", first, re.ASCII)
        if match is None:
            raise Failed("the registry gave no HTTP answer")
        if match[1][0] != "1":
            break
    pairs = (line.partition(":") for line in lines)
    return int(match[1]), [(name.lower(), value.strip()) for name, _, value in pairs if name and name == name.strip()]


async def _body(request: Request, status: int, headers: dict[str, str], server: Stream) -> AsyncIterator[bytes]:
    if request.method == "HEAD" or status in (204, 304):
        return
    length = headers.get("content-length", "")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := await _chunk_size(server):
            async for piece in _exactly(server, size):
                yield piece
            await _line(server)
    elif "transfer-encoding" in headers:
        raise Failed("the registry answers in an unknown transfer encoding")
    elif length.isdigit():
        async for piece in _exactly(server, int(length)):
            yield piece
    else:
        while piece := await server.read():
            yield piece


async def _exactly(server: Stream, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await server.read(min(size, 256 << 10))
        if not piece:
            raise Failed("the registry's answer ended early")
        size -= len(piece)
        yield piece


async def _chunk_size(server: Stream) -> int:
    try:
        return int((await _line(server)).partition(b";")[0], 16)
    except ValueError:
        raise Failed("the registry's answer is malformed") from None


async def _line(server: Stream) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = await server.read(1 << 12)
        line += piece
        end = line.find(b"\n") + 1
        if not piece or (not end and len(line) > 1 << 12):
            raise Failed("the registry's answer is malformed")
        if end:
            server.unread(line[end:])
            line = line[:end]
    return line
