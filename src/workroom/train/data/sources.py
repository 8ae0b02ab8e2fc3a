"""Reads the questions of a source: files of JSON lines, or a data set of the hub."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workroom.bench.data import files_of, read_items
from workroom.bench.hub import rows_of
from workroom.bench.items import Item
from workroom.bench.suite import Source
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.data import rows
from workroom.train.data.prompt import suite

_SEVERAL = re.compile(r"\(?[A-Z]\)?(?:(?:\s*[,;/&]\s*|\s+and\s+)\(?[A-Z]\)?)+\.?")
CHOICE = "mcq_letter"
MIXED = "instruct_pretrain"


@dataclass(frozen=True, slots=True)
class Entry:
    """A question before it is laid out: the task as the data have it, and where that is.

    `source`: distractors are of the same one. `kind`, `look`: of generated ones, which are laid out already, and how an
    expert finds the answer.
    """

    task: Task
    where: str
    source: str
    kind: str | None = None
    look: tuple[str, ...] = ()


def read_source(source: str, grader: str | None = None) -> list[Entry]:
    """The questions of one source, in the order of the data. `grader`: of all, in place of what the data say.

    Raises ConfigError for what cannot be read, has no answer, or is malformed.
    """
    entries = []
    for item in _hub(source) if source.startswith("hub:") else _local(source):
        fields = dict(item.fields)
        fields["grader"] = grader or fields.get("grader") or _grader(fields)
        task = replace(item, fields=fields).task(suite())
        entries.append(Entry(task, item.where, source))
    return entries


def check_ids(entries: Sequence[Entry]) -> None:
    """Raises ConfigError that names both places where two questions have one id."""
    places: dict[str, str] = {}
    for entry in entries:
        if entry.task.id in places:
            raise ConfigError(f"{entry.where}: the id {entry.task.id!r} is taken, it is in {places[entry.task.id]}")
        places[entry.task.id] = entry.where


def _grader(fields: dict[str, Any]) -> str:
    """By the kind of the answer: of a question with options, a letter or several; else mixed."""
    answer = fields.get("answer")
    several = isinstance(answer, str) and _SEVERAL.fullmatch(answer.strip()) is not None
    return CHOICE if fields.get("choices") and not several else MIXED


def _local(source: str) -> Iterator[Item]:
    place = Path(source).expanduser()
    if not place.exists():
        raise ConfigError(
            f"there is no data source {source!r}: give a file or folder of JSON lines, hub:NAME, or generated:facts"
        )
    for path in files_of(place):
        for item in read_items(path):
            row = item.fields
            several = list(rows.expanded(row))
            if several[0] is row and not rows.is_foreign(row):
                yield item
                continue
            for number, question in enumerate(several, 1):
                default = item.default_id if len(several) == 1 else f"{item.default_id}-{number}"
                yield Item(rows.fields(question, item.where), item.where, default, item.folder)


def _hub(source: str) -> Iterator[Item]:
    name, config, split = _address(source)
    found = Source("hub", name, split, "", (config,) if config else ())
    ids: set[str] = set()
    for number, row in enumerate(rows_of(found, config, "name a file in data.source")):
        where = f"{name}{f' ({config})' if config else ''}, row {number}"
        several = list(rows.expanded(row))
        for part, question in enumerate(several, 1):
            place = f"{number}" if len(several) == 1 else f"{number}-{part}"
            fields = rows.fields(question, where)
            if fields.get("id") in ids:
                del fields["id"]  # different questions under one id: the place in the data tells them apart
            default = f"{name.rpartition('/')[2]}-{place}"
            ids.add(fields.get("id", default))
            yield Item(fields, where, default)


def _address(source: str) -> tuple[str, str | None, str]:
    """Name, configuration and split of `hub:NAME[:CONFIG[:SPLIT]]`."""
    name, *rest = source.removeprefix("hub:").split(":")
    if not name or len(rest) > 2:
        raise ConfigError(
            f"the data source {source!r} is none: write hub:NAME, hub:NAME:CONFIG or hub:NAME:CONFIG:SPLIT"
        )
    config, split = [*rest, "", ""][:2]
    return name, config or None, split or "train"
