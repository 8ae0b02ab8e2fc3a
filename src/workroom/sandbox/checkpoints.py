"""Checkpoint files: HEADER bytes that say what it is, then what the backend has packed.

The header is a line of JSON, filled up with blanks: `workroom_checkpoint` (the version of this form), `backend`,
`image` (its digest), and what else the backend needs.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workroom.errors import ConfigError, SandboxUnavailable, TransferError

if TYPE_CHECKING:
    from workroom.sandbox.image import Image

HEADER = 512
VERSION = 1
INDEX = "index.json"  # of a folder of them, see journal.py


def header(backend: str, image: "Image", **facts: int) -> bytes:
    """What a checkpoint begins with."""
    head = {"workroom_checkpoint": VERSION, "backend": backend, "image": image.digest, **facts}
    return json.dumps(head).encode().ljust(HEADER - 1) + b"\n"


@contextmanager
def created(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A new file, which is on the disk after the block where `durable`. Raises SandboxUnavailable where it cannot be
    written."""
    try:
        with path.open("x+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except OSError as error:
        raise SandboxUnavailable(f"the checkpoint {path} could not be written: {error.strerror}") from error


def read_index(folder: Path) -> tuple[int, list[str], list[int]]:
    """The mark, and the names and sizes of the files of a journal. Raises TransferError where there is none."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        mark, names, sizes = index["mark"], index["files"], index["sizes"]
    except (OSError, ValueError, LookupError, TypeError):
        raise TransferError(f"{folder} holds no journal of a sandbox") from None
    if (
        type(mark) is not int
        or not (isinstance(names, list) and isinstance(sizes, list))
        or not all(map(_is_name, names))
    ):
        raise TransferError(f"the journal {folder} is damaged")
    return mark, names, sizes


def _is_name(name: object) -> bool:
    return isinstance(name, str) and "/" not in name and name not in ("", ".", "..")


def parts(path: Path) -> list[Path]:
    """The files of a checkpoint: itself, or what the journal in a folder names. Raises ConfigError."""
    if not path.is_dir():
        return [path]
    try:
        _, names, _ = read_index(path)
    except TransferError as error:
        raise ConfigError(str(error)) from error
    if not names:
        raise ConfigError(f"the journal {path} is empty")
    return [path / name for name in names]


def number(path: Path, head: dict[str, Any], key: str, least: int, most: int) -> int:
    """A number of the header. Raises ConfigError where it is none, or out of bounds."""
    value = head.get(key)
    if type(value) is not int or not least <= value <= most:
        raise ConfigError(f"the checkpoint {path} is damaged: its header has no fitting {key}")
    return value


def backend_of(path: Path) -> str:
    """The backend that wrote a checkpoint. Raises ConfigError for a file that is none."""
    with _opened(path) as (_, head):
        return str(head.get("backend"))


@contextmanager
def opened(path: Path, backend: str, image: "Image") -> Iterator[tuple[IO[bytes], dict[str, Any]]]:
    """Yields the file, positioned behind its header, and the header. Raises ConfigError where it does not fit."""
    with _opened(path) as (file, head):
        if head.get("backend") != backend:
            raise ConfigError(f"{path} is a checkpoint of the backend {head.get('backend')}, not of {backend}")
        if head.get("image") != image.digest:
            raise ConfigError(
                f"the checkpoint {path} was made over the image {str(head.get('image'))[:12]}, not over {image.name} "
                f"({image.digest[:12]}): name that one"
            )
        yield file, head


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], dict[str, Any]]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"the checkpoint {path} cannot be read: {error.strerror}") from error
    with file:
        try:
            head = json.loads(file.read(HEADER))
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("workroom_checkpoint") != VERSION:
            raise ConfigError(f"{path} is no checkpoint of a sandbox that this version of workroom can read")
        file.seek(HEADER)
        os.lseek(file.fileno(), HEADER, os.SEEK_SET)  # for those who go on by its descriptor
        yield file, head
