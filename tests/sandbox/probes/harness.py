"""The attack suite's ground: what is planted on the host for the probes to find, and how a probe is run.

A probe is a command that attacks (`id`, `category`, `severity`, `command`, `expect`, `why`). `{{NAME}}` in it is
something planted here. `expect` is `nonzero`, `stdout_contains:X`, `stdout_not_contains:X`, or
`host_check:NAME:ARGUMENT` for what has to be looked at from outside (checks.py). A probe that prints PROBE_RAN must
have come so far.
"""

import asyncio
import ctypes
import json
import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workroom.sandbox import ExecResult, Limits, Sandbox
from workroom.sandbox.base import OUTPUT_DIR, WORKING_DIR
from workroom.sandbox.egress import registries
from workroom.sandbox.ledger import state_dir

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("WORKROOM_DATA") or ROOT / "../shared/data").resolve().parent / "probes.jsonl"
LIMITS = Limits(memory="1g", pids=256, disk="256m", command_timeout=30)
RAN = "PROBE_RAN"
PRELUDE = """\
import ctypes, errno, fcntl, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments])
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
def attempt(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]
def verdict(ok, detail=""):
    print("VERDICT=" + ("SAFE" if ok else "UNSAFE"), detail)
REFUSED = ("EPERM", "EACCES", "ENOSYS")
"""
NAMESPACES = ("pid", "net", "ipc", "uts", "cgroup", "mnt")


@dataclass(frozen=True)
class Probe:
    """One attack. `modes` are the network policies under which it must fail; `tty`: its host has a terminal."""

    id: str
    category: str
    severity: str
    command: str
    expect: str
    why: str
    timeout: float = 30
    modes: tuple[str, ...] = ("off",)
    tty: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Probe":
        known = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        if "python" in row:
            script = f"python3 - <<'END_OF_PROBE'\n{PRELUDE}{row['python']}END_OF_PROBE"
            known["command"] = row.get("command", "") + script
        default = ("proxy",) if row["category"] == "network_proxy" else ("off",)
        return cls(**known | {"modes": tuple(row.get("modes", default))})


def shared_probes() -> list[Probe]:
    """The probes of the shared half of the suite; none where this machine does not have it."""
    if not SHARED.is_file():
        return []
    return [Probe.of(json.loads(line)) for line in SHARED.read_text("utf-8").splitlines() if line]


def our_probes() -> list[Probe]:
    """The probes of extra.toml."""
    return [Probe.of(row) for row in tomllib.loads(Path(__file__).with_name("extra.toml").read_text("utf-8"))["probe"]]


@dataclass
class Plant:
    """What is planted: `values` by name. `networks` are the policies of the modes, without those that cannot be had."""

    values: dict[str, str]
    canary: Path
    networks: dict[str, str]
    children: list[int] = field(default_factory=list)

    @property
    def token(self) -> str:
        return self.values["TOKEN"]

    def fill(self, text: str, mark: str) -> str:
        """The text with every `{{NAME}}` replaced."""
        values = self.values | {"MARK": mark}
        return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)

    def drop(self) -> list[str]:
        """What lies in the canary directory now: attacks try to add to it."""
        return sorted(str(path.relative_to(self.canary)) for path in self.canary.rglob("*"))


@dataclass
class Scene:
    """One probe about to be run against one backend under one network mode."""

    probe: Probe
    plant: Plant
    backend: str
    mode: str
    folder: Path
    mark: str = field(default_factory=lambda: "mk" + secrets.token_hex(5))

    @property
    def command(self) -> str:
        # Some probes are told the proxy's address by the harness; a sandbox knows it as HTTP_PROXY.
        head = (
            "export HTTP_PROXY_HOSTPORT=${HTTP_PROXY#http://}\n" if "HTTP_PROXY_HOSTPORT" in self.probe.command else ""
        )
        return head + self.plant.fill(self.probe.command, self.mark)

    def box(self) -> AbstractAsyncContextManager[Sandbox]:
        """A fresh sandbox under this scene's policy."""
        return Sandbox.open(self.backend, network=self.plant.networks[self.mode], limits=LIMITS)

    async def attack(self, box: Sandbox) -> ExecResult:
        """Runs the probe's command to its end."""
        done = await box.exec(self.command, timeout=self.probe.timeout)
        self.must_have_run(done)
        return done

    def must_have_run(self, done: ExecResult) -> None:
        if RAN in self.probe.command:
            assert RAN in done.stdout, f"the probe did not run to its end: {done}"

    @asynccontextmanager
    async def attacking(self, box: Sandbox) -> AsyncIterator["asyncio.Task[ExecResult]"]:
        """The probe's command runs during the block; it is cut short where it has not ended by then."""
        task = asyncio.create_task(box.exec(self.command, timeout=self.probe.timeout))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextmanager
def planted() -> Iterator[Plant]:
    """Plants everything, and takes it away again."""
    token, origin_token = "canary" + secrets.token_hex(8), "origin" + secrets.token_hex(8)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        canary = Path(tempfile.mkdtemp(prefix="probe-canary-", dir="/tmp"))
        stack.callback(shutil.rmtree, canary)
        canary.chmod(0o755)
        (canary / "secret.txt").write_text(token)
        (canary / "drop").mkdir()
        (canary / "drop").chmod(0o777)
        home = Path.home() / f".probe-canary-{token[-8:]}"
        home.write_text(token)
        stack.callback(home.unlink)
        for name in ("OPENAI_API_KEY", "PROBE_SECRET", "LD_PRELOAD_OF_PROBE"):
            patch.setenv(name, token)

        decoy_name = f"decoy-{secrets.token_hex(4)}"
        decoy = subprocess.Popen(["bash", "-c", f"exec -a {decoy_name} sleep 3000"])
        stack.callback(decoy.wait)
        stack.callback(decoy.kill)

        abstract = f"probe-{secrets.token_hex(4)}"
        loopback = stack.enter_context(_speaking(socket.AF_INET, ("127.0.0.1", 0), token))
        stack.enter_context(_speaking(socket.AF_UNIX, f"\0{abstract}", token))
        stack.enter_context(_speaking(socket.AF_UNIX, str(canary / "s.sock"), token))
        (canary / "s.sock").chmod(0o777)
        shared = stack.enter_context(_shared_memory())

        values = {
            "CANARY_DIR": str(canary),
            "HOME_CANARY": str(home),
            "TOKEN": token,
            "DECOY_NAME": decoy_name,
            "LOOP_PORT": str(loopback.getsockname()[1]),
            "ABS_SOCK": abstract,
            "SHM_NAME": shared,
            "ORIGIN_TOKEN": origin_token,
            "STATE_DIR_HINT": f"{state_dir()}/",
            "WORKDIR": WORKING_DIR,
            "OUTPUT": OUTPUT_DIR,
            "ORIGIN": "",
            "HOSTNAME": socket.gethostname(),
            "HERE": str(Path(__file__).parents[3]),
            "KERNEL_ARGUMENT": max(Path("/proc/cmdline").read_text().split(), key=len),
        }
        values |= {f"HOSTNS_{name}": str(Path(f"/proc/self/ns/{name}").readlink()) for name in NAMESPACES}
        networks = {"off": "none", "open": "open"}
        if origin := stack.enter_context(_origin(origin_token, token, patch)):
            networks["proxy"] = "packages"
            values["ORIGIN"] = origin
        yield Plant(values, canary, networks)


@contextmanager
def _speaking(family: int, address: Any, text: str) -> Iterator[socket.socket]:
    """A service that says `text` to whoever connects."""
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(64)
    server.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            with client:
                client.sendall(text.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join()
        server.close()


@contextmanager
def _shared_memory() -> Iterator[str]:
    """System V shared memory and POSIX one of the same name, which is the key of the first in decimal."""
    key = random.randrange(10**8, 2**31)
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(key, 4096, 0o1000 | 0o666)
    assert segment >= 0
    posix = Path("/dev/shm", str(key))
    posix.write_text("canary")
    try:
        yield str(key)
    finally:
        libc.shmctl(segment, 0, None)
        posix.unlink()


class _Origin(BaseHTTPRequestHandler):
    """Says its token to every request, whatever host it names; `/away` leads on to a name that is not allowed."""

    def do_GET(self) -> None:
        token = self.server.token  # type: ignore[attr-defined]
        if "denied" in str(self.headers):
            token += " fronted"
        self.send_response(302 if self.path.startswith("/away") else 200)
        if self.path.startswith("/away"):
            self.send_header("Location", "http://denied.test/")
            token = "gone away"
        self.send_header("Content-Length", str(len(token)))
        self.end_headers()
        self.wfile.write(token.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def _origin(token: str, password: str, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server behind two names, of which this host is set up to use one, `allowed.test`, as a package registry: the
    only thing at a private address that a sandbox may reach. Yields its address, "" where port 80 is not to be had."""
    host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    try:
        servers = [ThreadingHTTPServer((host, port), _Origin) for port in (80, 443)]
    except PermissionError:
        yield ""
        return
    real = socket.getaddrinfo

    def resolve(name: Any, *arguments: Any, **options: Any) -> Any:
        known = isinstance(name, str) and name in ("allowed.test", "denied.test")
        return real(host if known else name, *arguments, **options)

    patch.setattr(socket, "getaddrinfo", resolve)
    patch.setenv("PIP_INDEX_URL", f"http://user:{password}@allowed.test/simple")
    patch.setenv("PIP_EXTRA_INDEX_URL", "https://allowed.test/simple")
    registries.registries.cache_clear()
    threads = []
    for server in servers:
        server.daemon_threads = True
        server.token = token  # type: ignore[attr-defined]
        threads.append(threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}))
        threads[-1].start()
    try:
        yield host
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
        registries.registries.cache_clear()


_ELSEWHERE = """
import asyncio, json, os, subprocess, sys, time
from workroom.sandbox import Limits, Sandbox
backend, command, terminal = sys.argv[1:]
if terminal:
    os.open(terminal, os.O_RDWR)  # a leader of a session without a terminal gets this one
    os.close(os.open("/dev/tty", os.O_RDWR))
decoy = subprocess.Popen(["sleep", "100"])
async def main():
    async with Sandbox.open(backend, limits=Limits(memory="512m", pids=128, disk="64m")) as box:
        done = await box.exec(command, timeout=20)
        return [done.exit_code, done.stdout, done.stderr]
try:
    result = asyncio.run(main())
    time.sleep(0.2)
    alive = decoy.poll() is None and os.getpgid(decoy.pid) == os.getpgid(0)
finally:
    decoy.kill()
    decoy.wait()
print(json.dumps([*result, alive]))
"""


def attack_elsewhere(scene: Scene) -> tuple[ExecResult, bool]:
    """Runs the command from a harness of its own, in a process group with a decoy and, if the probe says so, with a
    controlling terminal. Returns the result, and whether the decoy has outlived it."""
    terminal, ends = "", list[int]()
    if scene.probe.tty:
        ends = [*os.openpty()]
        terminal = os.ttyname(ends[1])
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE, scene.backend, scene.command, terminal],
            start_new_session=True, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        for end in ends:
            os.close(end)
    assert done.returncode == 0, f"the harness of this probe ended with {done.returncode}: {done.stderr[-2000:]}"
    code, out, err, alive = json.loads(done.stdout)
    result = ExecResult(code, out.encode(), err.encode())
    scene.must_have_run(result)
    return result, alive


async def attack(scene: Scene) -> None:
    """Runs the probe and raises AssertionError where it succeeds."""
    from tests.sandbox.probes.checks import CHECKS

    expect = scene.plant.fill(scene.probe.expect, scene.mark)
    kind, _, argument = expect.partition(":")
    if kind == "host_check":
        name, _, argument = argument.removeprefix("during:").partition(":")
        await CHECKS[name](scene, argument)
        return
    if scene.probe.tty:
        done, _ = attack_elsewhere(scene)
    else:
        async with scene.box() as box:
            done = await scene.attack(box)
    verdict: Callable[[], bool] = {
        "nonzero": lambda: done.exit_code != 0 and not done.timed_out,
        # What used up the sandbox's disk may be ended before it has judged itself.
        "stdout_contains": lambda: argument in done.stdout or (done.exit_code == 137 and "disk" in done.limits_hit),
        "stdout_not_contains": lambda: argument not in done.stdout + done.stderr,
    }[kind]
    assert verdict(), f"{scene.probe.why}\nexpected {expect}, got {done}"
