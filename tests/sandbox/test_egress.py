"""The network policies, from inside a real sandbox through the real proxy to real servers on this host's loopback.

The policies deny loopback, so a server there is reached in one of the two ways that a person has: as a registry that
this host is configured with, or as `allow:HOST=ADDRESS:PORT`.
"""

import asyncio
import ipaddress
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import workroom
from tests.cli.command import SUBMIT, bash, script
from tests.conftest import RunInBox
from tests.sandbox.egress_support import HOST, Authority, Origin, make_authority, origin
from workroom.errors import ConfigError
from workroom.sandbox import Sandbox
from workroom.sandbox.egress import EgressRecord, parse_policy, registries
from workroom.sandbox.egress.policy import Policy, Refused, is_denied, is_name, is_never, own_addresses


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """A package registry on this host, which pip is configured to use."""
    with origin() as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://user:pass-canary@{HOST}:{server.server_port}/simple")
        registries.registries.cache_clear()
        yield server
    registries.registries.cache_clear()


def test_packages_reach_the_registry_and_nothing_else(run_in_box: RunInBox, registry: Origin) -> None:
    port = registry.server_port
    records: list[EgressRecord] = []

    async def work(box: Sandbox) -> None:
        assert (await box.exec("echo $PIP_INDEX_URL")).stdout == f"http://{HOST}:{port}/simple\n"
        assert "pass-canary" not in (await box.exec("env; cat /etc/pip.conf ~/.npmrc")).stdout
        done = await box.exec(f"curl -s http://{HOST}:{port}/simple/x/")
        assert done.stdout == "origin-token GET /simple/x/"
        refused = await box.exec("curl -s http://example.org/ http://127.0.0.3/ http://host.invalid:22/")
        assert refused.stdout.count("refuses this") == 3
        assert "pip, apt-get and npm work" in refused.stdout
        post = await box.exec(f"curl -s -d data http://{HOST}:{port}/simple/")
        assert "can only GET and HEAD" in post.stdout
        other = await box.exec(f"curl -s -H 'Host: other.example' http://{HOST}:{port}/simple/x/")
        assert "names another host" in other.stdout
        assert (await box.exec(f"curl -s --noproxy '*' -m 2 http://{HOST}:{port}/")).exit_code == 7
        pip = await box.exec("pip download --retries 1 --no-deps -i https://example.org/simple x")
        assert "no package registry of this machine" in pip.stderr  # the reason reaches a client that shows no body

    run_in_box(work, network="packages", on_egress=records.append)
    ((method, path, headers),) = registry.seen
    assert (method, path, headers["Host"]) == ("GET", "/simple/x/", f"{HOST}:{port}")
    assert records[0].verdict == "allowed"
    assert records[0].received > 20
    assert {record.host for record in records if record.verdict.startswith("refused")} >= {
        "example.org",
        "host.invalid",
    }


def test_allow_reaches_the_host_by_https_and_http(run_in_box: RunInBox, authority: Authority) -> None:
    records: list[EgressRecord] = []
    with origin(authority) as secure, origin() as plain:
        network = f"allow:allowed.test={HOST}:{secure.server_port},plain.test={HOST}:{plain.server_port}"

        async def work(box: Sandbox) -> None:
            await box.write("/tmp/ca.pem", authority.bundle.read_bytes())
            curl = "curl -sS -m 10 --cacert /tmp/ca.pem"
            good = await box.exec(f"{curl} https://allowed.test/a https://ALLOWED.test./b")
            assert good.stdout == "origin-token GET /aorigin-token GET /b"
            assert (await box.exec(f"{curl} http://plain.test/a")).stdout == "origin-token GET /a"
            assert "not among the allowed hosts" in (await box.exec(f"{curl} http://denied.test/")).stdout
            assert "response 403" in (await box.exec(f"{curl} https://denied.test/")).stderr
            assert "ports 80 and 443" in (await box.exec(f"{curl} http://plain.test:8080/")).stdout
            # domain fronting: another name in TLS than the one that was allowed, or none, or no TLS
            fronted = await box.exec(f"{curl} --connect-to denied.test:443:allowed.test:443 https://denied.test/")
            assert "alert access denied" in fronted.stderr
            nameless = await box.exec("openssl s_client -noservername -proxy 127.0.0.1:3128 -connect allowed.test:443")
            assert "alert access denied" in nameless.stderr
            assert "does not begin with TLS" in (await box.exec(f"{curl} -p http://allowed.test:443/")).stdout
            assert "names another host" in (await box.exec(f"{curl} -H 'Host: x.test' http://plain.test/")).stdout
            assert (await box.exec("getent hosts allowed.test plain.test example.org")).stdout == ""

        run_in_box(work, network=network, on_egress=records.append)
        assert [path for _, path, _ in secure.seen] == ["/a", "/b"]
        assert [path for _, path, _ in plain.seen] == ["/a"]
    assert sum(record.verdict == "allowed" for record in records) == 3
    assert len(records) == 10


def test_open_and_allow_never_reach_private_addresses(run_in_box: RunInBox) -> None:
    with origin() as server:
        port = server.server_port
        names = (
            f"http://{HOST}:{port}/ http://localhost:{port}/ http://169.254.169.254/ http://0x7f000002:{port}/ "
            f"http://2130706434:{port}/ http://127.1:{port}/ http://0x7f.1:{port}/ http://[::ffff:127.0.0.2]:{port}/ "
            f"http://[::1]:{port}/ http://metadata/ http://metadata.google.internal/ http://a_b.test/"
        )
        for network in ("open", "allow:localhost"):
            done = run_in_box(lambda box: box.exec(f"env -u no_proxy -u NO_PROXY curl -s {names}"), network=network)
            assert done.stdout.count("refuses this") == 12, done.stdout
        assert not server.seen


def test_one_sandbox_with_300_idle_connections_starves_nobody(run_in_box: RunInBox) -> None:
    hold = (
        "import socket, sys, time\n"
        "held = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(300)]\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with origin() as server:
        network = f"allow:allowed.test={HOST}:{server.server_port}"

        async def work(box: Sandbox) -> None:
            async with Sandbox.open("bwrap", network=network) as other:
                await box.exec(f'python3 -c "{hold}" > /tmp/out & until grep -q held /tmp/out; do sleep 0.05; done')
                for each in (other, box):
                    done = await each.exec("curl -sS -m 10 http://allowed.test/")
                    assert done.stdout == "origin-token GET /", done.stderr

        run_in_box(work, network=network)


def test_a_proxy_that_fails_in_the_middle_of_a_task_starts_again_and_harms_no_other(run_in_box: RunInBox) -> None:
    """Fault F35. While it does not run the task sees errors, and nothing gets out."""
    with origin() as server:
        network = f"allow:allowed.test={HOST}:{server.server_port}"
        curl = "curl -sS -m 10 --noproxy '' http://allowed.test/"

        async def work(box: Sandbox) -> None:
            async with Sandbox.open("bwrap", network=network) as other:
                assert box._egress is not None
                box._egress._accepting.cancel()
                for each in (box, other):
                    assert (await each.exec(curl)).stdout == "origin-token GET /"
                await box._egress.close()
                seen = len(server.seen)
                gone = await box.exec(f"{curl}; pip download --retries 0 six")
                assert "Failed to connect" in gone.stderr
                assert gone.exit_code != 0
                assert len(server.seen) == seen
                assert (await other.exec(curl)).stdout == "origin-token GET /"

        run_in_box(work, network=network)


def test_policies_are_parsed() -> None:
    assert parse_policy("none") is None
    assert parse_policy("allow:Example.ORG.,*.b.org") == Policy("allow", frozenset({"example.org", "*.b.org"}))
    pinned = parse_policy("allow:a.test=10.0.0.5:8080,b.test=[fd00::5]")
    assert pinned is not None
    assert pinned.pinned == {
        "a.test": (ipaddress.ip_address("10.0.0.5"), 8080),
        "b.test": (ipaddress.ip_address("fd00::5"), None),
    }


@pytest.mark.parametrize(
    "wrong",
    "|all|allow:|allow:a b|allow:http://x|allow:1.2.3.4|allow:x:80|allow:0x7f.1|allow:*|allow:*.*|allow:a,,b|allow:a_b|"
    "allow:bücher.example|allow:a.test=|allow:a.test=b.test|allow:a.test=169.254.169.254|allow:*.a.test=10.0.0.1|"
    "allow:a.test=10.0.0.1:0|allow:a.test=010.0.0.1|allow:a.test=[::ffff:169.254.169.254]|none,open|OPEN|allow:..".split(
        "|"
    ),
)
def test_a_wrong_policy_is_an_error_before_anything_starts(wrong: str) -> None:
    with pytest.raises(ConfigError, match="network policy"):
        asyncio.run(Sandbox.start(network=wrong))


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.1.2.3 192.168.0.1 172.31.0.1 169.254.169.254 100.100.100.200 100.64.0.1 168.63.129.16 0.0.0.0 "
    "0.1.2.3 192.0.0.192 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1 239.255.255.250 240.0.0.1 "
    "255.255.255.255 ::1 :: fe80::1 fe80::1%lo fec0::1 fd00::1 fc00::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 "
    "::ffff:0:127.0.0.1 ::127.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 2002:a00:1:: 2001::1 2001:db8::1 ff02::1 100::1 "
    "3fff::1 4000::1 5f00::1".split(),
)
def test_special_addresses_are_denied(address: str) -> None:
    assert is_denied(ipaddress.ip_address(address))


def test_public_addresses_are_not_denied_but_own_ones_are() -> None:
    for text in ("8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "100.63.255.255", "172.32.0.1", "192.0.1.1"):
        assert not is_denied(ipaddress.ip_address(text))
    public = ipaddress.ip_address("8.8.8.8")
    assert is_denied(public, frozenset({public}))
    assert is_denied(ipaddress.ip_address("::ffff:8.8.8.8"), frozenset({public}))
    assert {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")} & own_addresses()


def test_metadata_services_are_denied_even_where_a_registry_names_them() -> None:
    for text in (
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "0.0.0.0",
    ):
        assert is_never(ipaddress.ip_address(text))
    for text in ("10.0.0.1", "127.0.0.2", "fd00::1", "8.8.8.8"):
        assert not is_never(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "name",
    [
        *"1.2.3.4|0x7f.1|2130706433|127.1|0177.0.0.1|0x|a.0x7f|a.1|::1|[::1]|a%b|a..b|.a|a.|-a|a-|a b||A.b|a_b".split(
            "|"
        ),
        *"a@b|a#b|a/b|a\0b|a\tb|a\nb|bücher.de|127。0。0。1|１２７.0.0.1|localhost\u212a".split("|"),
        "x" * 64,
        "a." * 126 + "abc",
    ],
)
def test_strange_names_are_refused(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(Refused):
        Policy("open").check_name(name, 443)


def test_ordinary_names_are_names() -> None:
    for name in ("example.org", "a-b.example.org", "xn--bcher-kva.example", "1and1.com", "a" * 63 + ".org", "0x7f.com"):
        assert is_name(name)
        Policy("open").check_name(name, 443)
        Policy("open").check_name(name, 8443)


@pytest.mark.parametrize("port", [25, 465, 587])
def test_open_sends_no_mail(port: int) -> None:
    with pytest.raises(Refused, match="mail"):
        Policy("open").check_name("example.org", port)


def test_a_run_records_every_request_and_the_model_reads_why_one_was_refused(tmp_path: Path) -> None:
    """Those that go on to the end too: a tunnel of a background job, which is cut with the sandbox."""
    tunnel = (
        "import socket, time; s = socket.create_connection(('127.0.0.1', 3128)); "
        "s.sendall(b'GET http://allowed.test/slow HTTP/1.1\\r\\n\\r\\n'); print(s.recv(10), flush=True); time.sleep(99)"
    )
    command = (
        f'python3 -c "{tunnel}" > /tmp/out & until grep -q HTTP /tmp/out; do sleep 0.05; done; '
        "curl -s http://allowed.test/ http://denied.test/; pip download --retries 1 six; "
        "echo 1 > /testbed/answer.txt"
    )
    release = threading.Event()

    def slow(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.flush()
        release.wait(60)

    with origin() as server:
        server.pages["/slow"] = slow
        result = workroom.run(
            "x",
            model=script(tmp_path / "s.jsonl", bash(command), SUBMIT),
            network=f"allow:allowed.test={HOST}:{server.server_port}",
            out=tmp_path / "out",
        )
        release.set()
    assert (result.answer, result.stop_reason) == ("1", "submitted")
    events = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    egress = [event for event in events if event["type"] == "egress"]
    assert {(event["host"], event["verdict"].partition(":")[0]) for event in egress} >= {
        ("allowed.test", "allowed"),
        ("denied.test", "refused"),
    }
    assert [event["host"] for event in egress].count("allowed.test") == 2
    assert all(event["received"] > 0 for event in egress if event["host"] == "allowed.test")
    (observation,) = [
        event["observation"] for event in events if event["type"] == "tool" and "denied" in event["observation"]
    ]
    assert "denied.test is not among the allowed hosts: allowed.test" in observation
    assert observation.count("is not among the allowed hosts") > 1  # to curl, and in pip's own error
