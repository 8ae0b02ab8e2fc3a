"""Files between host and sandbox, the host's side. What a sandbox names is never trusted."""

import contextlib
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from workroom.errors import TransferError
from workroom.sandbox.base import FileEntry

DISK_ERRORS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS))  # of the host: no file can be stored


def walk_tree(top: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below a host directory as (relative name, path), sorted; links are left out."""
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(top)), path


async def save_tree(
    target: Path, files: list[tuple[str, int]], pieces: Callable[[str], AsyncIterator[bytes]], max_bytes: int
) -> list[FileEntry]:
    """Writes the `pieces(name)` of each of `files` (name, size as listed) below `target`; returns what was written.

    What cannot be read or stored, or is more than there is room for, is left out, and told in a TransferError when all
    the rest is there. Raises FileExistsError before overwriting, and OSError where the host's disk takes no more.
    """
    target.mkdir(parents=True, exist_ok=True)
    top = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    entries = []
    failed = []
    left = max_bytes
    try:
        for name, size in files:
            try:
                entry = await _save(top, name, size, pieces(name), left, max_bytes)
            except FileExistsError:
                raise
            except OSError as error:
                if error.errno in DISK_ERRORS:
                    raise
                failed.append(f"{name!r} ({error.strerror})")
                continue
            except TransferError as error:
                failed.append(f"{name!r} ({error})")
                continue
            if entry is not None:
                left -= entry.size
                entries.append(entry)
    finally:
        os.close(top)
    if failed:
        raise TransferError(f"{len(failed)} of {len(files)} files could not be brought out: {', '.join(failed[:5])}")
    return entries


async def _save(
    top: int, name: str, listed: int, pieces: AsyncIterator[bytes], left: int, max_bytes: int
) -> FileEntry | None:
    """Writes one file, whole or not at all; None where it has gone since it was listed."""
    digest, size = hashlib.sha256(), 0
    _within(left, listed, max_bytes)
    try:
        first = await anext(pieces)
    except (FileNotFoundError, NotADirectoryError):
        return None  # a background job removed it
    with _directory(top, name) as (here, last):
        file = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=here)
        try:
            with os.fdopen(file, "wb") as out:
                piece: bytes | None = first
                while piece is not None:
                    out.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    _within(left, size, max_bytes)
                    piece = await anext(pieces, None)
        except BaseException:
            os.unlink(last, dir_fd=here)
            raise
    return FileEntry(name, size, digest.hexdigest())


def _within(left: int, size: int, max_bytes: int) -> None:
    if size > left:
        raise TransferError(f"more than the {max_bytes:,} bytes that are brought out in all")


@contextlib.contextmanager
def _directory(top: int, name: str) -> Iterator[tuple[int, str]]:
    """The directory of `name` below an open one, which is made, and the last part of the name.

    Step by step, following no link, so that no name can lead anywhere else.
    """
    *folders, last = name.split("/")
    if any(part in ("", ".", "..") for part in (*folders, last)):
        raise TransferError(f"the name {name!r} leads out of the directory")
    here = os.dup(top)
    try:
        for folder in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o755, dir_fd=here)
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        yield here, last
    finally:
        os.close(here)
