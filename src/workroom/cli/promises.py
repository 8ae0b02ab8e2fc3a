"""The sandbox's promises, each tried in a real sandbox of this host: what `workroom sandbox check` does.

A short battery for users ("does it hold on my machine?"). It plants a canary file, a canary variable, a decoy process
and a decoy service on the host and lets the sandbox look for them; every refusal has its counterpart that works.
"""

import asyncio
import contextlib
import os
import secrets
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workroom.errors import SandboxError, SandboxGone
from workroom.sandbox import Limits, Sandbox

LIMITS = Limits(memory="256m", pids=64, disk="64m", command_timeout=30)
# What `apt-get install` needs of a root inside, where that is an unprivileged user outside: CHOWN, DAC_OVERRIDE,
# FOWNER, FSETID, KILL, SETGID, SETUID and SETFCAP.
FOR_APT = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 31))
_SECRET_NAME = "WORKROOM_CHECK_API_KEY"
_FORK = """
import os, time
made = 0
try:
    while made < 200 and os.fork():
        made += 1
    if made < 200:
        time.sleep(60)
except OSError:
    pass
print(made)
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one try. `promise` is its number in docs/design.md; `detail` says what went wrong."""

    promise: int
    claim: str
    kept: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Decoys:
    """What the sandbox must not find. `port` is a service on the host's loopback, `pid` a process of the host."""

    token: str
    file: Path
    port: int
    pid: int


Try = Callable[[Sandbox, Decoys], Awaitable[str]]  # gives what went wrong, empty where the promise is kept


async def check_promises(
    backend: str, image: str | None, on_verdict: Callable[[Verdict], None] | None = None
) -> list[Verdict]:
    """Tries every promise, one sandbox each. Raises SandboxUnavailable where no sandbox can start at all."""
    verdicts = []
    async with _decoys() as decoys:
        for promise, claim, attempt, network in TRIES:
            async with Sandbox.open(backend, image=image, network=network, limits=LIMITS) as box:
                try:
                    detail = await attempt(box, decoys)
                except (SandboxError, OSError) as error:
                    detail = f"{type(error).__name__}: {error}"
            verdict = Verdict(promise, claim, kept=not detail, detail=detail)
            verdicts.append(verdict)
            if on_verdict is not None:
                on_verdict(verdict)
    return verdicts


@asynccontextmanager
async def _decoys() -> AsyncIterator[Decoys]:
    token = secrets.token_hex(16)
    old = os.environ.get(_SECRET_NAME)
    os.environ[_SECRET_NAME] = token

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(token.encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    decoy = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220 - a fork of a millisecond
    try:
        with tempfile.TemporaryDirectory(prefix="workroom-check-") as folder:
            Path(folder).chmod(0o755)
            file = Path(folder) / "canary"
            file.write_text(token)
            yield Decoys(token, file, server.sockets[0].getsockname()[1], decoy.pid)
    finally:
        decoy.kill()
        decoy.wait()
        server.close()
        if old is None:
            del os.environ[_SECRET_NAME]
        else:
            os.environ[_SECRET_NAME] = old


async def _host_files(box: Sandbox, decoys: Decoys) -> str:
    found = await box.exec(f"cat {decoys.file}; cat /proc/*/root{decoys.file} /proc/*/cwd{decoys.file}")
    if decoys.token in found.stdout:
        return "a file of the host was read"
    mounts = (await box.exec("cat /proc/self/mountinfo")).stdout
    written = await box.exec(f"mkdir -p {decoys.file.parent} && echo x > {decoys.file} && cat {decoys.file}")
    if written.stdout != "x\n":
        return "the sandbox cannot write its own files"
    if decoys.file.read_text() != decoys.token:
        return "a file of the host was changed"
    return f"the decoy's directory is mounted: {decoys.file.parent}" if str(decoys.file.parent) in mounts else ""


async def _secrets(box: Sandbox, decoys: Decoys) -> str:
    found = await box.exec("env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'")
    if "PATH=" not in found.stdout:
        return "the sandbox cannot read its own environment"
    return "a variable of the host is visible" if decoys.token in found.stdout else ""


async def _host_processes(box: Sandbox, decoys: Decoys) -> str:
    result = await box.exec(f"kill -0 {decoys.pid} && echo reached; ls /proc | grep -c '^[0-9]'")
    if "reached" in result.stdout:
        return "a process of the host can be signalled"
    return "" if int(result.stdout.split()[-1]) < 16 else "processes of the host are listed"


async def _host_services(box: Sandbox, decoys: Decoys) -> str:
    result = await box.exec(f"exec 3<>/dev/tcp/127.0.0.1/{decoys.port} && cat <&3")
    return "a loopback service of the host answered" if decoys.token in result.stdout else ""


async def _privileges(box: Sandbox, decoys: Decoys) -> str:
    status = dict(
        line.split(":", 1) for line in (await box.exec("cat /proc/self/status")).stdout.splitlines() if ":" in line
    )
    wanted = {"NoNewPrivs": "1", "Seccomp": "2"}
    found = {name: status.get(name, "").strip() for name in (*wanted, "CapEff", "CapPrm", "CapBnd")}
    wrong = [name for name in wanted if found[name] != wanted[name]]
    wrong += [name for name in found if name.startswith("Cap") and int(found[name] or "-1", 16) & ~FOR_APT]
    if wrong:
        return ", ".join(f"{name} is {found[name]!r}" for name in wrong)
    user = box.facts.enforcement.get("user", "")
    if "not enforced" in user:
        return user
    for command, what in (
        ("unshare --user true", "made a user namespace"),
        ("mount -t tmpfs none /mnt", "mounted a file system"),
        ("cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern", "wrote a kernel setting"),
        ("dd if=/dev/sda of=/dev/null count=1 || dd if=/dev/vda of=/dev/null count=1", "read a disk"),
    ):
        if (await box.exec(command)).exit_code == 0:
            return f"the sandbox {what}"
    mark = await _background_mark(box, decoys)
    return "it is root outside" if any(path.stat().st_uid == 0 for path in _on_host(mark)) else ""


async def _memory(box: Sandbox, _: Decoys) -> str:
    hog = await box.exec("python3 -c 'a = b\"x\" * (1 << 30); print(len(a))'")
    if hog.exit_code == 0:
        return f"1 GiB was allocated under a limit of {LIMITS.memory}"
    return "" if (await box.exec("echo fine")).stdout == "fine\n" else "the sandbox did not survive it"


async def _processes(box: Sandbox, _: Decoys) -> str:
    made = await box.exec(["python3", "-c", _FORK])
    if int(made.stdout) > LIMITS.pids:
        return f"{made.stdout.strip()} processes ran under a limit of {LIMITS.pids}"
    await box.kill_all()
    return "" if (await box.exec("echo fine")).stdout == "fine\n" else "the sandbox did not survive it"


async def _disk(box: Sandbox, _: Decoys) -> str:
    filled = await box.exec("head -c 200M /dev/zero > /testbed/big; stat -c %s /testbed/big; rm /testbed/big")
    size = int(filled.stdout.split()[-1]) if filled.stdout.split() else 0
    if size > 64 << 20:
        return f"{size:,} bytes were written under a limit of {LIMITS.disk}"
    usable = (await box.exec("echo fine > a && cat a")).stdout == "fine\n"
    return "" if usable else "the disk is still full afterwards"


async def _timeout(box: Sandbox, decoys: Decoys) -> str:
    mark = _mark(decoys)
    late = await box.exec(f"echo before; (setsid sleep {mark} & sleep {mark}); echo after", timeout=1)
    if not late.timed_out or late.stdout != "before\n":
        return "the command was not ended, or its output is lost"
    return "children of the command are still running" if _on_host(mark) else ""


async def _background(box: Sandbox, _: Decoys) -> str:
    await box.exec("nohup sh -c 'sleep 0.3; echo done > /testbed/later' >/dev/null 2>&1 &")
    result = await box.exec("for i in $(seq 50); do test -e later && break; sleep 0.1; done; cat later")
    return "" if result.stdout == "done\n" else "a background job did not survive the call that started it"


async def _closing(box: Sandbox, decoys: Decoys) -> str:
    mark = await _background_mark(box, decoys)
    if not _on_host(mark):
        return "the background job did not start"
    await box.close()
    if _on_host(mark):
        return "a process of the sandbox is still running"
    try:
        await box.exec("true")
    except SandboxGone:
        return ""
    return "a closed sandbox still answers"


def _mark(decoys: Decoys) -> str:
    """Seconds to sleep that nobody else sleeps, so that the process can be found on the host."""
    return f"7{int(decoys.token[:6], 16)}"


async def _background_mark(box: Sandbox, decoys: Decoys) -> str:
    mark = _mark(decoys)
    await box.exec(f"nohup sleep {mark} >/dev/null 2>&1 & sleep 0.2")
    return mark


def _on_host(mark: str) -> list[Path]:
    """The processes of the host that sleep so long, as directories of /proc."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", mark.encode()]:
                    found.append(folder)
    return found


async def _safe_files(box: Sandbox, _: Decoys) -> str:
    await box.exec(
        "mkdir -p output/sub && cd output && printf 'a\\0b' > data && chmod 4777 data && mkfifo pipe && "
        "ln -s /etc/passwd link && ln -s / sub/root && ln -s loop loop",
        cwd="/testbed",
    )
    with tempfile.TemporaryDirectory(prefix="workroom-check-") as folder:
        await box.download("/testbed/output", folder)
        found = {path.name for path in Path(folder).rglob("*") if not path.is_dir() or path.is_symlink()}
        if found != {"data"}:
            return f"brought out: {', '.join(sorted(found)) or 'nothing'}"
        data = Path(folder) / "data"
        if data.read_bytes() != b"a\0b":
            return "a file was changed on its way"
        return "a set-uid bit came out" if data.stat().st_mode & (stat.S_ISUID | stat.S_IXUSR) else ""


async def _no_network(box: Sandbox, _: Decoys) -> str:
    result = await box.exec("ls /sys/class/net 2>/dev/null || tail -n +3 /proc/net/dev | cut -d: -f1")
    if result.stdout.split() != ["lo"]:
        return f"interfaces: {' '.join(result.stdout.split())}"
    reached = await box.exec("exec 3<>/dev/tcp/192.0.2.1/80", timeout=5)
    return "an address outside could be dialled" if reached.exit_code == 0 else ""


async def _private_addresses(box: Sandbox, decoys: Decoys) -> str:
    fetch = "python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read())'"
    for target in (f"127.0.0.1:{decoys.port}", "169.254.169.254", "10.0.0.1"):
        result = await box.exec(f"{fetch} http://{target}/", timeout=15)
        if decoys.token in result.stdout or result.exit_code == 0:
            return f"{target} was reached through the egress proxy"
        if result.timed_out:
            return f"{target} was not refused"
    return ""


TRIES: tuple[tuple[int, str, Try, str], ...] = (
    (1, "files of the host are out of reach", _host_files, "none"),
    (1, "environment variables of the host are invisible", _secrets, "none"),
    (1, "processes of the host are out of reach", _host_processes, "none"),
    (1, "loopback services of the host are out of reach", _host_services, "none"),
    (1, "no privileges, and no way to get any", _privileges, "none"),
    (2, "the memory limit holds", _memory, "none"),
    (2, "the process limit holds", _processes, "none"),
    (2, "the disk limit holds", _disk, "none"),
    (3, "a command that times out ends with its children", _timeout, "none"),
    (3, "background jobs survive the call that started them", _background, "none"),
    (4, "closing ends everything, and a closed sandbox raises", _closing, "none"),
    (5, "only plain files come out, byte for byte", _safe_files, "none"),
    (7, "network none: loopback only", _no_network, "none"),
    (7, "network open: private and host addresses are refused", _private_addresses, "open"),
)
