"""What a container has changed over its image: packed, kept in a file, and put into a new container.

Everything that touches the files happens inside the containers, under the agent's filter: the host only carries an
archive that it never unpacks, and a list of what to remove from the image before.

A checkpoint is one file: a line of JSON of HEADER bytes, the archive, and the paths to remove with a NUL behind each.
"""

import asyncio
import json
import os
import socket
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox.engine import Engine

if TYPE_CHECKING:
    from workroom.sandbox.image import Image

HEADER = 512
FORMAT = "workroom checkpoint 1"
SIZED = ("testbed", "tmp", "var/tmp")  # file systems of their own, which Docker's list of changes does not know
CHANGED, ADDED, REMOVED = 0, 1, 2  # of Docker's list
PACK = [
    "/run/workroom-init", "agent", "--run", "/bin/tar", "--create", "--directory", "/", "--numeric-owner", "--xattrs",
    "--sparse", "--format=posix", "--ignore-failed-read", "--warning=none", "--null", "--verbatim-files-from",
    "--no-recursion", "--files-from=-", "--recursion", *SIZED,
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
            with open(listed, "wb", closefd=False) as file:
                file.write(self.removed)
            os.lseek(listed, 0, os.SEEK_SET)
            socket.send_fds(sock, [b"S"], [listed, self.archive.fileno()])
        finally:
            os.close(listed)
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(sock, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(sock)
        if not await asyncio.to_thread(sock.recv, 1, socket.MSG_PEEK):
            raise SandboxUnavailable(
                "the files of the earlier sandbox could not be put in place: they are more than the limits of this one "
                "allow, or the file is damaged"
            )

    def close(self) -> None:
        self.archive.close()


async def pack(engine: Engine, container: str, root: Path, archive: IO[bytes]) -> bytes:
    """Writes all that a container has changed over its image to `archive`; returns the paths to remove before."""
    changes = await engine.call("GET", f"/containers/{container}/changes") or []
    if isinstance(changes, dict):  # one line of JSON
        changes = [changes]
    kinds = {str(change["Path"]): int(change["Kind"]) for change in changes}
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


async def write_checkpoint(target: Path, backend: str, image: "Image", engine: Engine, container: str) -> None:
    """Writes a new file."""
    with target.open("xb") as file:
        file.seek(HEADER)
        removed = await pack(engine, container, image.root, file)
        facts = {"format": FORMAT, "backend": backend, "image": image.digest, "archive": file.tell() - HEADER}
        file.write(removed)
        file.seek(0)
        file.write(json.dumps(facts).encode().ljust(HEADER - 1) + b"\n")


def open_checkpoint(source: Path, backend: str, digest: str) -> Seed:
    """Opens a file that `write_checkpoint` wrote for this backend and image. Raises ConfigError for any other."""
    try:
        file = source.open("rb")
    except OSError as error:
        raise ConfigError(f"the checkpoint {source} cannot be read: {error.strerror}") from error
    try:
        facts = _header(file.read(HEADER))
        if facts is None:
            raise ConfigError(f"{source} is no checkpoint of the {backend} sandbox")
        if facts["backend"] != backend:
            raise ConfigError(f"{source} is a checkpoint of the {facts['backend']} sandbox: name that one")
        if facts["image"] != digest:
            raise ConfigError(
                f"{source} was made over image {facts['image'][:12]}, this one is {digest[:12]}: name the image it was "
                "made with"
            )
        file.seek(HEADER + int(facts["archive"]))
        removed = file.read()
        file.seek(HEADER)
    except BaseException:
        file.close()
        raise
    return Seed(file, removed)


def _header(line: bytes) -> dict[str, Any] | None:
    try:
        facts = json.loads(line)
        valid = facts["format"] == FORMAT and {"backend", "image", "archive"} <= facts.keys()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return dict(facts) if valid and len(line) == HEADER else None


def _is_ours(path: str) -> bool:
    """What the mounts of every container leave in the list."""
    return path.startswith("/run/workroom-") or path.lstrip("/") in SIZED


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
