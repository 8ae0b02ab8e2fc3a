"""Files between host and sandbox, the host's side. What a sandbox names is never trusted."""

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from workroom.errors import TransferError
from workroom.sandbox.base import FileEntry


def walk_tree(top: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below a host directory as (relative name, path), sorted; links are left out."""
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(top)), path


async def save_tree(
    target: Path, names: list[str], content: Callable[[str, int], Awaitable[bytes]], max_bytes: int
) -> list[FileEntry]:
    """Writes `content(name, bytes left)` of each name below `target` and returns what was written.

    What cannot be read or stored, or is more than there is room for, is left out, and told in a TransferError when all
    the rest is there. Raises FileExistsError before overwriting.
    """
    target.mkdir(parents=True, exist_ok=True)
    top = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    entries = []
    failed = []
    left = max_bytes
    try:
        for name in names:
            try:
                try:
                    data = await content(name, left)
                except (FileNotFoundError, NotADirectoryError):
                    continue  # a background job removed it since it was listed
                _save(top, name, data)
            except FileExistsError:
                raise
            except OSError as error:
                failed.append(f"{name!r} ({error.strerror})")
                continue
            except TransferError as error:
                failed.append(f"{name!r} ({error})")
                continue
            left -= len(data)
            entries.append(FileEntry(name, len(data), hashlib.sha256(data).hexdigest()))
    finally:
        os.close(top)
    if failed:
        raise TransferError(f"{len(failed)} of {len(names)} files could not be brought out: {', '.join(failed[:5])}")
    return entries


def _save(top: int, name: str, data: bytes) -> None:
    """Step by step from an open directory, following no link, so that no name can lead anywhere else."""
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
        fd = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=here)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    finally:
        os.close(here)
