"""What a hostile client can send to the egress proxy: each refusal with what is let through beside it.

The proxy is the real one, on a socket of this host, so that a hundred attacks do not need a hundred sandboxes.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.egress_support import HOST, Authority, Origin, Served, make_authority, origin, served
from workroom.errors import SandboxUnavailable
from workroom.sandbox.egress import EgressProxy, proxy, traffic
from workroom.sandbox.egress.policy import EgressRecord, Policy, parse_policy

GOOD = b"GET http://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n"
CONNECT = b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def plain() -> Iterator[Origin]:
    with origin() as server:
        yield server


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Origin]:
    with origin(authority) as server:
        yield server


def network(server: Any) -> str:
    return f"allow:allowed.test={HOST}:{server.server_port}"


Attack = Callable[[Served], Awaitable[None]]


def attack(policy: str | Policy, work: Attack) -> list[EgressRecord]:
    """Runs `work` against a proxy; nothing may be left of it afterwards, and nothing told to the loop's handler."""

    async def run() -> list[EgressRecord]:
        noise: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
        async with served(policy) as it:
            await work(it)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []
        assert noise == []
        return it.records

    before = descriptors()
    records = asyncio.run(run())
    deadline = time.monotonic() + 10  # the threads of the origin, which are in this process too, notice a little later
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descriptors() <= before
    return records


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\r\n" + GOOD,
        GOOD.replace(b"\r\n", b"\n") + b"\r\n\r\n",
        GOOD.replace(b"Host", b"\nHost"),
        GOOD.replace(b"Host: ", b"Host : "),
        GOOD.replace(b"Host: ", b" Host: "),
        GOOD.replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n"),
        GOOD.replace(b"Host", b"Ho\0st"),
        GOOD.replace(b"allowed.test/", b"allowed.test/\0"),
        GOOD.replace(b"allowed.test/", b"allowed.test/\x85"),
        GOOD.replace(b"allowed.test/", b"allowed.test/ HTTP/1.1\rX: "),
        GOOD.replace(b"GET ", b"GET\t"),
        GOOD.replace(b"GET ", b"get "),
        GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"),
        GOOD.replace(b"HTTP/1.1", b"HTTP/1.1 x"),
        GOOD.replace(b"http://allowed.test/", b"/"),
        GOOD.replace(b"http://allowed.test/", b"*"),
        GOOD.replace(b"http://allowed.test/", b"//allowed.test/"),
        GOOD.replace(b"http://allowed.test/", b"https://allowed.test/"),
        GOOD.replace(b"http://allowed.test/", b"ftp://allowed.test/"),
        GOOD.replace(b"http://allowed.test/", b"http:allowed.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://denied.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test@denied.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://denied.test@allowed.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://denied.test\\@allowed.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test#@denied.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test%00.denied.test/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:0/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:65616/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:+80/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:80:80/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:22/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test../"),
        GOOD.replace(b"http://allowed.test/", b"http:///"),
        GOOD.replace(b"http://allowed.test/", b"http://[allowed.test]/"),
        GOOD.replace(b"http://allowed.test/", b"http://[::1]/"),
        GOOD.replace(b"http://allowed.test/", b"http://[::ffff:127.0.0.2]/"),
        GOOD.replace(b"http://allowed.test/", b"http://127.0.0.2/"),
        GOOD.replace(b"http://allowed.test/", b"http://0x7f.2/"),
        GOOD.replace(b"http://allowed.test/", b"http://2130706434/"),
        GOOD.replace(b"Host: allowed.test", b"Host: denied.test"),
        GOOD.replace(b"Host: allowed.test", b"Host: allowed.test, denied.test"),
        GOOD.replace(b"Host: allowed.test", b"Host: allowed.test:8080"),
        GOOD.replace(b"Host: allowed.test", b"Host: allowed.test\r\nHost: allowed.test"),
        GOOD.replace(b"Host: allowed.test", b"Host: allowed.test\r\nhOST: denied.test"),
        GOOD.replace(b"Host: allowed.test", b"Host:"),
        GOOD.replace(b"Host: allowed.test", b": x"),
        GOOD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        GOOD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx"),
        GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\nx"),
        GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\nx"),
        GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: +0\r\n\r\n"),
        GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 0, 0\r\n\r\n"),
        GOOD.replace(b"GET", b"POST"),
        GOOD.replace(b"GET", b"TRACE"),
        GOOD.replace(b"\r\n\r\n", b"\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
        GOOD.replace(b"\r\n\r\n", b"\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"),
        CONNECT.replace(b":443 ", b" "),
        CONNECT.replace(b"allowed.test:443 ", b"http://allowed.test:443/ "),
        CONNECT.replace(b"allowed.test:443 ", b"allowed.test:443/ "),
        CONNECT.replace(b"allowed.test:443 ", b"x@allowed.test:443 "),
        CONNECT.replace(b"allowed.test:443 ", b"denied.test:443 "),
        CONNECT.replace(b"allowed.test:443 ", b"127.0.0.2:443 "),
        CONNECT.replace(b"allowed.test:443 ", b"allowed.test:22 "),
        CONNECT.replace(b"Host: allowed.test", b"Host: denied.test"),
        CONNECT.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"),
    ],
    ids=str,
)
def test_it_is_refused_in_words_and_nothing_reaches_the_server(plain: Origin, request_bytes: bytes) -> None:
    async def work(it: Served) -> None:
        answer = await it.ask(request_bytes)
        assert answer.startswith(b"HTTP/1.1 403 The network policy 'allow' of this sandbox refuses this: "), answer
        assert answer.endswith(b"\n")

    seen = len(plain.seen)
    (record,) = attack(network(plain), work)
    assert record.verdict.startswith("refused: ")
    assert (record.sent, record.received) == (0, 0)
    assert len(plain.seen) == seen


@pytest.mark.parametrize(
    "request_bytes",
    [
        GOOD,
        GOOD.replace(b"Host: allowed.test\r\n", b""),
        GOOD.replace(b"http://allowed.test/", b"HTTP://ALLOWED.test./"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test:80/"),
        GOOD.replace(b"http://allowed.test/", b"http://allowed.test"),
        GOOD.replace(b"Host: allowed.test", b"hoST:\tAllowed.Test.:80 "),
        GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
        GOOD.replace(b"\r\n\r\n", b"\r\nX: \xe4\xf6\r\nEmpty:\r\n\r\n"),
        GOOD.replace(b"1.1", b"1.0"),
    ],
    ids=str,
)
def test_it_is_let_through(plain: Origin, request_bytes: bytes) -> None:
    async def work(it: Served) -> None:
        assert (await it.ask(request_bytes)).endswith(b"\r\n\r\norigin-token GET /")

    (record,) = attack(network(plain), work)
    assert record.verdict == "allowed"
    assert record.sent > 50 < record.received
    assert (record.host, record.port) == ("allowed.test", 80)
    assert plain.seen[-1][2]["Host"] == "allowed.test"
    assert plain.seen[-1][2]["Connection"] == "close"


def test_headers_of_the_hop_stay_and_no_upgrade_passes(plain: Origin) -> None:
    extra = (
        b"Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
        b"Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nX-Kept: 2\r\n"
    )

    async def work(it: Served) -> None:
        assert b"200 OK" in await it.ask(GOOD[:-2] + extra + b"\r\n")

    attack(network(plain), work)
    names = {name.lower() for name in plain.seen[-1][2]}
    assert names == {"host", "connection", "sec-websocket-key", "x-kept"}


def test_a_second_request_on_the_connection_goes_nowhere(plain: Origin) -> None:
    async def work(it: Served) -> None:
        answer = await it.ask(
            GOOD + GOOD.replace(b"test/", b"test/second") + b"GET http://denied.test/ HTTP/1.1\r\n\r\n"
        )
        assert answer.count(b"HTTP/1.") == 1
        assert answer.endswith(b"origin-token GET /")
        async with it.connect() as (reader, writer):
            writer.write(GOOD)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.write(GOOD.replace(b"test/", b"test/second"))
            assert b"second" not in await reader.read()

    records = attack(network(plain), work)
    assert [record.verdict for record in records] == ["allowed"] * 2
    assert all(path != "/second" for _, path, _ in plain.seen)


def test_open_takes_a_body_of_just_its_length(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy("open", pinned=_pins(plain))
    post = GOOD.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n")

    async def work(it: Served) -> None:
        assert b"origin-token POST /" in await it.ask(post + b"data" + GOOD.replace(b"test/", b"test/smuggled"))
        assert b"shorter" in await _half_closed(it, post + b"dat")
        assert b"403" in await it.ask(post.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n")

    records = attack(policy, work)
    assert [record.verdict.partition(":")[0] for record in records] == ["allowed", "refused", "refused"]
    assert all(path != "/smuggled" for _, path, _ in plain.seen)


def _pins(server: Any) -> dict[str, Any]:
    parsed = parse_policy(network(server))
    assert parsed is not None
    return parsed.pinned


async def _half_closed(it: Served, data: bytes) -> bytes:
    async with it.connect() as (reader, writer):
        writer.write(data)
        writer.write_eof()
        return await reader.read()


# ---- TLS ----


def hello(authority: Authority, name: str | None) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = authority.client()
    context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def records_of(record: bytes, size: int) -> bytes:
    """The same handshake message in records of `size` bytes."""
    message = record[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(record[:3] + len(piece).to_bytes(2) + piece for piece in pieces)


def with_extension(record: bytes, kind: int, content: bytes) -> bytes:
    """The same ClientHello with one more extension, all lengths mended."""
    message = bytearray(record[9:])
    at = 34
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at : at + 2])
    at += 1 + message[at]
    added = kind.to_bytes(2) + len(content).to_bytes(2) + content
    message[at : at + 2] = (int.from_bytes(message[at : at + 2]) + len(added)).to_bytes(2)
    message += added
    whole = b"\x01" + len(message).to_bytes(3) + bytes(message)
    return record[:3] + len(whole).to_bytes(2) + whole


def test_tls_for_the_name_passes_however_it_is_cut(secure: Origin, authority: Authority) -> None:
    first = hello(authority, "allowed.test")
    forms = {
        "whole": [first],
        "with the request": None,
        "two packets": [first[:200], first[200:]],
        "cut in the record head": [first[:3], first[3:]],
        "records of 100": [records_of(first, 100)],
        "records of 1": [records_of(first, 1)],
        "a large hello": [with_extension(first, 0xFAFA, bytes(9000))],
    }

    async def work(it: Served) -> None:
        for name, pieces in forms.items():
            async with it.connect() as (reader, writer):
                writer.write(CONNECT + (first if pieces is None else b""))
                assert b"200" in await reader.readuntil(b"\r\n\r\n"), name
                for piece in pieces or ():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                assert (await reader.readexactly(6))[::5] == b"\x16\x02", name  # a handshake record with a ServerHello

    assert {record.verdict for record in attack(network(secure), work)} == {"allowed"}


def test_what_is_not_tls_for_the_name_is_refused(secure: Origin, authority: Authority) -> None:
    first = hello(authority, "allowed.test")
    name = b"\0\x0f\0\0\x0cdenied2.test"
    forms = {
        "another name": hello(authority, "denied.test"),
        "another name in small records": records_of(hello(authority, "denied.test"), 7),
        "no name": hello(authority, None),
        "ECH": with_extension(first, 0xFE0D, bytes(100)),
        "ESNI": with_extension(first, 0xFFCE, bytes(100)),
        "two names": with_extension(first, 0, name),
        "the name again": with_extension(first, 0, b"\0\x0f\0\0\x0callowed.test"),
        "another message behind it": first[:3] + (len(first)).to_bytes(2) + first[5:] + b"\x01\0\0\0\0",
        "too long": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        "an empty record": b"\x16\x03\x01\x00\x00",
        "a record of 20,000": b"\x16\x03\x01" + (20_000).to_bytes(2) + bytes(20_000),
        "a ServerHello": b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
        "an alert": b"\x15\x03\x01\x00\x02\x01\x00",
        "HTTP": b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "SSL 2": b"\x80\x2e\x01\x00\x02" + bytes(44),
        "zeros": bytes(300),
    }

    async def work(it: Served) -> None:
        for form, data in forms.items():
            async with it.connect() as (reader, writer):
                writer.write(CONNECT)
                assert b"200" in await reader.readuntil(b"\r\n\r\n"), form
                writer.write(data)
                answer = await reader.read()
            alert = answer == b"\x15\x03\x03\x00\x02\x02\x31"
            assert alert == data.startswith(b"\x16"), form
            assert alert or b"403 The network policy" in answer, form

    seen = len(secure.seen)
    records = attack(network(secure), work)
    assert len(records) == len(forms)
    for record, form in zip(records, forms, strict=True):
        assert record.verdict.startswith("refused: "), form
        assert record.sent == record.received == 0, form
    assert len(secure.seen) == seen


# ---- exhaustion ----


def test_slow_heads_time_out_and_their_trickle_does_not_help(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "HEAD_TIMEOUT", 0.3)

    async def work(it: Served) -> None:
        async with it.connect() as (reader, writer):
            done = asyncio.create_task(reader.read())
            while not done.done():
                writer.write(b"G")
                await asyncio.sleep(0.02)
            assert done.exception() is not None or done.result() == b""
        assert b"origin-token" in await it.ask(GOOD)

    assert len(attack(network(plain), work)) == 1


def test_a_silent_tunnel_is_ended(secure: Origin, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "HEAD_TIMEOUT", 0.2)
    for module in (proxy, traffic):
        monkeypatch.setattr(module, "IDLE_TIMEOUT", 0.2)

    async def work(it: Served) -> None:
        answer = await it.ask(CONNECT)
        assert b"504" in answer
        async with it.connect() as (reader, writer):
            writer.write(CONNECT + hello(authority, "allowed.test"))
            with pytest.raises(ConnectionResetError):
                await reader.read()

    records = attack(network(secure), work)
    assert [record.verdict for record in records] == ["failed: timed out"] * 2


def test_more_connections_than_are_served_are_told_so(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "MAX_CONNECTIONS", 4)
    release = threading.Event()

    def wait(handler: Any) -> None:
        release.wait(20)
        handler.reply(b"late")

    plain.pages["/wait"] = wait

    async def work(it: Served) -> None:
        slow = [asyncio.create_task(it.ask(GOOD.replace(b"test/", b"test/wait"))) for _ in range(4)]
        while len(plain.seen) < before + 4:  # noqa: ASYNC110 - the origin is a thread
            await asyncio.sleep(0.01)
        assert b"more than 4 connections" in await it.ask(GOOD)
        release.set()
        assert all(answer.endswith(b"late") for answer in await asyncio.gather(*slow))
        assert b"origin-token" in await it.ask(GOOD)

    before = len(plain.seen)
    records = attack(network(plain), work)
    assert sum(record.verdict == "allowed" for record in records) == 5
    assert len(records) == 6


def test_a_sandbox_that_asks_without_end_is_slowed_down_and_not_recorded(
    plain: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (proxy, traffic):
        monkeypatch.setattr(module, "MAX_REQUESTS", 3)

    async def work(it: Served) -> None:
        for number in range(5):
            answer = await it.ask(GOOD)
            assert (b"origin-token" if number < 3 else b"too many requests") in answer

    assert len(attack(network(plain), work)) == 3


@pytest.mark.parametrize("size", [1, 1000, 300_000])
def test_no_byte_beyond_the_budget_comes_in(plain: Origin, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(traffic, "MAX_RECEIVED", size)
    plain.pages["/large"] = lambda handler: handler.reply(bytes(1_000_000))
    received = 0

    async def fetch(it: Served) -> None:
        nonlocal received
        async with it.connect() as (reader, writer):
            writer.write(GOOD.replace(b"test/", b"test/large"))
            try:
                while data := await reader.read(1 << 16):
                    received += len(data)
            except ConnectionResetError:
                pass

    async def work(it: Served) -> None:
        await asyncio.gather(*(fetch(it) for _ in range(3)))
        assert received <= size
        answer = await it.ask(GOOD)
        assert b"the byte budget of this sandbox is used up" in answer

    records = attack(network(plain), work)
    assert sum(record.received for record in records) <= size
    assert len(records) == 4
    assert all("budget" in record.verdict for record in records)


def test_no_byte_beyond_the_budget_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "MAX_SENT", 100_000)
    got = 0

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        while data := await reader.read(1 << 16):
            got += len(data)
        writer.close()

    async def run() -> list[EgressRecord]:
        server = await asyncio.start_server(sink, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        pinned = parse_policy(f"allow:allowed.test={HOST}:{port}")
        assert pinned is not None
        async with server, served(Policy("open", pinned=pinned.pinned)) as it:

            async def flood() -> None:
                async with it.connect() as (reader, writer):
                    writer.write(CONNECT)
                    await reader.readuntil(b"\r\n\r\n")
                    try:
                        for _ in range(100):
                            writer.write(bytes(10_000))
                            await writer.drain()
                        await reader.read()
                    except ConnectionError:
                        pass

            await asyncio.gather(*(flood() for _ in range(3)))
            return it.records

    records = asyncio.run(run())
    assert got <= 100_000
    assert sum(record.sent for record in records) <= 100_000
    assert any("budget" in record.verdict for record in records)


def test_half_a_connection_can_be_closed(plain: Origin) -> None:
    async def work(it: Served) -> None:
        assert (await _half_closed(it, GOOD)).endswith(b"origin-token GET /")

        async with it.connect() as (reader, writer):
            writer.write(CONNECT)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET /half HTTP/1.0\r\n\r\n")
            writer.write_eof()
            assert (await reader.read()).endswith(b"origin-token GET /half")

    records = attack(Policy("open", pinned=_pins(plain)), work)
    assert [record.verdict for record in records] == ["allowed"] * 2


def test_a_server_that_is_not_there_is_told_apart_from_a_refusal() -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]

    async def work(it: Served) -> None:
        assert (await it.ask(GOOD)).startswith(b"HTTP/1.1 502 the server cannot be reached from this machine: ")
        assert (await it.ask(CONNECT)).startswith(b"HTTP/1.1 502 ")

    records = attack(f"allow:allowed.test={HOST}:{port}", work)
    assert {record.verdict.partition(":")[0] for record in records} == {"failed"}


def test_a_name_that_resolves_to_a_private_address_is_refused(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[HOST], ["8.8.8.8", HOST]])
    dialled: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (text, port)) for text in next(answers)]

    async def dial(_: object, addresses: list[Any], port: int) -> Any:
        dialled.extend(map(str, addresses))
        raise OSError(errno.ENETUNREACH, "no way")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("workroom.sandbox.egress.dial.Dialler.dial", dial)

    async def work(it: Served) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert b"not public" in await it.ask(GOOD)
        assert b"504" in await it.ask(GOOD)

    attack("allow:allowed.test", work)
    assert dialled == ["8.8.8.8"]  # resolved once, and of both only the public one


# ---- faults (F35) ----


def test_accepting_goes_on_after_it_failed(plain: Origin) -> None:
    async def work(it: Served) -> None:
        loop = asyncio.get_running_loop()
        real = loop.sock_accept
        faults: Iterator[BaseException] = iter(
            [OSError(errno.EMFILE, "too many"), OSError(errno.ECONNABORTED, "gone"), RuntimeError("odd"), MemoryError()]
        )

        async def accept(sock: socket.socket) -> Any:
            for fault in faults:
                raise fault
            return await real(sock)

        loop.sock_accept = accept  # type: ignore[method-assign]
        it.proxy._accepting.cancel()
        assert b"origin-token" in await it.ask(GOOD)
        assert next(faults, None) is None

    assert len(attack(network(plain), work)) == 1


def test_a_mistake_in_one_request_ends_that_request_only(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(it: Served) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(proxy, "parse_request", lambda _: 1 // 0)
            assert (await it.ask(GOOD)).startswith(b"HTTP/1.1 500 ")
        assert b"origin-token" in await it.ask(GOOD)

    records = attack(network(plain), work)
    assert [record.verdict for record in records] == ["failed: internal error (ZeroDivisionError)", "allowed"]


def test_no_descriptor_left_fails_the_request_and_not_the_proxy(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(it: Served) -> None:
        def none(*_: object, **__: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        async with it.connect() as (reader, writer):
            with monkeypatch.context() as patch:
                patch.setattr("workroom.sandbox.egress.dial.socket.socket", none)
                writer.write(GOOD)
                assert b"502 the server cannot be reached from this machine: Too many open files" in await reader.read()
        assert b"origin-token" in await it.ask(GOOD)

    assert len(attack(network(plain), work)) == 2


def test_a_listener_that_fails_is_told_and_harms_nothing(plain: Origin) -> None:
    async def run() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with served(network(plain)) as it:
            it.proxy._on_record = lambda _: 1 // 0  # type: ignore[assignment]
            assert b"origin-token" in await it.ask(GOOD)
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError]

    asyncio.run(run())


def test_closing_cuts_what_is_open_and_records_it_once(plain: Origin) -> None:
    async def run() -> None:
        async with served(Policy("open", pinned=_pins(plain))) as it:
            async with it.connect() as (reader, writer), it.connect() as (idle, _):
                writer.write(CONNECT)
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"GET /")
                while not it.proxy.budget.sent:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await it.proxy.close()
                await it.proxy.close()
                for each in (reader, idle):
                    with contextlib.suppress(ConnectionResetError):
                        assert await each.read() == b""
            with pytest.raises(ConnectionRefusedError):
                async with it.connect():
                    pass
        (record,) = it.records
        assert (record.verdict, record.sent) == ("allowed", 5)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_later_proxy_of_the_same_sandbox_counts_on(plain: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with served(network(plain)) as first:
            assert b"origin-token" in await first.ask(GOOD)
            budget = first.proxy.budget
            used = budget.received
            assert used > 0
        policy = parse_policy(network(plain))
        assert policy is not None
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        proxy = await EgressProxy.serve(listener, policy, budget=budget)
        assert b"origin-token" in await Served(proxy, port, []).ask(GOOD)
        assert budget.received == 2 * used
        await proxy.close()

    asyncio.run(run())


def test_no_egress_port_is_an_error() -> None:
    async def run() -> None:
        with pytest.raises(SandboxUnavailable, match="network policy cannot be kept"):
            await EgressProxy.serve(None, Policy("open"))

    asyncio.run(run())
