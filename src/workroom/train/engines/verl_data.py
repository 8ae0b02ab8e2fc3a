"""What verl is given to train on: a row of Parquet for each task, with all that its agent loop needs.

verl hands every column of a row to the loop. The task goes as JSON text, so that a machine that runs episodes needs no
file of it; the prompt of the row is a stand-in, since the loop renders its own.
"""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.data import asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workroom.train.data import Splits

AGENT: Final = "workroom"  # the name of the agent loop
SOURCE: Final = "workroom"  # verl reports what was validated by source: one for each mode
Mode = Literal["sandbox", "llm"]


def write_data(splits: "Splits", directory: Path, modes: "Sequence[Mode]" = ("sandbox", "llm")) -> tuple[Path, Path]:
    """Writes `train.parquet` and `validation.parquet` into the directory, which is made; the latter has a row for each
    task and mode, or one of a training task where nothing is to be validated: verl wants a file that is not empty.

    Raises ConfigError where there is nothing to train on.
    """
    if not splits.train:
        raise ConfigError("there is no task to train on: data.train must be at least 1")
    directory.mkdir(parents=True, exist_ok=True)
    train, validation = directory / "train.parquet", directory / "validation.parquet"
    _write([_row(task, "sandbox", index) for index, task in enumerate(splits.train)], train)
    held_out = [(task, mode) for mode in modes for task in splits.validation] or [(splits.train[0], "sandbox")]
    _write([_row(task, mode, index) for index, (task, mode) in enumerate(held_out)], validation)
    return train, validation


def to_json(task: Task) -> str:
    """The task with its documents and its answer. Documents that are files are read: UnicodeError is no matter, their
    bytes are kept. Raises OSError for one that is not there."""
    fields = {
        "id": task.id,
        "domain": task.domain,
        "prompt": task.prompt,
        "documents": {name: _document(content) for name, content in task.documents.items()},
        "answer": task.answer,
        "choices": list(task.choices),
        "grader": task.grader,
        "meta": dict(task.meta),
    }
    return json.dumps(fields, ensure_ascii=True)  # lone surrogates survive as escapes


def from_json(text: str) -> Task:
    """The task that `to_json` wrote."""
    fields = json.loads(text)
    documents = {
        name: entry["text"] if "text" in entry else base64.b64decode(entry["base64"])
        for name, entry in fields["documents"].items()
    }
    return Task(**fields | {"documents": documents, "choices": tuple(fields["choices"])})


def _document(content: str | bytes | Path) -> dict[str, str]:
    if isinstance(content, str):
        return {"text": content}
    data = content.read_bytes() if isinstance(content, Path) else content
    return {"base64": base64.b64encode(data).decode()}


def _row(task: Task, mode: Mode, index: int) -> dict[str, Any]:
    """`index` tells verl's rollouts of one task from those of another."""
    task = asked(task, mode)
    # The prompts of both modes are in there: one is chosen, and the documents are large enough.
    task = replace(task, meta={name: value for name, value in task.meta.items() if name != "training"})
    return {
        "data_source": f"{SOURCE}-{mode}",
        "agent_name": AGENT,
        "prompt": [{"role": "user", "content": task.id}],
        "task": to_json(task),
        "mode": mode,
        "reward_model": {"style": "rule", "ground_truth": task.answer or ""},
        "extra_info": {"index": index},
    }


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
