"""The egress proxy of one sandbox: CONNECT with TLS to the very name that was asked for, and plain HTTP GET and HEAD.

It listens on a socket that was made inside the sandbox's network namespace and handed out, so a sandbox is known by
its socket and needs no password. It runs as tasks of the harness: whatever fails in one request ends that request, what
fails in accepting is tried again, and while it does not run nothing gets out at all. Refusals are readable, so that a
model stops trying.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from workroom.errors import SandboxUnavailable
from workroom.sandbox.egress import facade
from workroom.sandbox.egress.credentials import Credential
from workroom.sandbox.egress.dial import (
    READ_SIZE,
    RESOLVE_TIMEOUT,
    Dialler,
    Encrypted,
    Failed,
    Plain,
    Stream,
    Upstream,
    read_head,
    upstream_for,
)
from workroom.sandbox.egress.hello import check_server_name, read_hello
from workroom.sandbox.egress.policy import Address, EgressRecord, Policy, Refused, is_denied, is_never
from workroom.sandbox.egress.registries import Registries, client_environment, registries
from workroom.sandbox.egress.request import Request, parse_request
from workroom.sandbox.egress.traffic import IDLE_TIMEOUT, MAX_REQUESTS, Budget, Traffic
from workroom.sandbox.image.registries import CA_ENVIRONMENT

HEAD_TIMEOUT = 30.0  # until the head of a request, and the first message of a tunnel, is there
LOOK_TIMEOUT = 3.0  # for a name that the host's own proxy will resolve again
LINGER_TIMEOUT = 2.0  # for a client to take in the end of an answer
MAX_CONNECTIONS = 64  # that are served at a time; as many more may be at their head, of which the oldest makes room
MAX_INDEXES = 4  # index pages that are held in memory at a time
_TLS_ACCESS_DENIED = b"\x15\x03\x03\x00\x02\x02\x31"


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a request goes: to the addresses, or through the host's own proxy; `pinned`: to that port."""

    addresses: list[Address]
    port: int
    upstream: Upstream | None = None
    credential: Credential | None = None


class EgressProxy:
    """Serves one sandbox until it is closed."""

    PORT: ClassVar[int] = 3128  # on the sandbox's own loopback

    def __init__(
        self,
        listener: socket.socket,
        policy: Policy,
        on_record: Callable[[EgressRecord], None] | None,
        budget: Budget,
    ) -> None:
        self._listener = listener
        self._policy = policy
        self._on_record = on_record
        self.budget = budget
        self._dialler = Dialler()
        self._indexes = asyncio.Semaphore(MAX_INDEXES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_head: dict[asyncio.Task[None], None] = {}  # in the order of their coming
        self._closed = False
        self._start_accepting()

    @classmethod
    async def serve(
        cls,
        listener: socket.socket | None,
        policy: Policy,
        on_record: Callable[[EgressRecord], None] | None = None,
        budget: Budget | None = None,
    ) -> "EgressProxy":
        """Starts serving a listening TCP socket. `on_record` hears of each request when it has ended.

        `budget` goes on with what an earlier proxy of the same sandbox has counted.
        """
        if listener is None or not (
            listener.family == socket.AF_INET
            and listener.type == socket.SOCK_STREAM
            and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            raise SandboxUnavailable("the sandbox gave no egress port, so its network policy cannot be kept")
        try:
            for scheme, port in (("https", 443), ("http", 80)):
                upstream_for(scheme, "host.invalid", port)
        except SandboxUnavailable:
            listener.close()
            raise
        listener.setblocking(False)
        return cls(listener, policy, on_record, budget or Budget())

    @property
    def environment(self) -> dict[str, str]:
        """What programs inside need in order to find the proxy, the certificates and the registries."""
        url = f"http://127.0.0.1:{self.PORT}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
        direct = dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1")
        clients = client_environment() if self._policy.knows_registries else {}
        return {**proxies, **direct, **CA_ENVIRONMENT, **clients}

    async def close(self) -> None:
        """Stops listening and cuts every connection; each request that was not over is recorded with its bytes."""
        self._closed = True
        tasks = [self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    def _start_accepting(self) -> None:
        self._accepting = asyncio.get_running_loop().create_task(self._accept())
        self._accepting.add_done_callback(self._accept_again)

    def _accept_again(self, task: "asyncio.Task[None]") -> None:
        """Accepting ends only when the proxy is closed: whatever else ended it, it begins again."""
        if not self._closed:
            if not task.cancelled():
                task.exception()  # marks it as seen
            self._start_accepting()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # no descriptor is left, or the client is gone already
                await asyncio.sleep(0.1)
                continue
            self.budget.requests += 1
            if len(self._at_head) >= MAX_CONNECTIONS:
                oldest = next(iter(self._at_head))
                del self._at_head[oldest]
                oldest.cancel()
            task = loop.create_task(self._serve_one(client))
            task.add_done_callback(partial(_close, client))  # it may be cancelled before it has begun
            self._tasks.add(task)
            self._at_head[task] = None
            task.add_done_callback(self._forget)
            await asyncio.sleep(1 if self.budget.requests > MAX_REQUESTS else 0)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._at_head.pop(task, None)

    async def _serve_one(self, sock: socket.socket) -> None:
        with contextlib.closing(Plain(sock)) as client, contextlib.suppress(OSError):  # the client may go at any time
            async with asyncio.timeout(HEAD_TIMEOUT):
                head = await read_head(client)
            if head:
                await self._handle(head, client)
                await _linger(client)

    async def _handle(self, head: bytes, client: Plain) -> None:
        """One request, recorded once however it ends."""
        traffic = Traffic(self.budget)
        why = ""
        try:
            request = parse_request(head)
            traffic.host, traffic.port = request.host, request.port
            async with asyncio.timeout(IDLE_TIMEOUT) as traffic.idle:
                await self._forward(request, client, traffic)
        except Refused as refusal:
            traffic.verdict = f"refused: {refusal}"
            why = self._refusal(refusal)
        except Failed as failure:
            traffic.verdict = f"failed: {failure}"
            why = f"502 {failure}"
        except OSError as error:  # one of the two ends went away
            traffic.verdict = f"failed: {error.strerror or 'timed out'}"
            why = "504 The server does not answer"
        except Exception as error:  # noqa: BLE001 - a mistake in here must end neither the proxy nor the harness
            traffic.verdict = f"failed: internal error ({type(error).__name__})"
            why = "500 Internal error of the egress proxy"
        finally:
            self._record(traffic)
        if why and traffic.begun:
            _reset(client)
        elif why:
            await client.write(_answer(why))

    def _refusal(self, refusal: Refused) -> str:
        return f"403 The network policy {self._policy.name!r} of this sandbox refuses this: {refusal}"

    def _record(self, traffic: Traffic) -> None:
        if self._on_record is None or self.budget.requests > MAX_REQUESTS:
            return
        try:
            self._on_record(traffic.record())
        except Exception as error:  # noqa: BLE001 - told, but what the listener does wrong must not end the request
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "an egress record was not taken", "exception": error})

    async def _forward(self, request: Request, client: Plain, traffic: Traffic) -> None:
        self.budget.check()
        task = asyncio.current_task()
        assert task is not None
        self._at_head.pop(task, None)
        if len(self._tasks) - len(self._at_head) > MAX_CONNECTIONS:
            raise Refused(f"more than {MAX_CONNECTIONS} connections at once")
        if not request.is_tunnel and not self._policy.is_open and request.method not in ("GET", "HEAD"):
            raise Refused(f"plain HTTP can only GET and HEAD, not {request.method}")
        route = await self._route(request)
        if request.is_tunnel:
            await self._tunnel(request, route, client, traffic)
        elif route.credential is not None:
            await self._with_credential(request, route, route.credential, client, traffic)
        else:
            await self._plain(request, route, client, traffic)

    async def _route(self, request: Request) -> _Route:
        """Decides. Raises Refused."""
        host, port = request.host, request.port
        known = await _known() if self._policy.knows_registries else Registries()
        listed = (host, port) in known.endpoints
        if not listed:
            self._policy.check_name(host, port)
        credential = None
        if listed and request.method in ("GET", "HEAD"):
            credential = facade.credential_for(request, known.credentials_of(host, port))
        if host in self._policy.pinned:
            address, instead = self._policy.pinned[host]
            return _Route([address], instead or port)
        scheme = "https" if request.is_tunnel or (credential and credential.scheme == "https") else "http"
        upstream = upstream_for(scheme, host, port)
        addresses = await self._dialler.resolve(host, port, RESOLVE_TIMEOUT if upstream is None else LOOK_TIMEOUT)
        good = [address for address in addresses if not (is_never(address) if listed else is_denied(address))]
        if addresses and not good:
            raise Refused(f"{host} resolves to an address that is not public")
        if not addresses and upstream is None:
            raise Failed(f"the name {host} cannot be resolved")
        return _Route(good, port, upstream, credential)

    async def _dial(self, request: Request, route: _Route, *, tunnel: bool) -> Plain:
        if route.upstream is None:
            return await self._dialler.dial(route.addresses, route.port)
        if tunnel:
            return await self._dialler.tunnel_through(route.upstream, request.host, route.port)
        return await self._dialler.dial_upstream(route.upstream)

    async def _tunnel(self, request: Request, route: _Route, client: Plain, traffic: Traffic) -> None:
        with contextlib.closing(await self._dial(request, route, tunnel=True)) as server:
            await client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if not self._policy.is_open:
                try:
                    first = await _checked_hello(request.host, client)
                except Refused as refusal:  # told in the language of the client: TLS, or HTTP
                    traffic.verdict = f"refused: {refusal}"
                    tls = client.ahead.startswith(b"\x16")
                    await client.write(_TLS_ACCESS_DENIED if tls else _answer(self._refusal(refusal)))
                    return
                traffic.send(len(first))
                await server.write(first)
            traffic.begun = True
            await _both_ways(client, server, traffic)

    async def _plain(self, request: Request, route: _Route, client: Plain, traffic: Traffic) -> None:
        with contextlib.closing(await self._dial(request, route, tunnel=False)) as server:
            head = _plain_head(request, route.upstream)
            traffic.send(len(head))
            await server.write(head)
            left = request.length
            while left:
                piece = await client.read(min(left, READ_SIZE))
                if not piece:
                    raise Refused("the body is shorter than its Content-Length")
                left -= len(piece)
                traffic.send(len(piece))
                await server.write(piece)
            traffic.begun = True
            await _both_ways(client, server, traffic, upward=False)

    async def _with_credential(
        self, request: Request, route: _Route, credential: Credential, client: Plain, traffic: Traffic
    ) -> None:
        encrypted = credential.scheme == "https"
        plain = await self._dial(request, route, tunnel=encrypted)
        server: Stream = await Encrypted.over(plain, request.host) if encrypted else plain
        with contextlib.closing(server):
            head = facade.request_head(request, credential, None if encrypted else route.upstream)
            traffic.send(len(head))
            await server.write(head)
            await facade.answer(request, credential, server, client, traffic, self._indexes)


async def _known() -> Registries:
    """The first time in a thread, for the clients of the host are asked."""
    return registries() if registries.cache_info().currsize else await asyncio.to_thread(registries)


async def _checked_hello(host: str, client: Plain) -> bytes:
    """The bytes of a ClientHello for this name. Where it raises Refused, they are still unread."""
    taken = b""

    async def exactly(size: int) -> bytes:
        nonlocal taken
        data = b""
        while len(data) < size:
            piece = await client.read(size - len(data))
            if not piece:
                raise Refused("the tunnel does not begin with TLS")
            data += piece
            taken += piece
        return data

    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            raw, message = await read_hello(exactly)
        check_server_name(message, host)
    except Refused:
        client.unread(taken)
        raise
    return raw


async def _both_ways(client: Plain, server: Plain, traffic: Traffic, *, upward: bool = True) -> None:
    """Hands on what comes until both ends have said their last, or one is gone.

    Without `upward` the answer alone counts: what the client still sends, a second request say, goes nowhere.
    """
    answer = asyncio.create_task(_pump(server, client, traffic.receive))
    other = asyncio.create_task(_pump(client, server, traffic.send) if upward else _drop(client))
    tasks = pending = {answer, other}
    try:
        while pending and (upward or answer in pending):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if not all(task.result() for task in done):
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: Plain, target: Plain, count: Callable[[int], None]) -> bool:
    """Whether it came to the end, which is handed on. Raises Refused where the budget is used up."""
    try:
        while data := await source.read():
            count(len(data))
            await target.write(data)
    except OSError:
        return False
    target.end()
    return True


async def _drop(client: Plain) -> bool:
    try:
        while await client.read():
            pass
    except OSError:
        return False
    return True


async def _linger(client: Plain) -> None:
    """Lets the client take in all of the answer: closing with something of it unread would cut the answer off."""
    client.end()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_TIMEOUT):
            await _drop(client)


def _close(sock: socket.socket, _: "asyncio.Task[None]") -> None:
    sock.close()


def _reset(client: Plain) -> None:
    """Makes the end of the connection an error for the client, so that half an answer is not taken for a whole one."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _plain_head(request: Request, upstream: Upstream | None) -> bytes:
    """The request as the server sees it: for the host that was checked, and no second one on this connection."""
    target = f"http://{request.authority}{request.target}" if upstream else request.target
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {request.authority}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    return ("\r\n".join(lines) + f"\r\n{upstream.header if upstream else ''}\r\n").encode("latin-1")


def _answer(why: str) -> bytes:
    """A refusal, in the status line too, which is all that some clients show."""
    text = f"workroom: {why[4:]}\n".encode("ascii", "replace")
    head = (
        f"HTTP/1.1 {why[:1000]}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii", "replace") + text
