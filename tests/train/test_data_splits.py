"""No document in two splits, whatever the data are, and files that hold what the documents hold."""

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.data import Splits, check_leaks
from workroom.train.data.layout import Document, document, files, mixed
from workroom.train.data.splits import NAMES, Taken, assign, components

texts = st.text(st.sampled_from("ab \n\u2028é"), max_size=40)


@dataclass(frozen=True)
class Group:
    """A context of which only the marks and the number of questions count."""

    number: int
    marks: frozenset[str]
    size: int


@st.composite
def contexts(draw: st.DrawFn) -> list[Group]:
    marks = st.frozensets(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=3)
    drawn = draw(st.lists(st.tuples(marks, st.integers(1, 6)), min_size=1, max_size=20))
    return [Group(number, found, size) for number, (found, size) in enumerate(drawn)]


@settings(max_examples=60)
@given(contexts(), st.integers(0, 9))
def test_splits_share_no_document_and_are_as_large_as_wanted(groups: list[Group], seed: int) -> None:
    wanted = {"train": 5, "validation": 2, "test": 3}
    failure = ""
    found: dict[str, list[Taken[Group]]] = {}
    try:
        found = assign(groups, wanted, Random(seed))
    except ConfigError as error:
        failure = str(error)
    if failure:
        sets = len(components(groups))
        total = sum(group.size for group in groups)
        assert f"{total} questions in {sets} contexts" in failure
        largest = max(sum(group.size for group in one) for one in components(groups))
        assert total < 10 + 3 * largest or sets < 3  # there was no room to choose
        return
    places: dict[str, str] = {}
    for name, taken in found.items():
        assert sum(entry.count for entry in taken) == wanted[name]
        assert all(0 <= entry.count <= entry.context.size for entry in taken)
        for entry in taken:
            for mark in entry.context.marks:
                assert places.setdefault(mark, name) == name
    used = Counter(entry.context.number for taken in found.values() for entry in taken)
    assert used == Counter(range(len(groups)))  # each is in one split, if with no question
    assert assign(groups, wanted, Random(seed)) == found


@settings(max_examples=40)
@given(contexts())
def test_components_are_apart_and_whole(groups: list[Group]) -> None:
    sets = components(groups)
    assert sorted(group.number for one in sets for group in one) == list(range(len(groups)))
    marks = [frozenset().union(*(group.marks for group in one)) for one in sets]
    assert sum(map(len, marks)) == len(frozenset().union(*marks))


def test_an_empty_split_and_one_that_cannot_be() -> None:
    groups = [Group(number, frozenset({str(number)}), 2) for number in range(3)]
    found = assign(groups, {"train": 6, "validation": 0, "test": 0}, Random(0))
    assert [len(found[name]) for name in NAMES] == [3, 0, 0]
    with pytest.raises(
        ConfigError,
        match="6 questions in 3 contexts that share no document, too few for train = 5, validation = 1, test = 1",
    ):
        assign(groups, {"train": 5, "validation": 1, "test": 1}, Random(0))


def task(name: str, question: str = "Which?", answer: str = "x", **documents: str) -> Task:
    return Task(question, id=name, answer=answer, documents={f"{key}.txt": text for key, text in documents.items()})


def test_a_document_in_two_splits_is_told_with_both_tasks() -> None:
    one, other = task("one", a="The tower\nis  old."), task("other", "What?", b="new", c="The tower is old.\n")
    with pytest.raises(ConfigError, match=r"the document c.txt of the task other \(test\) .* the task one \(train\)"):
        check_leaks(Splits([one], [], [other]))
    check_leaks(Splits([one, other], [], [task("third", a="", b=" \n", c="newer")]))


def test_a_question_in_two_splits_is_told() -> None:
    one, other = task("one", "1 + 1 ?"), task("other", "1 +\n1 ?")
    with pytest.raises(ConfigError, match=r"the question with its answer of the task other \(validation\)"):
        check_leaks(Splits([one], [other], []))
    check_leaks(Splits([one], [task("other", "1 + 1 ?", "y")], []))


@settings(max_examples=60)
@given(texts, st.integers(1, 45))
def test_parts_hold_the_text_and_end_at_lines(text: str, limit: int) -> None:
    longest = max((len(line) + 1 for line in text.split("\n")), default=0)
    if longest > limit + 1:
        with pytest.raises(ConfigError, match=r"^here: the document 'a.txt' cannot be split, its line \d"):
            document("a.txt", text, limit, "here")
        return
    try:
        parts = document("a.txt", text, limit, "here").parts
    except ConfigError:
        assert longest == limit + 1  # with its line feed it is too long
        return
    assert "".join(map(str, parts)) == text
    assert all(len(part) <= limit for part in parts)
    assert all(str(part).endswith("\n") for part in parts[:-1])


@settings(max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=70), min_size=1, max_size=8))
def test_names_are_safe_and_none_is_lost(names: list[str]) -> None:
    found = files([Document(name, (f"{number} 1", f"{number} 2"), frozenset()) for number, name in enumerate(names)])
    assert sorted(map(str, found.values())) == sorted(f"{n} {part}" for n in range(len(names)) for part in (1, 2))
    assert len({name.casefold() for name in found}) == len(found)
    for name in found:
        assert not set(name) & set("/\\ \0\n'\"$*?[]&;|<>()`")
        assert name[0] not in ".-"
        assert len(name.encode()) <= 255


def test_names_of_parts_and_names_that_are_alike() -> None:
    def named(name: str, *parts: str) -> Document:
        return Document(name, parts, frozenset())

    documents = [
        named("in/Table.csv", "1", "2"),
        named("in_table.csv", "3"),
        named("../b c.txt", "4"),
        named("..", "5"),
    ]
    assert files(documents) == {
        "in_Table-1.part-1.csv": "1",
        "in_Table-1.part-2.csv": "2",
        "in_table-2.csv": "3",
        "b_c.txt": "4",
        "document": "5",
    }


def test_distractors_never_hold_the_own_document() -> None:
    own = document("own.txt", "The tower is old.", 100, "")
    whole = document("w.txt", "Much more. The tower\nis old. And more.", 100, "")
    part, same = document("p.txt", "tower is", 100, ""), document("s.txt", "The  tower is old.", 100, "")
    others = [document(f"{n}.txt", f"line {n}\n" * 20, 80, "") for n in range(5)]
    assert all(len(other.parts) == 2 for other in others)
    for seed in range(20):
        found = mixed(own, [whole, part, same, own, *others, *others], 3, 100, Random(seed))
        assert own in found
        assert len({entry.name for entry in found}) == 4
        assert not {entry.name for entry in found} & {"w.txt", "p.txt", "s.txt"}
    assert {mixed(own, others, 3, 100, Random(seed)).index(own) for seed in range(30)} == {0, 1, 2, 3}
    assert len(mixed(own, others, 3, 4, Random(0))) == 2  # four files are the most, and each has two parts
    assert len(mixed(own, others, 9, 100, Random(0))) == 6
