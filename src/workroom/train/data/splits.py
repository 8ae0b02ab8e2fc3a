"""Training, validation and test tasks, apart by document."""

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final, Generic, Protocol, TypeVar

from workroom.errors import ConfigError
from workroom.task import Task

NAMES: Final = ("train", "validation", "test")
Content = str | bytes | Path


@dataclass(frozen=True, slots=True)
class Splits:
    """The tasks of a training, each as the model gets it in the sandbox (`asked` gives the other mode's prompt)."""

    train: list[Task]
    validation: list[Task]
    test: list[Task]

    def items(self) -> list[tuple[str, list[Task]]]:
        """The name and the tasks of each split."""
        return [(name, getattr(self, name)) for name in NAMES]


class Grouped(Protocol):
    """Something with documents and a number of questions."""

    @property
    def marks(self) -> frozenset[str]:
        """What of it must not be in another split: digests of its documents."""
        ...

    @property
    def size(self) -> int:
        """The number of its questions."""
        ...


G = TypeVar("G", bound=Grouped)


@dataclass(frozen=True, slots=True)
class Taken(Generic[G]):
    """A context in a split, and how many of its questions, from the first, belong to it."""

    context: G
    count: int


def mark(content: Content) -> str | None:
    """A digest of a document that white space does not change; None for one of nothing else."""
    if isinstance(content, Path):
        content = content.read_bytes()
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest() if content.strip() else None
    text = " ".join(content.split())
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() if text else None


def components(contexts: Sequence[G]) -> list[list[G]]:
    """The contexts in sets of which no two share a document, directly or through others; in the order of the data."""
    parents: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        while parents.setdefault(node, node) != node:
            parents[node] = node = parents[parents[node]]
        return node

    for number, context in enumerate(contexts):
        for found in context.marks:
            parents[root(found)] = root(number)
    sets: dict[Hashable, list[G]] = {}
    for number, context in enumerate(contexts):
        sets.setdefault(root(number), []).append(context)
    return list(sets.values())


def assign(contexts: Sequence[G], wanted: Mapping[str, int], random: Random) -> dict[str, list[Taken[G]]]:
    """The contexts of each split, so that it has the wanted number of questions and none shares a document.

    What is over in a set of contexts of which one split needs only some is left out; sets that no split needs are dealt
    out with no question of theirs, since their documents may lie beside others. Raises ConfigError where there is too
    little for all.
    """
    sets = components(contexts)
    left = list(sets)
    random.shuffle(left)
    found: dict[str, list[Taken[G]]] = {}
    for name in reversed(NAMES):  # training has the largest sets, which would burst the others
        found[name] = []
        need = wanted[name]
        kept = []
        for group in left:
            size = sum(context.size for context in group)
            if size <= need:
                found[name] += [Taken(context, context.size) for context in group]
                need -= size
            else:
                kept.append(group)
        left = kept
        while need and left:
            smallest = min(left, key=lambda group: sum(context.size for context in group))
            left.remove(smallest)
            for context in smallest:
                found[name].append(Taken(context, min(context.size, need)))
                need -= found[name][-1].count
        if need:
            raise _too_few(sets, wanted)
    for name, group in zip(cycle(name for name in NAMES if wanted[name]), left, strict=False):
        found[name] += [Taken(context, 0) for context in group]
    return found


def _too_few(sets: Sequence[Sequence[Grouped]], wanted: Mapping[str, int]) -> ConfigError:
    questions = sum(context.size for group in sets for context in group)
    asked = ", ".join(f"{name} = {wanted[name]}" for name in NAMES)
    return ConfigError(
        f"the data have {questions} questions in {len(sets)} contexts that share no document, too few for {asked} with "
        "no document in two of them: ask for fewer, or give more data"
    )


def check_leaks(splits: Splits) -> None:
    """Raises ConfigError that names two tasks of different splits with a document, or all of a question, in common.

    White space does not count. What is asked without documents is compared by question and answer.
    """
    documents: dict[str, tuple[str, Task]] = {}
    questions: dict[tuple[str, ...], tuple[str, Task]] = {}
    marks: dict[Content, str | None] = {}  # tasks of a context have the same files
    for name, tasks in splits.items():
        for task in tasks:
            context = []
            for document, content in task.documents.items():
                if content not in marks:
                    marks[content] = mark(content)
                if found := marks[content]:
                    _compare(documents.setdefault(found, (name, task)), (name, task), f"the document {document}")
                    context.append(found)
            asked = (*(" ".join(text.split()) for text in _asked(task)), *sorted(context))
            _compare(questions.setdefault(asked, (name, task)), (name, task), "the question with its answer")


def _asked(task: Task) -> Iterable[str]:
    training = task.meta.get("training") or {}
    return training.get("question", task.prompt), task.answer or "", *task.choices


def _compare(first: tuple[str, Task], second: tuple[str, Task], what: str) -> None:
    if first[0] != second[0]:
        raise ConfigError(
            f"{what} of the task {second[1].id} ({second[0]}) is also in the task {first[1].id} ({first[0]}): no "
            "document may be in two splits; take one of them out"
        )
