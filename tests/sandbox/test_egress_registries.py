"""Package registries that need credentials, and a host that needs a proxy itself: neither's secrets get inside."""

import asyncio
import base64
import gzip
import io
import json
import tarfile
import urllib.request
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunInBox
from tests.sandbox.egress_support import HOST, Authority, Origin, Served, make_authority, origin, served
from workroom.errors import SandboxUnavailable
from workroom.sandbox import Sandbox
from workroom.sandbox.egress import EgressRecord, registries
from workroom.sandbox.egress.credentials import credentials, inside_url
from workroom.sandbox.egress.dial import upstream_for

SECRET = "hunter2-canary"
BASIC = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    registries.registries.cache_clear()
    yield
    registries.registries.cache_clear()


def wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("tinycanary.py", "answer = 42\n")
        info = "tinycanary-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinycanary\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return data.getvalue()


def package() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in (
            ("package/package.json", json.dumps({"name": "tinycanary", "version": "1.0.0", "main": "index.js"})),
            ("package/index.js", "module.exports = 42\n"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def fill(server: Origin, scheme: str) -> None:
    """A registry for pip and npm that wants a password, with absolute URLs in its pages, as many have them."""
    base = f"{scheme}://{HOST}:{server.server_port}/team"

    def page(body: bytes, kind: str) -> Any:
        def send(handler: Any) -> None:
            if handler.headers.get("Authorization") != BASIC:
                handler.reply(b"who are you?", 401, WWW_Authenticate="Basic realm=x")
            else:
                handler.reply(body, Content_Type=kind, Set_Cookie=f"session={SECRET}", X_Echo=BASIC)

        return send

    name = "tinycanary-1.0-py3-none-any.whl"
    login = base.replace("://", f"://user:{SECRET}@")
    links = f'<a href="{login}/files/{name}">{name}</a><p>{SECRET} {BASIC}</p>'
    server.pages["/team/simple/tinycanary/"] = page(links.encode(), "text/html; charset=utf-8")
    server.pages[f"/team/files/{name}"] = page(wheel(), "application/octet-stream")
    versions = {"1.0.0": {"name": "tinycanary", "version": "1.0.0", "dist": {"tarball": f"{base}/npm/tinycanary.tgz"}}}
    about = {"name": "tinycanary", "dist-tags": {"latest": "1.0.0"}, "versions": versions}
    server.pages["/team/npm/tinycanary"] = page(json.dumps(about).encode(), "application/json")
    server.pages["/team/npm/tinycanary.tgz"] = page(package(), "application/octet-stream")
    server.pages["/api/my-token"] = page(SECRET.encode(), "text/plain")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pip_and_npm_install_from_a_registry_whose_password_stays_outside(
    run_in_box: RunInBox, authority: Authority, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    records: list[EgressRecord] = []
    with origin(authority if scheme == "https" else None) as server:
        fill(server, scheme)
        base = f"{scheme}://user:{SECRET}@{HOST}:{server.server_port}/team"
        monkeypatch.setenv("PIP_INDEX_URL", f"{base}/simple/")
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{base}/npm/")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))

        async def work(box: Sandbox) -> None:
            shown = await box.exec("env; pip config list; cat /etc/pip.conf ~/.npmrc")
            assert SECRET not in shown.stdout
            inside = f"http://{HOST}:{server.server_port}/team"
            assert f"PIP_INDEX_URL={inside}/simple/" in shown.stdout
            assert f"npm_config_registry={inside}/npm/" in shown.stdout
            done = await box.exec(
                "pip install --retries 0 tinycanary && python3 -c 'import tinycanary as t; print(t.answer)'"
            )
            assert done.stdout.endswith("42\n"), done.stdout + done.stderr
            page = await box.exec(
                f"curl -si -H 'Authorization: Basic eDp5' -H 'Cookie: a=b' {inside}/simple/tinycanary/"
            )
            assert f'href="{inside}/files/' in page.stdout
            for secret in (SECRET, BASIC[6:], "Set-Cookie", "set-cookie"):
                assert secret not in page.stdout
            for path in (
                "/api/my-token",
                "/team/../api/my-token",
                "/team/%2e%2e/api/my-token",
                "/team/..;/api/my-token",
            ):
                other = await box.exec(f"curl -s --path-as-is http://{HOST}:{server.server_port}{path}")
                assert SECRET not in other.stdout
                assert "who are you" in other.stdout or "only" in other.stdout or "origin-token" in other.stdout
            post = await box.exec(f"curl -s -d x {inside}/simple/tinycanary/")
            assert "only GET and HEAD" in post.stdout
            npm = await box.exec(f"curl -s {inside}/npm/tinycanary")
            assert json.loads(npm.stdout)["versions"]["1.0.0"]["dist"]["tarball"] == f"{inside}/npm/tinycanary.tgz"
            tarball = await box.exec(f"curl -s {inside}/npm/tinycanary.tgz | tar -tz")
            assert tarball.stdout == "package/package.json\npackage/index.js\n"

        run_in_box(work, network="packages", on_egress=records.append)
        assert all(headers.get("Authorization") != "Basic eDp5" for _, path, headers in server.seen if "team" in path)
        assert all("Cookie" not in headers for _, path, headers in server.seen if path.startswith("/team/s"))
        assert SECRET not in repr(records)


def test_credentials_are_found_where_the_clients_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NETRC", "NPM_CONFIG_USERCONFIG", "npm_config_userconfig"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("A_TOKEN", "from-the-environment")
    (tmp_path / ".netrc").write_text("# mine\nmachine pip.test login me password 'a b'\ndefault login no password no\n")
    (tmp_path / "apt/auth.conf.d").mkdir(parents=True)
    (tmp_path / "apt/auth.conf.d/x.conf").write_text("machine https://apt.test/debian login you password p@ss:1\n")
    (tmp_path / ".npmrc").write_text(
        "//npm.test/team/:_authToken=${A_TOKEN}\n//old.test/:username=u\n//old.test/:_password=cA==\n"
    )

    def header(client: str, url: str) -> str:
        found = credentials([(client, url)], home=tmp_path, etc=tmp_path)
        return found[0].authorization if found else ""

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    assert header("pip", "https://me:x%40y@any.test/simple") == basic("me:x@y")
    assert header("pip", "https://token@any.test/simple") == basic("token:")
    assert header("pip", "https://pip.test/simple") == basic("me:a b")
    assert header("pip", "https://other.test/simple") == ""
    assert header("apt", "https://apt.test/debian") == basic("you:p@ss:1")
    assert header("apt", "https://apt.test/other") == ""
    assert header("apt", "http://apt.test/debian") == ""
    assert header("npm", "https://npm.test/team/npm/") == "Bearer from-the-environment"
    assert header("npm", "https://npm.test/") == ""
    assert header("npm", "https://old.test/deep/er") == basic("u:p")


def test_a_url_is_told_inside_without_user_and_so_that_the_proxy_can_add_it() -> None:
    def inside(url: str) -> str:
        return inside_url(url, credentials([("pip", url)], home=Path("/nonexistent")))

    assert inside("https://plain.test/simple") == "https://plain.test/simple"
    assert inside("https://u:p@a.test/simple/?token=x#y") == "http://a.test:443/simple/"
    assert inside("https://u:p@a.test:8443/simple/") == "http://a.test:8443/simple/"
    assert inside("http://u:p@a.test/simple/") == "http://a.test/simple/"
    assert inside("https://u:p@[fd00::5]/simple/") == "http://[fd00::5]:443/simple/"


def test_a_credential_covers_only_what_lies_below_its_path() -> None:
    (entry,) = credentials([("pip", "https://u:p@a.test/team/py/simple/")], home=Path("/nonexistent"))
    assert entry.path == "/team/py/"
    for path in (
        "/team/py/simple/x/",
        "/team/py/+f/ab/x.whl?a=../..",
        "/team/py/@scope%2fname",
        "/team/py/a%20b",
        "/team/py/..a",
    ):
        assert entry.covers(path), path
    for path in (
        *("/", "/team/", "/team/pyx", "/team/py", "/Team/py/simple", "/team/py/../x", "/team/py/./x", "/team/py/.."),
        *("/team/py/%2e%2e/x", "/team/py/%252e%252e/x", "/team/py/%25252e./x", "/team/py/..%2fx", "/team/py/..\\x"),
        *(
            "/team/py/..%5cx",
            "/team/py/..;/x",
            "/team/py/..;a=b/x",
            "/team/py/%00",
            "/team/py/%0d%0aX:y",
            "//team/py/x",
        ),
        *("/team%2fpy/x", "/team/py/.;x/y", "/%74eam/py/x"),
    ):
        assert not entry.covers(path), path
    assert "u:p" not in repr(entry)
    assert entry.authorization not in repr(entry)


def test_an_answer_that_breaks_off_does_not_look_whole(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with origin() as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://user:{SECRET}@{HOST}:{server.server_port}/simple/")

        def chunked(handler: Any, *, whole: bool, kind: str) -> None:
            handler.protocol_version = "HTTP/1.1"
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.send_header("Content-Type", kind)
            handler.end_headers()
            handler.wfile.write(b"5;x=y\r\nhello\r\n" + (b"6\r\n world\r\n0\r\n\r\n" if whole else b"6\r\n wo"))
            handler.close_connection = True

        binary, index = "application/octet-stream", "text/html"
        server.pages["/simple/whole"] = lambda handler: chunked(handler, whole=True, kind=binary)
        server.pages["/simple/part"] = lambda handler: chunked(handler, whole=False, kind=binary)
        server.pages["/simple/index"] = lambda handler: chunked(handler, whole=True, kind=index)
        server.pages["/simple/half"] = lambda handler: chunked(handler, whole=False, kind=index)
        server.pages["/simple/zip"] = lambda handler: handler.reply(
            gzip.compress(b"x"), Content_Type=index, Content_Encoding="gzip"
        )
        server.pages["/simple/away"] = lambda handler: handler.reply(
            b"", 302, Location=f"http://user:{SECRET}@{HOST}:{server.server_port}/simple/whole"
        )

        def request(path: str, method: str = "GET") -> bytes:
            return f"{method} http://{HOST}:{server.server_port}/simple/{path} HTTP/1.1\r\n\r\n".encode()

        async def run() -> list[str]:
            async with served("packages") as it:
                assert (await it.ask(request("whole"))).endswith(b"\r\n\r\nhello world")
                assert b"content-length: 11\r\n" in await it.ask(request("index"))
                with pytest.raises(ConnectionResetError):
                    await it.ask(request("part"))
                assert (await it.ask(request("half"))).startswith(b"HTTP/1.1 502 the registry's answer ended early")
                assert b"502 the registry answers with a compressed" in await it.ask(request("zip"))
                away = await it.ask(request("away"))
                assert f"location: http://{HOST}:{server.server_port}/simple/whole\r\n".encode() in away
                assert (await it.ask(request("whole", "HEAD"))).endswith(b"\r\n\r\n")
                return it.verdicts

        verdicts = asyncio.run(run())
    assert [verdict.partition(":")[0] for verdict in verdicts] == [*["allowed"] * 2, *["failed"] * 3, *["allowed"] * 2]


def test_a_registry_with_a_wrong_certificate_gets_no_password(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with origin(authority) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"https://user:{SECRET}@{HOST}:{server.server_port}/simple/")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)  # the host's own bundle does not know our authority

        async def run() -> None:
            async with served("packages") as it:
                answer = await it.ask(f"GET http://{HOST}:{server.server_port}/simple/ HTTP/1.1\r\n\r\n".encode())
                assert b"502 no TLS connection" in answer
                assert b"certificate" in answer

        asyncio.run(run())
        assert not server.seen


def test_npm_itself_installs_from_such_a_registry(
    backend: str, run_in_box: RunInBox, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the image that has Node.js where this host has it: nothing is fetched but the package."""
    if backend != "bwrap":
        pytest.skip("the host's own programs are an image for bubblewrap only")
    if not Path("/usr/bin/npm").exists():
        pytest.skip("this host has no npm in /usr")
    with origin(authority) as server:
        fill(server, "https")
        registry = f"//{HOST}:{server.server_port}/team/npm/"
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"https://user:{SECRET}@{registry[2:]}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # an image with these settings is for this test only
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))

        async def work(box: Sandbox) -> None:
            done = await box.exec(
                "cd /tmp && /usr/bin/npm install --no-audit tinycanary && node -p 'require(\"tinycanary\")'"
            )
            assert done.stdout.endswith("42\n"), done.stdout + done.stderr
            assert (await box.exec(f"grep -rl {SECRET} /tmp ~ /etc")).stdout == ""

        run_in_box(work, network="packages", image="host")


# ---- a host that needs a proxy itself ----


@asynccontextmanager
async def upstream(targets: dict[str, int]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """An HTTP proxy with a password, as a company has one: it knows names that nobody else resolves."""
    heads: list[bytes] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.write_eof()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        method, target, _ = head.split(b" ", 2)
        name = target.decode().removeprefix("http://").partition("/")[0]
        if f"Proxy-Authorization: {BASIC}\r\n".encode() not in head:
            writer.write(b"HTTP/1.1 407 who are you\r\n\r\n")
        elif name not in targets:
            writer.write(b"HTTP/1.1 503 no such host\r\n\r\n")
        else:
            out_reader, out_writer = await asyncio.open_connection(HOST, targets[name])
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 fine\r\n\r\n")
            else:
                out_writer.write(head)
            await asyncio.gather(copy(reader, out_writer), copy(out_reader, writer), return_exceptions=True)
            out_writer.close()
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def test_the_hosts_own_proxy_is_gone_through(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def run(secure: Origin, plain: Origin) -> None:
        targets = {"allowed.test:443": secure.server_port, "allowed.test": plain.server_port}
        async with upstream(targets) as (port, heads):
            url = f"http://user:{SECRET}@{HOST}:{port}"
            monkeypatch.setenv("HTTPS_PROXY", url)
            monkeypatch.setenv("HTTP_PROXY", url)
            monkeypatch.setenv("NO_PROXY", "direct.test,.inner.test")
            async with served("allow:allowed.test,direct.test,localhost") as it:
                get = b"GET http://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n"
                assert b"origin-token GET http://allowed.test/" in await it.ask(get)
                fetched = await _over_tls(it, authority, "allowed.test")
                assert fetched.endswith(b"origin-token GET /")
                for target in (b"127.0.0.1:443", b"[::1]:443", b"0x7f.1:443", b"denied.test:443"):
                    assert b"403" in await it.ask(b"CONNECT " + target + b" HTTP/1.1\r\n\r\n")
                # what the host itself can resolve to a private address is refused, whatever the proxy could reach
                assert b"403" in await it.ask(b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
                answer = await it.ask(b"GET http://direct.test/ HTTP/1.1\r\n\r\n")
                assert b"502 the name direct.test cannot be resolved" in answer
                assert SECRET.encode() not in fetched + answer
            async with served("open") as it:
                answer = await it.ask(b"CONNECT unknown.test:443 HTTP/1.1\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 502 the proxy of this machine does not reach unknown.test:443")
            assert len(heads) == 3

    with origin(authority) as secure, origin() as plain:
        asyncio.run(run(secure, plain))


async def _over_tls(it: Served, authority: Authority, name: str) -> bytes:
    """One request in a tunnel, by a client of the standard library in a thread."""

    def fetch() -> bytes:
        handler = urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{it.port}"})
        opener = urllib.request.build_opener(handler, urllib.request.HTTPSHandler(context=authority.client()))
        with opener.open(f"https://{name}/", timeout=10) as answer:
            return bytes(answer.read())

    return await asyncio.to_thread(fetch)


def test_which_proxy_counts_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert upstream_for("https", "a.test", 443) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://u%40x:p@proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "inner.test")
    found = upstream_for("https", "a.test", 443)
    assert found is not None
    assert (found.host, found.port) == ("proxy.test", 3128)
    assert found.header == f"Proxy-Authorization: Basic {base64.b64encode(b'u@x:p').decode()}\r\n"
    assert "Basic" not in repr(found)
    assert upstream_for("http", "a.test", 80) is None
    assert upstream_for("https", "b.inner.test", 443) is None
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:{SECRET}@proxy.test:1080")

    async def run() -> None:
        with pytest.raises(SandboxUnavailable, match="HTTPS_PROXY of this host names no http:// proxy") as caught:
            async with served("open"):
                pass
        assert SECRET not in str(caught.value)

    asyncio.run(run())


# ---- the real clients against the registries of this machine ----


def _answers(client: str) -> bool:
    """Whether a registry of this machine for that client takes a connection."""
    for name, where in registries.registries().sources:
        host, _, port = where.rpartition(":")
        if name == client:
            try:
                urllib.request.socket.create_connection((host, int(port)), 5).close()  # type: ignore[attr-defined]
            except OSError:
                return False
            return True
    return False


@pytest.mark.parametrize(
    ("client", "command", "proof"),
    [
        ("pip", "pip install -q six", "python3 -c 'import six; print(six.__name__)'"),
        ("apt", "apt-get update -qq && apt-get install -y -qq --no-install-recommends hello", "hello -g hello"),
        ("npm", "npm install --silent isarray", "node -p 'require(\"isarray\")([])'"),
    ],
)
def test_the_real_client_installs_a_package(run_in_box: RunInBox, client: str, command: str, proof: str) -> None:
    if not _answers(client):
        pytest.skip(f"no {client} registry of this machine answers")
    records: list[EgressRecord] = []

    async def work(box: Sandbox) -> None:
        done = await box.exec(f"cd /tmp && {command}", timeout=240)
        assert done.exit_code == 0, done.stdout + done.stderr
        assert (await box.exec(f"cd /tmp && {proof}")).stdout.strip() in ("six", "hello", "true")

    run_in_box(work, network="packages", on_egress=records.append)
    assert records
    assert {record.verdict for record in records} == {"allowed"}
