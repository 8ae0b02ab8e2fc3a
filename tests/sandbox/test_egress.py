"""The network policies, from inside a real sandbox through the real proxy to a server on this host's loopback.

A loopback server can only be reached as a registry that this host is configured with: it is given to pip's settings as
127.0.0.2, an address that the sandbox's `no_proxy` does not name.
"""

import asyncio
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import RunInBox
from workroom.errors import ConfigError
from workroom.sandbox import Sandbox
from workroom.sandbox.egress import EgressRecord, parse_policy, registries
from workroom.sandbox.egress.policy import Policy, Refused, is_denied, own_addresses
from workroom.sandbox.egress.hello import server_name

HOST = "127.0.0.2"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append(self.headers)  # type: ignore[attr-defined]
        body = f"you asked for {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A package registry on this host, which pip is configured to use."""
    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:pass-canary@{HOST}:{server.server_port}/simple")
    registries.registries.cache_clear()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    registries.registries.cache_clear()


def test_packages_reach_the_registry_and_nothing_else(run_in_box: RunInBox, registry: ThreadingHTTPServer) -> None:
    port = registry.server_port
    records: list[EgressRecord] = []

    async def work(box: Sandbox) -> None:
        assert (await box.exec("echo $PIP_INDEX_URL")).stdout == f"http://{HOST}:{port}/simple\n"
        done = await box.exec(f"curl -s -H 'Host: other.example' http://{HOST}:{port}/simple/x/")
        assert done.stdout == "you asked for /simple/x/"
        refused = await box.exec("curl -s http://example.org/ http://127.0.0.3/ http://host.invalid:22/")
        assert refused.stdout.count("refuses this") == 3
        assert "pip, apt-get and npm work" in refused.stdout
        post = await box.exec(f"curl -s -d data http://{HOST}:{port}/simple/")
        assert "can only GET and HEAD" in post.stdout
        assert (await box.exec(f"curl -s --noproxy '*' -m 2 http://{HOST}:{port}/")).exit_code == 7

    run_in_box(work, network="packages", on_egress=records.append)
    assert [headers["Host"] for headers in registry.seen] == [f"{HOST}:{port}"]  # type: ignore[attr-defined]
    assert records[0].verdict == "allowed"
    assert records[0].received > 20
    assert {record.host for record in records if record.verdict.startswith("refused")} >= {
        "example.org",
        "host.invalid",
    }


def test_a_tunnel_must_carry_tls_for_the_name(run_in_box: RunInBox, registry: ThreadingHTTPServer) -> None:
    records: list[EgressRecord] = []
    script = (
        "import socket; s = socket.create_connection(('127.0.0.1', 3128)); "
        f"s.sendall(b'CONNECT {HOST}:{registry.server_port} HTTP/1.1\\r\\n\\r\\n'); print(s.recv(100)); "
        "s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(100))"
    )
    done = run_in_box(lambda box: box.exec(["python3", "-c", script]), network="packages", on_egress=records.append)
    assert "200" in done.stdout.split("\n")[0], done.stderr
    assert done.stdout.split("\n")[1] == "b''"
    assert not registry.seen  # type: ignore[attr-defined]
    assert "does not begin with TLS" in records[0].verdict


def test_open_and_allow_never_reach_private_addresses(run_in_box: RunInBox, registry: ThreadingHTTPServer) -> None:
    names = f"http://{HOST}:{registry.server_port}/ http://localhost/ http://169.254.169.254/ http://0x7f000002/ http://2130706434/"
    for network in ("open", "allow:localhost"):
        done = run_in_box(lambda box: box.exec(f"env -u no_proxy -u NO_PROXY curl -s {names}"), network=network)
        assert done.stdout.count("refuses this") == 5, done.stdout
    assert not registry.seen  # type: ignore[attr-defined]


def test_malformed_requests_are_refused(run_in_box: RunInBox) -> None:
    requests = [
        "nonsense\\r\\n\\r\\n",
        "GET http://a@b/ HTTP/1.1\\r\\n\\r\\n",
        "CONNECT example.org HTTP/1.1\\r\\n\\r\\n",
        "GET ftp://example.org/ HTTP/1.1\\r\\n\\r\\n",
        "GET http://example.org:99999/ HTTP/1.1\\r\\n\\r\\n",
    ]
    script = "\n".join(
        f"exec 3<>/dev/tcp/127.0.0.1/3128; printf '{request}' >&3; head -1 <&3; exec 3>&-" for request in requests
    )
    done = run_in_box(lambda box: box.exec(script), network="packages")
    assert done.stdout.count("403 Forbidden") == len(requests)


def test_policies_are_parsed() -> None:
    assert parse_policy("none") is None
    assert parse_policy("allow:Example.ORG.,*.b.org") == Policy("allow", frozenset({"example.org", "*.b.org"}))
    for wrong in ("", "all", "allow:", "allow:a b", "allow:http://x", "allow:1.2.3.4", "allow:x:80", "allow:0x7f.1"):
        with pytest.raises(ConfigError):
            parse_policy(wrong)


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.1.2.3 192.168.0.1 172.31.0.1 169.254.169.254 100.100.100.200 168.63.129.16 0.0.0.0 224.0.0.1 ::1 :: "
    "fe80::1 fd00::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: ff02::1".split(),
)
def test_special_addresses_are_denied(address: str) -> None:
    assert is_denied(ipaddress.ip_address(address))


def test_public_addresses_are_not_denied_but_own_ones_are() -> None:
    public = ipaddress.ip_address("8.8.8.8")
    assert not is_denied(public)
    assert is_denied(public, lambda: frozenset({public}))
    assert ipaddress.ip_address("127.0.0.1") in own_addresses()


@pytest.mark.parametrize("name", ["1.2.3.4", "0x7f.1", "2130706433", "[::1]", "a%b", "a..b", "-a", "a b", "", "x" * 64])
def test_strange_names_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        asyncio.run(Policy("open").admit(name, 443))


def test_the_server_name_is_read_from_a_real_hello() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="Files.Example.org")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    assert server_name(hello[5:]) == "files.example.org"
    for cut in range(5, len(hello)):
        assert "files.example.org".startswith(server_name(hello[5:cut]) or "")
    assert server_name(b"") is None
    assert server_name(bytes(300)) is None
