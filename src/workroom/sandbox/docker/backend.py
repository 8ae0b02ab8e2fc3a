"""The Docker backend: one container a sandbox, with our own agent as its process 1; Podman's service does as well.

    workroom ── Engine API ── container: guest agent (process 1) ── unix socket back to workroom

The agent connects to a socket of a private directory that is bound into the container. When the host's end closes, by
`stop` or by the death of workroom, the agent ends, so the container does, and the daemon removes it.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from workroom.errors import ConfigError, SandboxUnavailable, TransferError
from workroom.sandbox import checkpoints
from workroom.sandbox.backend import Counters, GuestFacts
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.cgroup import ForeignCgroup
from workroom.sandbox.docker.changes import Seed, pack
from workroom.sandbox.docker.container import WATCH_PERIOD, disk_size, facts, is_podman, settings
from workroom.sandbox.docker.engine import Engine
from workroom.sandbox.docker.image import import_image, tag
from workroom.sandbox.guest import PROGRAM, guest_binary
from workroom.sandbox.image import Image
from workroom.sandbox.ledger import state_dir
from workroom.sandbox.waiting import finished

START_TIMEOUT = 60.0
MAX_REMOVED = 64 << 20  # bytes of paths


class DockerBackend:
    """Starts guests as containers of a Docker daemon."""

    name = "docker"

    async def start(
        self, name: str, image: Image, limits: Limits, *, port: int | None, checkpoint: Sequence[Path] = ()
    ) -> "DockerGuest":
        if image.is_host:
            raise ConfigError(
                "the image `host` is for bubblewrap only: build one with `workroom sandbox build`, name no other"
            )
        engine = Engine()
        await import_image(engine, image)
        if not checkpoint:
            return await _start(engine, name, image, limits, port, None)
        path = checkpoint[0]  # there are no others, see `recorder`
        with checkpoints.opened(path, self.name, image) as (file, head):
            room = os.fstat(file.fileno()).st_size - checkpoints.HEADER
            file.seek(checkpoints.HEADER + checkpoints.number(path, head, "archive", 0, room))
            removed = file.read(MAX_REMOVED)
            file.seek(checkpoints.HEADER)
            try:
                return await _start(engine, name, image, limits, port, Seed(file, removed))
            except TransferError as error:
                raise ConfigError(f"the checkpoint {path} is damaged or too large: {error}") from error

    @property
    def place(self) -> str:
        return Engine().address

    def collect(self, name: str, place: str) -> None:
        """The container ends with its owner; what can be left is its directory, and all of it if the daemon hung."""
        asyncio.run(Engine(place).remove(_container(name)))
        shutil.rmtree(_place(name), ignore_errors=True)


class DockerGuest:
    """A running container, as its host sees it."""

    packs_inside = True

    def __init__(self, engine: Engine, name: str, image: Image, limits: Limits, sock: socket.socket, pid: int) -> None:
        self.socket = sock
        self.pid = pid
        self.facts = GuestFacts()
        self._engine = engine
        self._container = _container(name)
        self._image = image
        self._limits = limits
        self._cgroup = ForeignCgroup(pid)
        self._disk_stops = 0
        self._watch = asyncio.create_task(self._watch_disk())

    def counters(self) -> Counters:
        return Counters(self._cgroup.oom_kills(), self._cgroup.refused_starts(), self._disk_stops)

    def memory(self) -> int | None:
        return self._cgroup.memory()

    def memory_peak(self) -> int | None:
        return self._cgroup.memory_peak()

    def last_words(self) -> str:
        return ""  # a start that fails is told by `start` already, before there is a guest

    async def fork(
        self,
        name: str,
        *,
        port: int | None,
        leave: Callable[[], Awaitable[None]] | None,  # noqa: ARG002 - it stays
    ) -> "tuple[DockerGuest, DockerGuest]":
        """This one goes on as it is; the files are copied into the other one, through an unnamed file."""
        try:
            with tempfile.TemporaryFile(dir=os.environ.get("TMPDIR", "/var/tmp"), prefix="workroom-") as archive:
                removed = await pack(self._engine, self._container, self._image.root, archive)
                archive.seek(0)
                seed = Seed(archive, removed)
                return self, await _start(self._engine, name, self._image, self._limits, port, seed)
        except OSError as error:
            raise SandboxUnavailable(
                f"the files of the sandbox could not be copied ({error.strerror}): name a roomier directory in TMPDIR"
            ) from error

    async def seal(self, path: str, size: int) -> None:  # noqa: ARG002
        """A container's mounts are its daemon's: what is writable at its start stays so."""
        raise ConfigError("read_only needs the bwrap backend: leave out --sandbox docker")

    async def checkpoint(self, target: Path) -> None:
        await self.save(target, whole=True, durable=True)

    def recorder(self) -> "DockerGuest":
        return self

    async def close(self) -> None:
        """As a recorder it has nothing to end."""

    async def save(self, target: Path, *, whole: bool, durable: bool = False) -> bool:  # noqa: ARG002 - it always is
        with checkpoints.created(target, durable=durable) as file:
            file.seek(checkpoints.HEADER)
            removed = await pack(self._engine, self._container, self._image.root, file)
            archive = file.tell() - checkpoints.HEADER
            file.write(removed)
            file.seek(0)
            file.write(checkpoints.header(DockerBackend.name, self._image, archive=archive))
        return True

    async def stop(self) -> None:
        self.socket.close()
        self._watch.cancel()
        await asyncio.wait([self._watch])
        await self._engine.remove(self._container)

    async def _watch_disk(self) -> None:
        """Ends every process when the files outside the sized places pass the limit, and again when they still grow;
        ends the sandbox when they go on to twice the limit."""
        limit, before, stopped, used = disk_size(self._limits), 0, False, None
        loop = asyncio.get_running_loop()
        while True:
            started, last, used = loop.time(), used, self._cgroup.cpu_used()
            if used is None or used != last:  # else nothing ran, so nothing was written
                with contextlib.suppress(SandboxUnavailable):  # so full of processes that none can be added, or gone
                    size = await self._root_size()
                    grown = size > max(limit, before)
                    if grown and not stopped:  # or it grew before they ended
                        self._disk_stops += 1
                        await self._end_processes(hard=size > 2 * limit and before > limit)
                    before, stopped = size, grown and not stopped
            await asyncio.sleep(max(WATCH_PERIOD, 10 * (loop.time() - started)))

    async def _root_size(self) -> int:
        found = await self._engine.call("GET", f"/containers/{self._container}/json", query={"size": "1"})
        return int(found.get("SizeRw") or 0)

    async def _end_processes(self, *, hard: bool) -> None:
        if hard:
            await self._engine.call("POST", f"/containers/{self._container}/kill")
        else:
            await self._engine.run_detached(self._container, [PROGRAM, "agent", "--sweep", "all"])


async def _start(
    engine: Engine, name: str, image: Image, limits: Limits, port: int | None, seed: Seed | None
) -> DockerGuest:
    place = _place(name)
    container = _container(name)
    try:
        place.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise SandboxUnavailable(f"the sandbox's socket cannot be made in {place}: {error.strerror}") from error
    try:
        with _listener(place) as listener:
            version = await engine.call("GET", "/version")
            body = settings(
                name, tag(image), place / "control", limits, port,
                seeded=seed is not None, podman=is_podman(version),
            )  # fmt: skip
            # A daemon that goes on alone, after a cancellation, would make what nobody removes any more.
            await finished(
                asyncio.create_task(engine.call("POST", "/containers/create", query={"name": container}, body=body))
            )
            await finished(asyncio.create_task(engine.call("POST", f"/containers/{container}/start")))
            sock, pid = await _connected(engine, container, listener)
    except BaseException:
        with contextlib.suppress(SandboxUnavailable):
            await engine.remove(container)
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)  # one connection was all: the sandbox keeps a socket nobody hears
    if os.geteuid() == 0 and pid:
        await asyncio.to_thread(_confine, pid, parse_size(limits.memory))
    guest = DockerGuest(engine, name, image, limits, sock, pid)
    try:
        if seed is not None:
            await seed.send(sock)
        guest.facts = facts(limits, pid, version)
    except BaseException:
        await guest.stop()
        raise
    return guest


def _confine(pid: int, memory: int) -> None:
    """What the engine leaves open and only root can bound: user namespaces, inotify instances, which all containers
    share, and the memory of socket buffers."""
    ForeignCgroup(pid).bound_sockets(memory)
    command = [str(guest_binary()), "confine", str(pid)]
    if Path(f"/proc/{pid}/ns/user").stat().st_ino != Path("/proc/self/ns/user").stat().st_ino:
        subprocess.run(command, env={}, capture_output=True, check=False)


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
    try:
        found = await engine.find(f"/containers/{container}/json")
    except BaseException:
        sock.close()
        raise
    return sock, int(found["State"]["Pid"]) if found else 0


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


def _container(name: str) -> str:
    return f"workroom-{name}"


def _place(name: str) -> Path:
    return state_dir() / "docker" / name
