"""The documents of a task: into the sandbox, or into the prompt."""

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.errors import ConfigError, TransferError
from workroom.sandbox.base import DOCUMENTS_DIR

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox
    from workroom.task import Task

_COUNT_LIMIT = 16 << 20  # bytes of a file whose lines are counted


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
            else:
                _check(content)
                await sandbox.upload(content, target)
        except OSError as error:
            raise TransferError(f"the document {name} cannot be put into the sandbox: {error}") from error


def as_texts(task: "Task") -> list[tuple[str, str]]:
    """Name and text of each document, for the prompt of `llm` mode.

    Raises ConfigError for one that is missing or holds no text, since a model without a computer cannot read it.
    """
    texts = []
    for name, content in task.documents.items():
        if isinstance(content, Path):
            _check(content)
            data = content.read_bytes()
            if b"\0" in data:
                raise ConfigError(f"the document {name} is binary; `llm` mode can only take text, use `sandbox` mode")
            texts.append((name, data.decode("utf-8", "replace")))
        else:
            texts.append((name, content))
    return texts


def described(task: "Task") -> list[tuple[str, str]]:
    """Name of each document, and its size in bytes and lines as the prompt shows them (empty where unknown)."""
    return [(name, _facts(content)) for name, content in task.documents.items()]


def _facts(content: str | Path) -> str:
    try:
        if isinstance(content, str):
            data = content.encode("utf-8", "replace")
        elif content.stat().st_size > _COUNT_LIMIT:
            return f" ({content.stat().st_size:,} bytes)"
        else:
            data = content.read_bytes()
    except OSError:
        return ""
    if b"\0" in data:
        return f" ({len(data):,} bytes, binary)"
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    return f" ({len(data):,} bytes, {lines:,} lines)"


def _check(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"the document {path} does not exist or is no file")
