"""From a section of the configuration to the tasks of a training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.config import DataSection
from workroom.train.data import generated
from workroom.train.data.layout import Document, document, files, mixed
from workroom.train.data.prompt import complete
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
        key = (entry.source, *((each.name, each.marks) for each in found)) if found else (entry.source, question)
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
    found = tuple(
        document(name, content, section.max_document, entry.where) for name, content in entry.task.documents.items()
    )
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
    tasks: list[Task] = []
    fewest = section.distractors
    pool: dict[str, list[Document]] = {}
    for entry in taken:
        pool.setdefault(entry.context.entries[0].source, []).extend(entry.context.documents)
    for number, entry in enumerate(taken):
        laid = entry.context.documents
        source, kind = entry.context.entries[0].source, entry.context.entries[0].kind
        if entry.count and len(laid) == 1 and kind is None and section.distractors:
            random = Random(f"{section.seed} {name} {number}")
            laid = tuple(mixed(laid[0], pool[source], section.distractors, section.max_documents, random))
            fewest = min(fewest, len(laid) - 1)
        tasks += _laid_out(entry, files(laid), section.examples)
    if fewest < section.distractors:
        tell(f"data: some contexts of {name} have but {fewest} distractors and not {section.distractors}")
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
