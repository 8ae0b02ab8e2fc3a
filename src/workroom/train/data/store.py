"""The tasks of a training as files, in the schema of the bench's `--data`: `train.jsonl` and so on.

`question` is the question alone; the prompts as they were asked are in `meta`, so that a training that is resumed asks
the same, whatever has become of the templates.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from workroom.bench.data import read_items
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.data.prompt import suite
from workroom.train.data.splits import NAMES, Splits
from workroom.trajectory.files import replace_file, to_json

_FOLDER = "documents"  # of those that are no text


def write(splits: Splits, directory: Path) -> None:
    """Writes a file for each split into the directory, which is made. Raises WorkroomError where that fails."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, tasks in splits.items():
        lines = [to_json(_line(task, directory)) for task in tasks]
        replace_file(directory / f"{name}.jsonl", "".join(f"{line}\n" for line in lines).encode())


def read(directory: Path) -> Splits:
    """The tasks as they were written. Raises ConfigError for a file that is missing, damaged or from elsewhere."""
    return Splits(**{name: _read(directory / f"{name}.jsonl") for name in NAMES})


def _read(path: Path) -> list[Task]:
    if path.is_file() and path.stat().st_size == 0:
        return []  # a split of no tasks
    tasks = []
    for item in read_items(path):
        task = item.task(suite())
        try:
            prompt = task.meta["training"]["prompts"]["sandbox"]
        except (LookupError, TypeError):
            raise ConfigError(f"{item.where} was not written by a training: begin it anew from its source") from None
        documents = {
            name: content.read_bytes() if isinstance(content, Path) else content
            for name, content in task.documents.items()
        }
        tasks.append(replace(task, prompt=prompt, documents=documents))
    return tasks


def _line(task: Task, directory: Path) -> dict[str, Any]:
    return {
        "id": task.id,
        "domain": task.domain,
        "question": task.meta["training"]["question"],
        "answer": task.answer,
        "choices": list(task.choices),
        "documents": [_document(name, content, directory) for name, content in task.documents.items()],
        "grader": task.grader,
        "meta": dict(task.meta),
    }


def _document(name: str, content: str | bytes | Path, directory: Path) -> dict[str, Any]:
    if isinstance(content, str):
        return {"name": name, "text": content}
    data = content.read_bytes() if isinstance(content, Path) else content
    digest = hashlib.sha256(data).hexdigest()
    (directory / _FOLDER).mkdir(exist_ok=True)
    replace_file(directory / _FOLDER / digest, data)
    return {"name": name, "file": f"{_FOLDER}/{digest}", "sha256": digest, "bytes": len(data)}
