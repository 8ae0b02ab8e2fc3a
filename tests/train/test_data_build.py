"""Tasks from data: what was there is kept, what is wrong is told before anything starts."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workroom.bench.data import load_tasks
from workroom.bench.suite import find_suite
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.config import DataSection
from workroom.train.data import Splits, asked, build, check_leaks, read, suite, write

DATA = Path(os.environ.get("WORKROOM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "context_qa"
SMALL = {"train": 2, "validation": 1, "test": 1}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the data are missing: WORKROOM_DATA names their folder")


def made(source: object, **settings: object) -> Splits:
    return build(DataSection.model_validate({"source": source, **SMALL, **settings}), tell=lambda _: None)


def lines(path: Path, *rows: Mapping[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"t{n}", "question": f"What is {n}?", "answer": f"number {n}",
         "documents": [{"name": "table.csv", "text": f"row {n}\n"}], **more}
        for n in range(count)
    ]  # fmt: skip


def all_tasks(splits: Splits) -> list[Task]:
    return [task for _, tasks in splits.items() for task in tasks]


@needs_data
def test_tables_get_distractors_and_worked_examples() -> None:
    told: list[str] = []
    section = DataSection(
        source=str(DATA / "wikitablequestions_train.jsonl"), train=60, validation=10, test=10, examples=2
    )
    splits = build(section, tell=told.append)
    assert [len(tasks) for _, tasks in splits.items()] == [60, 10, 10]
    assert told[-1].startswith("data: 605 questions on 110 contexts; 60 for train on ")
    original = {task.id: task for task in load_tasks(find_suite("context_qa"), Path(section.source))}  # type: ignore[arg-type]
    places = set()
    for task in all_tasks(splits):
        source = original[task.id]
        [own] = source.documents.values()
        assert sorted(task.documents) == [f"table-{n}.csv" for n in (1, 2, 3, 4)]
        contents = list(task.documents.values())
        assert contents.count(own) == 1
        places.add(contents.index(own))
        assert (task.answer, task.grader, task.meta["answers"]) == (source.answer, "qa_em_f1", source.meta["answers"])
        assert source.prompt in task.prompt
        for example in task.meta["training"]["examples"]:
            assert f"Question: {example['question']}\nAnswer: {example['answer']}\n" in task.prompt
            assert example["question"] != source.prompt
    assert len(places) > 2
    assert {len(task.meta["training"]["examples"]) for task in all_tasks(splits)} == {0, 1, 2}
    assert "Answer: ..." in asked(splits.test[0], "llm").prompt


@needs_data
def test_several_documents_are_kept_apart_and_long_ones_split() -> None:
    source = str(DATA / "hotpotqa_dev.jsonl")
    splits = made(source, train=30, validation=8, test=8)
    original = {task.id: task for task in load_tasks(find_suite("context_qa"), Path(source))}
    for task in all_tasks(splits):
        assert list(map(str, task.documents.values())) == list(map(str, original[task.id].documents.values()))
    tables = str(DATA / "wikitablequestions_train.jsonl")
    originals = {str(*task.documents.values()) for task in load_tasks(find_suite("context_qa"), Path(tables))}
    parted = [
        task for task in made(tables, train=100, distractors=0, max_document=1500).train if len(task.documents) > 1
    ]
    assert parted
    for task in parted:
        assert list(task.documents) == [f"table.part-{n}.csv" for n in range(1, len(task.documents) + 1)]
        assert all(len(str(part)) <= 1500 for part in task.documents.values())
        assert "".join(map(str, task.documents.values())) in originals
    first = json.loads(Path(source).read_text(encoding="utf-8").partition("\n")[0])
    with pytest.raises(ConfigError, match=r"line 2: the document '04_.*' cannot be split, its line 3 has 2,657 char"):
        made(source, max_document=1000)
    with pytest.raises(ConfigError, match=rf"the task {first['id']} has \d+ files, more than `max_documents` = 3"):
        made(source, max_documents=3)


@needs_data
def test_too_few_contexts_are_counted() -> None:
    with pytest.raises(ConfigError, match=r"50 questions in 22 contexts .* too few for train = 40, validation = 8"):
        made(str(DATA / "xquad_en.jsonl"), train=40, validation=8, test=8)


def test_the_same_again_and_kept_to_the_letter(tmp_path: Path) -> None:
    odd = [{"name": "odd.txt", "text": "one\u2028two\ud800\r\n"}, {"name": "raw.bin", "file": "raw.bin"}]
    (tmp_path / "raw.bin").write_bytes(b"\0\xff")
    source = lines(tmp_path / "data.jsonl", *rows(8), {**rows(1)[0], "id": "odd", "documents": odd})
    splits = made(source, train=5, validation=4, test=0, seed=3)
    assert splits == made(source, train=5, validation=4, test=0, seed=3)
    assert splits != made(source, train=5, validation=4, test=0, seed=4)
    assert b"\0\xff" in [content for task in all_tasks(splits) for content in task.documents.values()]
    write(splits, tmp_path / "kept")
    (tmp_path / "raw.bin").unlink()
    assert read(tmp_path / "kept") == splits
    again = load_tasks(suite(), tmp_path / "kept" / "train.jsonl")  # the schema of the bench
    assert [task.prompt for task in again] == [task.meta["training"]["question"] for task in splits.train]
    (tmp_path / "kept" / "test.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"the data file .*test.jsonl cannot be read: No such file"):
        read(tmp_path / "kept")
    lines(tmp_path / "kept" / "test.jsonl", *rows(1))
    with pytest.raises(ConfigError, match=r"test.jsonl, line 1 was not written by a training"):
        read(tmp_path / "kept")


def test_rows_of_the_authors(tmp_path: Path) -> None:
    def row(number: int, answer: str, files: Any) -> dict[str, Any]:
        return {
            "id": f"a{number}", "domain": "instruct_pretrain", "problem_statement": f"Which {number}?",
            "ground_truth": answer, "input_files": files, "qa_type": "open",
        }  # fmt: skip

    answers = ("B", "A, C", "about seven words", "12")
    files = [{"a.txt": "one"}, json.dumps({"b.txt": "two", "c.txt": "three"}), {"d.txt": "four"}, {"e.txt": "five"}]
    source = lines(tmp_path / "d.jsonl", *(row(n, *pair) for n, pair in enumerate(zip(answers, files, strict=True))))
    found = {task.id: task for task in all_tasks(made(source, distractors=0))}
    assert [found[f"a{n}"].answer for n in range(4)] == list(answers)
    assert found["a1"].documents == {"b.txt": "two", "c.txt": "three"}
    assert {task.grader for task in found.values()} == {"instruct_pretrain"}
    assert {task.domain for task in found.values()} == {"instruct_pretrain"}
    assert found["a0"].meta["qa_type"] == "open"
    assert "\nWhich 0?\n" in found["a0"].prompt
    with pytest.raises(ConfigError, match="line 1 has no column for the answer"):
        made(lines(tmp_path / "e.jsonl", {**row(1, "", "x"), "ground_truth": None}))


def test_rows_as_other_sets_have_them(tmp_path: Path) -> None:
    squad = {"context": "It is grey.", "question": "Which?", "answers": {"text": ["grey", "gray"], "answer_start": [6]}}
    race = {"article": "It is old.", "question": "How?", "options": ["new", "old"], "answer": "B", "level": 3}
    arc = {"question": "Why?", "choices": {"text": ["so", "not"], "label": ["A", "B"]}, "answerKey": "A"}
    splits = made(lines(tmp_path / "d.jsonl", squad, race, arc), train=3, validation=0, test=0, distractors=0)
    found = {task.id: task for task in splits.train}
    assert (found["d-1"].answer, found["d-1"].meta["answers"]) == ("grey", ["grey", "gray"])
    assert found["d-1"].documents == {"document.txt": "It is grey."}
    assert (found["d-2"].choices, found["d-2"].answer, found["d-2"].meta["level"]) == (("new", "old"), "B", 3)
    assert (found["d-3"].choices, found["d-3"].answer, found["d-3"].documents) == (("so", "not"), "A", {})
    with pytest.raises(ConfigError, match=r"line 1: there is no field `chioces`; did you mean `choices`?"):
        made(lines(tmp_path / "e.jsonl", {**rows(1)[0], "chioces": ["a", "b"]}))


def test_a_context_with_a_list_of_questions(tmp_path: Path) -> None:
    def row(name: str) -> dict[str, Any]:
        return {"context": f"The {name} is old.", "QA_list": [{"Q": f"{n} {name}?", "A": f"{n}"} for n in range(3)]}

    source = lines(tmp_path / "d.jsonl", *map(row, ("tower", "mill", "barn")))
    splits = made(source, train=3, validation=3, test=3, distractors=0, examples=1)
    for tasks in (splits.train, splits.validation, splits.test):
        assert len({str(task.documents) for task in tasks}) == 1
    found = {task.id: task for task in all_tasks(splits)}
    assert found["d-2-3"].documents == {"document.txt": "The mill is old."}
    assert found["d-2-3"].meta["training"]["examples"] == [{"question": "1 mill?", "options": [], "answer": "1"}]


def test_options_choose_the_grader_unless_the_data_or_the_section_do(tmp_path: Path) -> None:
    choices = {"choices": ["old", "new", "red"]}
    one, two, three, four = rows(4)
    data = [
        {**one, **choices, "answer": "new"},
        {**two, **choices, "answer": "A, C"},
        {**three, "grader": "exact"},
        four,
    ]
    source = lines(tmp_path / "d.jsonl", *data)
    found = {task.id: task for task in all_tasks(made(source))}
    graders = ["mcq_letter", "instruct_pretrain", "exact", "instruct_pretrain"]
    assert [found[f"t{n}"].grader for n in range(4)] == graders
    assert found["t0"].answer == "B"
    assert "\n\nWhat is 0?\n\nA. old\nB. new\nC. red\n\nThe answer is the letter" in found["t0"].prompt
    assert {task.grader for task in all_tasks(made(source, grader="qa_em_f1"))} == {"qa_em_f1"}
    with pytest.raises(ConfigError, match="names the grader 'exactly', which is none of"):
        made(source, grader="exactly")


def test_a_data_set_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub").mkdir()
    data = [
        {"context": f"It is {n}.", "QA_list": [{"Q": "Is it?", "A": f"{n}"}, {"Q": "Why?", "A": f"x{n}"}]}
        for n in range(3)
    ]
    lines(tmp_path / "hub" / "train.jsonl", *data)
    card = "configs:\n- config_name: pairs\n  data_files:\n  - split: train\n    path: train.jsonl\n"
    (tmp_path / "hub" / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")
    found = {task.id: task for task in all_tasks(made("hub:hub:pairs", train=2, validation=2, test=2, distractors=0))}
    assert (found["hub-2-1"].documents, found["hub-2-1"].answer) == ({"document.txt": "It is 2."}, "2")
    assert len(found) == 6
    with pytest.raises(ConfigError, match="the data source 'hub:a:b:c:d' is none: write hub:NAME"):
        made("hub:a:b:c:d")
    with pytest.raises(ConfigError, match="the data set missing cannot be had from the hub"):
        made("hub:missing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": None}, r"line 1: `answer` is missing, and the grader instruct_pretrain needs one"),
        ({"id": "t1"}, r"line 2: the id 't1' is taken, it is in .*data.jsonl, line 1"),
        ({"documents": [{"name": "a.txt", "text": "x" * 30_000}]}, r"its line 1 has 30,000 characters: raise `max_doc"),
        ({"documents": [{"name": f"{n}.txt", "text": "x"} for n in range(101)]}, r"101 files, more than `max_docum"),
        ({"documents": [{"name": "a.txt", "text": "x\n" * 20_000}], "id": "t"}, None),
    ],
)
def test_bad_data_are_told(tmp_path: Path, change: dict[str, Any], message: str | None) -> None:
    data = rows(4)
    source = lines(tmp_path / "data.jsonl", {**data[0], **change}, *data[1:])
    if message is None:
        assert (
            max(len(task.documents) for task in made(source, train=4, validation=0, test=0, distractors=1).train) == 3
        )
        return
    with pytest.raises(ConfigError, match=message):
        made(source)


def test_what_is_there_twice_counts_once_and_sources_are_mixed(tmp_path: Path) -> None:
    told: list[str] = []
    data = rows(5)
    source = lines(tmp_path / "d.jsonl", *data, {**data[0], "id": "again", "question": " What is  0?"})
    section = DataSection(
        source=[source, "generated:lookup", "generated:facts"], max_document=9, train=8, validation=2, test=3
    )
    splits = build(section, tell=told.append)
    assert told[0] == "data: 1 questions are left out, since each is there twice"
    for task in all_tasks(splits):
        generated = "kind" in task.meta["training"]
        assert not any(("row" in str(content)) == generated for content in task.documents.values())
    with pytest.raises(ConfigError, match=r"there is no data source 'none.jsonl': give a file or folder of JSON lines"):
        made("none.jsonl")


def test_questions_without_documents_are_kept_apart_too(tmp_path: Path) -> None:
    data = [{"id": f"t{n}", "question": f"What is {n % 4} + 1?", "answer": f"{n % 4 + 1}"} for n in range(8)]
    splits = made(lines(tmp_path / "d.jsonl", *data))
    check_leaks(splits)
    assert len({task.prompt for task in all_tasks(splits)}) == 4
    assert "document" not in splits.train[0].prompt
