"""What the sandbox is measured against. Each peer gives boxes that run a command and take and give a file.

Only what is there takes part: Docker and Podman where they answer (WORKROOM_DOCKER names the command, by default
`docker`), mini-swe-agent's bubblewrap environment and Inspect's local sandbox where they can be imported.
"""

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module, util
from pathlib import Path
from typing import Any, Protocol

from workroom.sandbox import Sandbox
from workroom.sandbox.bwrap_command import find_bwrap
from workroom.sandbox.image import SANDBOX_UID, Image

FILE = "/tmp/benchmark"


class Box(Protocol):
    """One computer. `put` and `get` move one file whole."""

    async def run(self, command: str) -> None: ...
    async def put(self, data: bytes) -> None: ...
    async def get(self) -> bytes: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """`slow` ones get fewer rounds and take part with fewer boxes."""

    name: str
    start: Callable[[], Awaitable[Box]]
    slow: bool = False
    files: bool = True


class Workroom:
    """Ours, on one of its backends."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    @classmethod
    async def start(cls, backend: str) -> "Workroom":
        return cls(await Sandbox.start(backend))

    async def run(self, command: str) -> None:
        done = await self.box.exec(command)
        assert done.exit_code == 0, done

    async def put(self, data: bytes) -> None:
        await self.box.write(FILE, data)

    async def get(self) -> bytes:
        return await self.box.read(FILE)

    async def close(self) -> None:
        await self.box.close()


class Command:
    """A peer that is a command line: a prefix for each command, and one that ends it."""

    def __init__(self, prefix: list[str], end: list[str], options: dict[str, Any] | None = None) -> None:
        self._prefix = prefix
        self._end = end
        self._options = options or {}

    async def _run(self, argv: list[str], data: bytes = b"") -> bytes:
        def run() -> bytes:
            done = subprocess.run(argv, input=data, capture_output=True, cwd="/", check=True, **self._options)
            return bytes(done.stdout)

        return await asyncio.to_thread(run)

    async def run(self, command: str) -> None:
        await self._run([*self._prefix, "/bin/bash", "-c", command])

    async def put(self, data: bytes) -> None:
        await self._run([*self._prefix, "/bin/sh", "-c", f"cat > {FILE}"], data)

    async def get(self) -> bytes:
        return await self._run([*self._prefix, "/bin/sh", "-c", f"cat {FILE}"])

    async def close(self) -> None:
        await asyncio.to_thread(subprocess.run, self._end, capture_output=True, check=True)


def bare_command(image_root: str, root: str) -> tuple[list[str], dict[str, Any]]:
    """The least that gives an own root file system, an overlay on the image that is `root`, and as whom to start it.

    Without limits, without a filter of system calls, and with nobody inside who could tell of anything.
    """
    program, stage = find_bwrap()
    if stage:
        program = str(stage[0][0] / "_bin" / "bwrap")
    words = f"--unshare-all --uid 0 --gid 0 --overlay-src {image_root} {root} / --proc /proc --dev /dev"
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        options = {"user": SANDBOX_UID, "group": SANDBOX_UID, "extra_groups": []}
    return [program, *words.split()], options


async def bare_bubblewrap(image_root: str) -> Command:
    """A new bubblewrap for each command, upon files that stay in memory."""
    place = tempfile.mkdtemp(dir="/dev/shm", prefix="bare-")
    for path in (f"{place}/upper", f"{place}/work"):
        Path(path).mkdir()
    if os.geteuid() == 0:
        for path in (place, f"{place}/upper", f"{place}/work"):
            os.chown(path, SANDBOX_UID, SANDBOX_UID)
    prefix, options = bare_command(image_root, f"--overlay {place}/upper {place}/work")
    remove = f"chmod -R u+rwx {shlex.quote(place)}; rm -rf {shlex.quote(place)}"
    return Command(prefix, ["/bin/sh", "-c", remove], options)


async def container(engine: str, options: list[str], image: str) -> Command:
    """A container that sleeps; each command is an `exec` of the engine's own command line."""
    start = [engine, "run", "-d", *options, "--network", "none", image, "sleep", "infinity"]
    done = await asyncio.to_thread(subprocess.run, start, capture_output=True, text=True, check=True)
    name = done.stdout.strip()
    return Command([engine, "exec", "-i", name], [engine, "rm", "-f", name])


class MiniSwe:
    """mini-swe-agent's bubblewrap environment, as it is set up by default."""

    def __init__(self) -> None:
        program, stage = find_bwrap()
        executable = str(stage[0][0] / "_bin" / "bwrap") if stage else program
        environment = import_module("minisweagent.environments.extra.bubblewrap").BubblewrapEnvironment
        self._environment = environment(executable=executable)

    async def run(self, command: str) -> None:
        done = await asyncio.to_thread(self._environment.execute, {"command": command})
        assert done["returncode"] == 0, done

    async def put(self, data: bytes) -> None:
        raise NotImplementedError

    async def get(self) -> bytes:
        raise NotImplementedError

    async def close(self) -> None:
        await asyncio.to_thread(self._environment.cleanup)


class InspectLocal:
    """Inspect's local sandbox: a directory of the host, no isolation."""

    def __init__(self) -> None:
        self._box = import_module("inspect_ai.util._sandbox.local").LocalSandboxEnvironment()

    async def run(self, command: str) -> None:
        done = await self._box.exec(["bash", "-c", command])
        assert done.returncode == 0, done

    async def put(self, data: bytes) -> None:
        await self._box.write_file("file", data)

    async def get(self) -> bytes:
        return bytes(await self._box.read_file("file", text=False))

    async def close(self) -> None:
        await asyncio.to_thread(self._box.directory.cleanup)


def peers(image: Image, image_root: str) -> list[Peer]:
    """Ours first, then those that can be had here."""
    found = [Peer("workroom", lambda: Workroom.start("bwrap"))]
    found.append(Peer("bare bubblewrap, one a command", lambda: bare_bubblewrap(image_root)))
    for engine, options in (("docker", []), ("podman", PODMAN)):
        program = shutil.which(os.environ.get(f"WORKROOM_{engine.upper()}", engine))
        name = f"workroom:{image.digest[:12]}"
        if (
            program
            and subprocess.run([program, "image", "inspect", name], capture_output=True, check=False).returncode == 0
        ):
            found.append(Peer(f"{engine} run, {engine} exec", _engine(program, options, name), slow=True))
            if engine == "docker":
                found.insert(1, Peer("workroom on Docker", lambda: Workroom.start("docker"), slow=True))
    if util.find_spec("minisweagent"):
        found.append(Peer("mini-swe-agent's bubblewrap", _made(MiniSwe), files=False))
    if util.find_spec("inspect_ai"):
        found.append(Peer("Inspect's local (no isolation)", _made(InspectLocal)))
    return found


# What Podman needs on a host with cgroup v1 and without the right to raise limits.
PODMAN = "--ulimit nofile=4096:4096 --ulimit nproc=4096:4096".split()


def _engine(program: str, options: list[str], image: str) -> Callable[[], Awaitable[Box]]:
    async def start() -> Box:
        return await container(program, options, image)

    return start


def _made(kind: Callable[[], Box]) -> Callable[[], Awaitable[Box]]:
    async def start() -> Box:
        return kind()

    return start
