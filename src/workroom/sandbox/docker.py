"""The Docker backend: one container a sandbox, with our own agent as its process 1; Podman's service does as well.

    workroom ── Engine API ── container: guest agent (process 1) ── unix socket back to workroom

The agent connects to a socket of a private directory that is bound into the container. When the host's end closes, by
`stop` or by the death of workroom, the agent ends, so the container does, and the daemon removes it.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox.backend import Counters, GuestFacts
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.bwrap import HIDDEN, MASKED, OPEN_FILES
from workroom.sandbox.cgroup import Cgroup
from workroom.sandbox.changes import Seed, open_checkpoint, pack, write_checkpoint
from workroom.sandbox.engine import Engine, EngineError
from workroom.sandbox.guest import guest_binary
from workroom.sandbox.image import Image
from workroom.sandbox.ledger import state_dir

PROGRAM = "/run/workroom-init"
CONTROL = "/run/workroom-control"
START_TIMEOUT = 60.0
WATCH_PERIOD = 0.5  # seconds between two looks at what the root file system holds
# What `apt-get install` needs, for a root that is an unprivileged user outside.
CAPABILITIES = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETFCAP".split()
# File systems of their own with a size: there, a full disk is the ordinary error.
SIZED = {"/testbed": "0755", "/tmp": "1777", "/var/tmp": "1777"}
MASKED_TOO = "asound latency_stats timer_stats interrupts".split()


class DockerBackend:
    """Starts guests as containers of a Docker daemon."""

    name = "docker"

    async def start(
        self, name: str, image: Image, limits: Limits, *, port: int | None, checkpoint: Path | None = None
    ) -> "DockerGuest":
        if image.is_host:
            raise ConfigError(
                "the image `host` is for bubblewrap only: build one with `workroom sandbox build` and leave --image away"
            )
        engine = Engine()
        seed = None if checkpoint is None else open_checkpoint(checkpoint, self.name, image.digest)
        try:
            await _import(engine, image)
            return await _start(engine, name, image, limits, port, seed)
        finally:
            if seed is not None:
                seed.close()

    def collect(self, name: str) -> None:
        """The container ends with its owner; what can be left is its directory, and all of it if the daemon hung."""
        Engine().remove_now(_container(name))
        shutil.rmtree(_place(name), ignore_errors=True)


class DockerGuest:
    """A running container, as its host sees it."""

    def __init__(self, engine: Engine, name: str, image: Image, limits: Limits, sock: socket.socket, pid: int) -> None:
        self.socket = sock
        self.pid = pid
        self.facts = GuestFacts()
        self._engine = engine
        self._container = _container(name)
        self._image = image
        self._limits = limits
        self._cgroup = Cgroup.of(pid)
        self._disk_stops = 0
        self._watch = asyncio.create_task(self._watch_disk())

    def counters(self) -> Counters:
        if self._cgroup is None:
            return Counters(disk_stops=self._disk_stops)
        return Counters(self._cgroup.oom_kills(), self._cgroup.refused_starts(), self._disk_stops)

    def memory(self) -> int | None:
        return None if self._cgroup is None else self._cgroup.memory()

    def last_words(self) -> str:
        return ""  # a start that fails is told by `start` already, before there is a guest

    async def fork(self, name: str, *, idle: bool, port: int | None) -> "tuple[DockerGuest, DockerGuest]":  # noqa: ARG002
        """This one goes on as it is; the files are copied into the other one, through an unnamed file."""
        with tempfile.TemporaryFile(dir="/var/tmp", prefix="workroom-") as archive:
            removed = await pack(self._engine, self._container, self._image.root, archive)
            archive.seek(0)
            seed = Seed(archive, removed)
            return self, await _start(self._engine, name, self._image, self._limits, port, seed)

    async def checkpoint(self, target: Path) -> None:
        await write_checkpoint(target, "docker", self._image, self._engine, self._container)

    async def stop(self) -> None:
        self.socket.close()
        self._watch.cancel()
        await asyncio.wait([self._watch])
        await self._engine.remove(self._container)

    async def _watch_disk(self) -> None:
        """Ends every process when the files outside the sized places pass the limit, the sandbox at twice of it."""
        limit = _disk(self._limits)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            facts = await self._engine.find(f"/containers/{self._container}/json", size="1")
            size = (facts or {}).get("SizeRw") or 0
            if size > limit:
                self._disk_stops += 1
                await self._end_processes(hard=size > 2 * limit)
            await asyncio.sleep(max(WATCH_PERIOD, 10 * (loop.time() - started)))

    async def _end_processes(self, *, hard: bool) -> None:
        with contextlib.suppress(EngineError):  # it may be gone, or so full of processes that none can be added
            if hard:
                await self._engine.call("POST", f"/containers/{self._container}/kill")
            else:
                await self._engine.run_detached(self._container, [PROGRAM, "agent", "--sweep", "all"])


async def _start(
    engine: Engine, name: str, image: Image, limits: Limits, port: int | None, seed: Seed | None
) -> DockerGuest:
    place = _place(name)
    place.mkdir(mode=0o700, parents=True)
    container = _container(name)
    try:
        with _listener(place) as listener:
            settings = _settings(name, place / "control", image, limits, port, seeded=seed is not None)
            await engine.call("POST", "/containers/create", body=settings, name=container)
            await engine.call("POST", f"/containers/{container}/start")
            sock, pid = await _connected(engine, container, listener)
    except BaseException:
        with contextlib.suppress(SandboxUnavailable):
            await engine.remove(container)
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)  # one connection was all: the sandbox keeps a socket nobody hears
    guest = DockerGuest(engine, name, image, limits, sock, pid)
    try:
        if seed is not None:
            await seed.send(sock)
        guest.facts = await _facts(guest, limits, engine)
    except BaseException:
        await guest.stop()
        raise
    return guest


async def _connected(engine: Engine, container: str, listener: socket.socket) -> tuple[socket.socket, int]:
    """The first connection to the socket, and the process on the host that is the container's first."""
    loop = asyncio.get_running_loop()
    end = loop.time() + START_TIMEOUT
    while loop.time() < end:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                sock, _ = await loop.sock_accept(listener)
                break
        found = await engine.find(f"/containers/{container}/json")
        if found is None or not found["State"]["Running"]:
            raise SandboxUnavailable(
                "the container's first process ended at once; `docker events` tells its exit code (98: a limit, the "
                "egress port or the system-call filter could not be set; 126 or 127: the image is for another machine)"
            )
    else:
        raise SandboxUnavailable(f"the container gave no sign of life in {START_TIMEOUT:.0f} s")
    found = await engine.find(f"/containers/{container}/json")
    return sock, int(found["State"]["Pid"]) if found else 0


def _settings(
    name: str, control: Path, image: Image, limits: Limits, port: int | None, *, seeded: bool
) -> dict[str, Any]:
    memory, disk = parse_size(limits.memory), _disk(limits)
    agent = ["agent", "--files", str(OPEN_FILES), "--connect", CONTROL]
    agent += ["--port", str(port)] if port is not None else []
    agent += ["--seed", "yes"] if seeded else []
    sized = f"exec,nosuid,nodev,size={disk},nr_inodes={min(1 << 20, max(16384, disk // 8192))}"
    return {
        "Image": _tag(image),
        "Entrypoint": [PROGRAM],
        "Cmd": agent,
        "User": "0:0",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "Labels": {"workroom.name": name, "workroom.owner": str(os.getuid())},
        "HostConfig": {
            "AutoRemove": True,
            "CapAdd": CAPABILITIES,
            "CapDrop": ["ALL"],
            "Init": False,
            "IpcMode": "private",
            "LogConfig": {"Type": "none"},
            "MaskedPaths": ["/sys", *(f"/proc/{file}" for file in (*MASKED, *HIDDEN, *MASKED_TOO))],
            "Memory": memory,
            "MemorySwap": memory,
            "Mounts": [
                {"Type": "bind", "Source": str(guest_binary().resolve()), "Target": PROGRAM, "ReadOnly": True},
                {"Type": "bind", "Source": str(control), "Target": CONTROL, "ReadOnly": True},
            ],
            "NanoCpus": int((limits.cpus or 0) * 1e9),
            "NetworkMode": "none",
            "OomScoreAdj": 500,  # where the whole host runs out of memory, its sandboxes go first
            "PidsLimit": limits.pids,
            "ReadonlyPaths": ["/proc/sys"],
            "RestartPolicy": {"Name": "no"},
            "SecurityOpt": ["no-new-privileges"],
            "ShmSize": min(256 << 20, memory // 8),
            "Tmpfs": {path: f"{sized},mode={mode}" for path, mode in SIZED.items()},
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        },
    }


async def _facts(guest: DockerGuest, limits: Limits, engine: Engine) -> GuestFacts:
    memory, disk = parse_size(limits.memory), _disk(limits)
    cgroup = Cgroup.of(guest.pid)
    by = f"cgroup v{cgroup.version} of the container" if cgroup else "asked of the daemon, cannot be seen from here"
    failed = "not enforced: the daemon did not set this limit"

    def enforced(controller: str, wanted: int) -> str:
        return by if cgroup is None or cgroup.bounds(controller) == wanted else failed

    version = await engine.call("GET", "/version")
    runtime = {part["Name"]: part["Version"] for part in version.get("Components") or ()}
    return GuestFacts(
        limits={
            "memory": memory,
            "pids": limits.pids,
            "disk": disk,
            "cpus": limits.cpus,
            "command_timeout": limits.command_timeout,
            "output": parse_size(limits.output),
        },
        enforcement={
            "memory": enforced("memory", memory),
            "pids": enforced("pids", limits.pids),
            "cpus": "no limit asked for" if limits.cpus is None else by,
            "disk": f"tmpfs size for each of {', '.join(SIZED)}"
            + (", lowered to fit into memory" if disk < parse_size(limits.disk) else "")
            + f"; elsewhere best effort: looked at every {WATCH_PERIOD} s, above the limit all processes are ended, "
            "above twice the limit the sandbox; number of files: in the tmpfs only",
            "time": "agent in the sandbox, watched from outside",
            "network": "network namespace",
            "user": _user(guest.pid),
        },
        versions={"docker": version["Version"], "kernel": os.uname().release}
        | {name: runtime[name] for name in ("runc", "crun", "containerd") if name in runtime},
    )


def _user(pid: int) -> str:
    """Who root inside is on this host."""
    try:
        first = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    except (OSError, IndexError):
        return "cannot be seen from here"
    if first:
        return f"user namespace: root inside is user {first} outside"
    return (
        "not enforced: root inside is root of the host, held by capabilities, system-call filter and namespaces only; "
        "start the daemon with --userns-remap=default"
    )


async def _import(engine: Engine, image: Image) -> None:
    """Makes our image one of the daemon's, once."""
    if await engine.find(f"/images/{_tag(image)}/json"):
        return
    with (state_dir() / f"docker-{image.digest[:12]}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)
        if await engine.find(f"/images/{_tag(image)}/json"):
            return
        repository, _, tag = _tag(image).partition(":")
        labels = f"LABEL workroom.digest={image.digest}"
        await engine.call(
            "POST", "/images/create", content=_archive(image.root), timeout=None,
            fromSrc="-", repo=repository, tag=tag, changes=labels,
        )  # fmt: skip


async def _archive(root: Path) -> AsyncIterator[bytes]:
    """A tar of an image, in which all is root's: on disk it belongs to the user whom bubblewrap makes root inside."""
    command = ["tar", "--create", "--numeric-owner", "--owner=0", "--group=0", "--directory", str(root), "."]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 20)
    assert process.stdout is not None
    try:
        while data := await process.stdout.read(1 << 20):
            yield data
        if await process.wait() != 0:
            raise SandboxUnavailable(f"the image in {root} could not be read: build it again")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _listener(place: Path) -> socket.socket:
    """A socket that any user number may connect to; who cannot enter the directory cannot reach it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.bind(f"/proc/self/fd/{folder}/control")  # the path itself may be longer than an address can be
        (place / "control").chmod(0o666)
        sock.listen(1)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


def _disk(limits: Limits) -> int:
    """Bytes of disk: in memory, so that they must fill up before the memory limit ends the processes instead."""
    return min(parse_size(limits.disk), parse_size(limits.memory) * 3 // 4)


def _tag(image: Image) -> str:
    return f"workroom:{image.digest[:12]}"


def _container(name: str) -> str:
    return f"workroom-{name}"


def _place(name: str) -> Path:
    return state_dir() / "docker" / name
