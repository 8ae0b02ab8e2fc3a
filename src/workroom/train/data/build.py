"""From a section of the configuration to the tasks of a training."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from workroom.bench.graders import check
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.config import DataSection
from workroom.train.data import generated
from workroom.train.data.layout import Document, document, files, mixed
from workroom.train.data.prompt import complete, suite
from workroom.train.data.sources import Entry, check_ids, read_source
from workroom.train.data.splits import NAMES, Splits, Taken, assign, check_leaks, mark

_GENERATED: Final = "generated:"


@dataclass(frozen=True, slots=True)
class _Context:
    """Documents, and all questions on them in the order of the data."""

    documents: tuple[Document, ...]
    entries: tuple[Entry, ...]
    marks: frozenset[str]

    @property
    def size(self) -> int:
        return len(self.entries)

    @property
    def source(self) -> str:
        return self.entries[0].source

    @property
    def is_generated(self) -> bool:
        return self.entries[0].kind is not None


def build(section: DataSection, *, tell: Callable[[str], None]) -> Splits:
    """The tasks, the same for the same section and data. `tell` is told what was found and left out.

    Raises ConfigError for data without answers, documents over the limits, ids that are taken, too few contexts, and
    documents in two splits.
    """
    wanted = {name: getattr(section, name) for name in NAMES}
    entries: list[Entry] = []
    for source in [section.source] if isinstance(section.source, str) else section.source:
        if source.startswith(_GENERATED):
            entries += generated.entries(source, sum(wanted.values()), section)
        else:
            entries += read_source(source, section.grader)
    check_ids(entries)
    check(suite(), [entry.task for entry in entries])
    contexts = _contexts(entries, section, tell)
    assigned = assign(contexts, wanted, Random(f"{section.seed} splits"))
    splits = Splits(**{name: _tasks(name, assigned[name], section, tell) for name in NAMES})
    check_leaks(splits)
    questions = sum(context.size for context in contexts)
    parts = [f"{len(tasks)} for {name} on {_used(assigned[name])} contexts" for name, tasks in splits.items()]
    tell(f"data: {questions} questions on {len(contexts)} contexts; {', '.join(parts)}")
    return splits


def _used(taken: Sequence[Taken[_Context]]) -> int:
    return sum(entry.count > 0 for entry in taken)


def _contexts(entries: Sequence[Entry], section: DataSection, tell: Callable[[str], None]) -> list[_Context]:
    """Questions with the same documents together. Those that are there twice count once."""
    documents: dict[tuple[object, ...], tuple[Document, ...]] = {}
    groups: dict[tuple[object, ...], dict[tuple[object, ...], Entry]] = {}
    for entry in entries:
        found = _documents(entry, section)
        question = mark(entry.task.prompt) or ""
        key: tuple[object, ...] = (entry.source, *((each.name, each.marks) for each in found))
        if not found:
            key = (entry.source, question)
        documents.setdefault(key, found)
        groups.setdefault(key, {}).setdefault((question, entry.task.answer, entry.task.choices), entry)
    kept = sum(map(len, groups.values()))
    if kept < len(entries):
        tell(f"data: {len(entries) - kept} questions are left out, since each is there twice")
    contexts = []
    for key, group in groups.items():
        marks = frozenset().union(*(each.marks for each in documents[key])) or frozenset({str(key[-1])})
        contexts.append(_Context(documents[key], tuple(group.values()), marks))
    return contexts


def _documents(entry: Entry, section: DataSection) -> tuple[Document, ...]:
    given = entry.task.documents
    limit = section.max_document if entry.kind is None else sys.maxsize  # an expert knows the files of generated ones
    found = tuple(document(name, content, limit, entry.where) for name, content in given.items())
    count = sum(len(each.parts) for each in found)
    if count > section.max_documents:
        parts = f" of at most {section.max_document:,} characters" if count > len(found) else ""
        raise ConfigError(
            f"{entry.where}: the task {entry.task.id} has {count} files{parts}, more than `max_documents` = "
            f"{section.max_documents}: raise it, or leave the task out"
        )
    return found


def _tasks(
    name: str, taken: Sequence[Taken[_Context]], section: DataSection, tell: Callable[[str], None]
) -> list[Task]:
    """The tasks of a split, in a drawn order."""
    pools: dict[str, dict[frozenset[str], Document]] = {}
    for entry in taken:
        pool = pools.setdefault(entry.context.source, {})
        pool.update((each.marks, each) for each in entry.context.documents)
    others = {source: list(pool.values()) for source, pool in pools.items()}
    tasks: list[Task] = []
    fewest = section.distractors
    for number, entry in enumerate(taken):
        context, laid = entry.context, entry.context.documents
        if entry.count and len(laid) == 1 and not context.is_generated:
            random = Random(f"{section.seed} {name} {number}")
            laid = tuple(mixed(laid[0], others[context.source], section.distractors, section.max_documents, random))
            fewest = min(fewest, len(laid) - 1)
        tasks += _laid_out(entry, files(laid), section.examples)
    if fewest < section.distractors:
        tell(f"data: some contexts of {name} have only {fewest} distractors, not {section.distractors}")
    Random(f"{section.seed} {name}").shuffle(tasks)
    return tasks


def _laid_out(taken: Taken[_Context], documents: dict[str, str | bytes], examples: int) -> list[Task]:
    context = mark(" ".join(sorted(taken.context.marks))) or ""
    tasks = []
    for number, entry in enumerate(taken.context.entries[: taken.count]):
        earlier = [other.task for other in taken.context.entries[max(0, number - examples) : number]]
        more: dict[str, object] = {"context": context[:16]}
        if entry.kind is not None:
            more |= {"kind": entry.kind, "look": list(entry.look)}
        tasks.append(complete(replace(entry.task, documents=documents), earlier, more))
    return tasks
