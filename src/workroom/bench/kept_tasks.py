"""The tasks of a bench as its directory keeps them: `tasks.jsonl`, and documents in files of their own."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workroom.bench.lines import read_lines
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.trajectory.files import replace_file


def task_line(suite: str, task: Task, documents: Path) -> dict[str, Any]:
    """The task in the schema of a data file, its documents in files of their own."""
    return {
        "suite": suite,
        "id": task.id,
        "domain": task.domain,
        "question": task.prompt,
        "answer": task.answer,
        "choices": list(task.choices),
        "documents": [_keep(name, content, documents) for name, content in task.documents.items()],
        "grader": task.grader,
        "meta": dict(task.meta),
    }


def read_tasks(path: Path) -> dict[str, list[Task]]:
    """The tasks of each suite. Raises ConfigError where the file is missing or damaged."""

    def task(line: Mapping[str, Any]) -> tuple[str, Task]:
        return line["suite"], Task(
            line["question"],
            id=line["id"],
            domain=line["domain"],
            documents={entry["name"]: path / "documents" / entry["file"] for entry in line["documents"]},
            answer=line["answer"],
            choices=tuple(line["choices"]),
            grader=line["grader"],
            meta=line["meta"],
        )

    place = path / "tasks.jsonl"
    if not place.is_file():
        raise ConfigError(f"{place} is missing, and with it what was asked: put it back, or begin another bench")
    tasks: dict[str, list[Task]] = {}
    for number, found in read_lines(place, task):
        if isinstance(found, Exception):
            raise ConfigError(f"{place}, line {number} is damaged ({found}): put it back, or begin another bench")
        tasks.setdefault(found[0], []).append(found[1])
    return tasks


def digest_of(content: str | bytes | Path) -> str:
    """SHA-256 of a document, which is also the name that it is kept by."""
    return hashlib.sha256(_data(content)).hexdigest()


def _keep(name: str, content: str | bytes | Path, folder: Path) -> dict[str, Any]:
    data = _data(content)
    digest = digest_of(data)
    if not (folder / digest).exists():
        replace_file(folder / digest, data)
    return {"name": name, "file": digest, "sha256": digest, "bytes": len(data)}


def _data(content: str | bytes | Path) -> bytes:
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    return content.read_bytes() if isinstance(content, Path) else content
