"""The documents of a task: into the sandbox, or into the prompt."""

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.errors import ConfigError, TransferError
from workroom.sandbox.base import DOCUMENTS_DIR
from workroom.trajectory.reader import whole_text

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox
    from workroom.task import Task

_COUNT_LIMIT = 16 << 20  # bytes of a file whose lines are counted
_BEGINNING = 2  # lines that a small model is shown of each document
_LINE = 200  # characters of such a line


async def prepare(sandbox: "Sandbox", task: "Task") -> None:
    """Puts the task's documents into `/testbed/documents`, which the sandbox has made beforehand.

    Raises ConfigError for a document that is missing on the host or has a name that leads out of the directory,
    SandboxError where the sandbox cannot take it.
    """
    for name in task.documents:
        if posixpath.isabs(name) or ".." in name.split("/") or "\0" in name or not posixpath.basename(name):
            raise ConfigError(f"{name!r} is no name for a document: use a relative path without ..")
    for name, content in task.documents.items():
        target = posixpath.join(DOCUMENTS_DIR, name)
        try:
            if isinstance(content, str):
                await sandbox.write(target, content.encode("utf-8", "surrogatepass"))
            elif isinstance(content, bytes):
                await sandbox.write(target, content)
            else:
                _check(content)
                await sandbox.upload(content, target)
        except OSError as error:
            raise TransferError(f"the document {name} cannot be put into the sandbox: {error}") from error


def as_texts(task: "Task") -> list[tuple[str, str]]:
    """Name and text of each document, for the prompt.

    Raises ConfigError for one that is missing or holds no text.
    """
    texts = []
    for name, content in task.documents.items():
        if isinstance(content, str):
            texts.append((name, content))
            continue
        if isinstance(content, Path):
            _check(content)
        data = content.read_bytes() if isinstance(content, Path) else content
        if b"\0" in data:
            raise ConfigError(f"the document {name} is binary; a prompt can only take text, give documents as files")
        texts.append((name, data.decode("utf-8", "replace")))
    return texts


@dataclass(frozen=True, slots=True)
class Described:
    """A document as a prompt shows it: its name, its size in words, and how its text begins (for small models)."""

    name: str
    size: str
    beginning: tuple[str, ...]


def described(task: "Task") -> list[Described]:
    """Every document of the task; what is unknown or no text is left empty."""
    return [_described(name, content) for name, content in task.documents.items()]


def _described(name: str, content: str | bytes | Path) -> Described:
    try:
        if isinstance(content, str):
            data = content.encode("utf-8", "replace")
        elif isinstance(content, bytes):
            data = content
        elif (size := content.stat().st_size) > _COUNT_LIMIT:
            return Described(name, f" ({size:,} bytes)", ())
        else:
            data = content.read_bytes()
    except OSError:
        return Described(name, "", ())
    if b"\0" in data:
        return Described(name, f" ({len(data):,} bytes, binary)", ())
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    first = data[: 4 * _LINE * _BEGINNING].decode("utf-8", "replace").splitlines()[:_BEGINNING]
    beginning = tuple(whole_text(line[:_LINE]) for line in first)
    return Described(name, f" ({len(data):,} bytes, {lines:,} lines)", beginning)


def _check(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"the document {path} does not exist or is no file")
