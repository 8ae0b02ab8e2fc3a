"""A task as `run.json` keeps it, so that the run can go on or be replayed: the reference answer is left out."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.task import Task
from workroom.trajectory.reader import open_regular


def task_record(task: Task) -> dict[str, Any]:
    """The record. A document that is a file is kept as its path, size and SHA-256, one that is text as that text."""
    documents = {name: _document(content) for name, content in task.documents.items()}
    return {"id": task.id, "domain": task.domain, "prompt": task.prompt, "documents": documents}


def recorded_task(run: Mapping[str, Any], *, need_documents: bool = True) -> Task:
    """The task of a `run.json`. Raises ConfigError where it is not told, or a document is not as it was then."""
    record = run.get("task")
    if not isinstance(record, Mapping) or not isinstance(record.get("prompt"), str):
        raise ConfigError("the run does not tell its task: begin it anew")
    documents: dict[str, str | bytes | Path] = {}
    for name, entry in (record.get("documents") or {}).items():
        if "text" in entry:
            documents[name] = entry["text"]
        elif "base64" in entry:
            documents[name] = base64.b64decode(entry["base64"])
        else:
            documents[name] = path = Path(entry["path"])
            if need_documents and _digest(path) != entry["sha256"]:
                raise ConfigError(f"the document {name} is not as it was when the run began ({path}): put it back")
    return Task(
        record["prompt"],
        id=str(record.get("id", "task")),
        domain=str(record.get("domain", "general")),
        documents=documents,
    )


def _document(content: str | bytes | Path) -> dict[str, Any]:
    if isinstance(content, str):
        return {"text": content}
    if isinstance(content, bytes):
        return {"base64": base64.b64encode(content).decode()}
    size = content.stat().st_size if content.is_file() else None
    return {"path": str(content.resolve()), "size": size, "sha256": _digest(content)}


def _digest(path: Path) -> str | None:
    """The SHA-256 of a file, None where it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):  # a name with NUL is no name
        return None
