"""What a container has changed over its image: packed, kept in a file, and put into a new container.

Everything that touches the files happens inside the containers, under the agent's filter: the host only carries an
archive that it never unpacks, and a list of what to remove from the image before.
"""

import asyncio
import os
import socket
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workroom.errors import SandboxUnavailable, TransferError
from workroom.sandbox.docker.container import CONTROL, SIZED
from workroom.sandbox.docker.engine import Engine
from workroom.sandbox.guest import PROGRAM
from workroom.sandbox.waiting import until_readable

SIZED_PLACES = tuple(path.lstrip("/") for path in SIZED)  # which Docker's list of changes does not know
MADE_BY_ENGINE = "dev dev/console dev/pts dev/shm proc sys .dockerenv run/.containerenv etc/mtab".split()
KEPT_BY_ENGINE = ("etc/hosts", "etc/hostname", "etc/resolv.conf")  # files of its own in place of the image's
CHANGED, REMOVED = 0, 2  # of Docker's list, which has 1 for the added
PACK = [
    PROGRAM, "agent", "--run", "/bin/tar", "--create", "--directory", "/", "--numeric-owner", "--xattrs",
    "--sparse", "--format=posix", "--ignore-failed-read", "--warning=none", "--null", "--verbatim-files-from",
    "--no-recursion", "--files-from=-", "--recursion", *SIZED_PLACES,
]  # fmt: skip


@dataclass(slots=True)
class Seed:
    """The files of an earlier sandbox: an archive, positioned at its start, and the paths to remove before."""

    archive: IO[bytes]
    removed: bytes

    async def send(self, sock: socket.socket) -> None:
        """Hands it to an agent that was started with `--seed`, and waits until it has put everything in place."""
        listed = os.memfd_create("removed", os.MFD_CLOEXEC)
        try:
            os.write(listed, self.removed)
            os.lseek(listed, 0, os.SEEK_SET)
            socket.send_fds(sock, [b"S"], [listed, self.archive.fileno()])
        finally:
            os.close(listed)
        await until_readable(sock)
        if not await asyncio.to_thread(sock.recv, 1, socket.MSG_PEEK):
            raise TransferError("the files of the earlier sandbox could not be put in place")


async def pack(engine: Engine, container: str, root: Path, archive: IO[bytes]) -> bytes:
    """Writes all that a container has changed over its image to `archive`; returns the paths to remove before."""
    found = await engine.call("GET", f"/containers/{container}/json")
    driver = found.get("GraphDriver") or {}  # not told by newer image stores
    upper = (driver.get("Data") or {}).get("UpperDir", "")
    readable = os.geteuid() == 0 and os.access(upper, os.R_OK | os.X_OK)
    kinds = await asyncio.to_thread(read_upper, upper) if readable else None
    if kinds is None:
        kinds = await ask_daemon(engine, container)
    kinds = {path: kind for path, kind in kinds.items() if not _is_ours(path)}
    start = archive.tell()
    listed = b"".join(os.fsencode(path.lstrip("/")) + b"\0" for path in kinds)
    code, complaints = await engine.run(container, PACK, listed, archive)
    if code != 0:
        raise SandboxUnavailable(f"the files of the sandbox could not be packed: tar ended with {code}: {complaints}")
    end = archive.tell()
    archive.seek(start)
    removed = await asyncio.to_thread(_in_the_way, archive, kinds, root)
    archive.seek(end)
    return b"".join(os.fsencode(path) + b"\0" for path in removed)


async def ask_daemon(engine: Engine, container: str) -> dict[str, int]:
    """Path → kind of all that is not as in the image. The daemon compares all files of both: some seconds."""
    changes = await engine.call("GET", f"/containers/{container}/changes") or []
    return {str(change["Path"]): int(change["Kind"]) for change in changes}


def read_upper(upper: str) -> dict[str, int] | None:
    """The same from an overlay's upper layer, in milliseconds; None where it is written in a way we do not read.

    A directory that hides the image's is one to remove, and then to put back with what is below it.
    """
    kinds: dict[str, int] = {}
    for place, directories, files, descriptor in os.fwalk(upper):
        top = place.removeprefix(upper)
        for name in directories:
            marks = os.listxattr(f"/proc/self/fd/{descriptor}/{name}", follow_symlinks=False)
            if "trusted.overlay.redirect" in marks:
                return None
            kinds[f"{top}/{name}"] = REMOVED if "trusted.overlay.opaque" in marks else CHANGED
        for name in files:
            facts = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            whiteout = stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0
            kinds[f"{top}/{name}"] = REMOVED if whiteout else CHANGED
    return kinds


def _is_ours(path: str) -> bool:
    """What the start of every container leaves in the list, by the engine and by our mounts."""
    return path in (PROGRAM, CONTROL) or path.lstrip("/") in (*SIZED_PLACES, *MADE_BY_ENGINE, *KEPT_BY_ENGINE)


def _in_the_way(archive: IO[bytes], kinds: dict[str, int], root: Path) -> list[str]:
    """What an unpacked image has too much: the removed, and what has turned into another kind of file."""
    packed_directories = set()
    with tarfile.open(fileobj=archive, mode="r:") as members:
        while (member := members.next()) is not None:
            if member.isdir():
                packed_directories.add("/" + member.name.strip("/"))
            members.members = []  # type: ignore[attr-defined]  # or it keeps them all in memory
    removed = [path for path, kind in kinds.items() if kind == REMOVED]
    for path, kind in kinds.items():
        if kind == CHANGED and not (path in packed_directories and _is_directory(root / path.lstrip("/"))):
            removed.append(path)
    return removed


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
