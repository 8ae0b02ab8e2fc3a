"""Tasks from data files: the schema, what belongs to a suite, and every mistake told with file, line and field."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workroom.bench import items
from workroom.bench.data import load_tasks, select
from workroom.bench.suite import Suite, built_in, find_suite
from workroom.errors import ConfigError
from workroom.task import Task

DATA = Path(os.environ.get("WORKROOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
GOOD: Mapping[str, Any] = {"id": "a", "domain": "biomed", "question": "Which?", "answer": "B", "choices": ["x", "y"]}


@pytest.fixture
def suite() -> Suite:
    return find_suite("biomedicine")


def write(path: Path, *lines: Mapping[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def test_a_line_becomes_a_task(tmp_path: Path, suite: Suite) -> None:
    text = "one\u2028two\u0085three\rfour"
    line = {
        **GOOD,
        "question": text,
        "documents": [{"name": "in/a.txt", "text": text}],
        "meta": {"k": 1},
        "source": "s",
    }
    [task] = load_tasks(suite, write(tmp_path / "d.jsonl", "", line, ""))
    assert task == Task(text, "a", "biomed", {"in/a.txt": text}, "B", ("x", "y"), None, {"source": "s", "k": 1})


def test_what_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl", {"question": "1+1?", "answer": 2}, {"question": "1+2?", "answer": 2.5, "id": 7}
    )
    tasks = load_tasks(find_suite("math"), path)
    assert [(task.id, task.domain, task.answer) for task in tasks] == [("mine-1", "math", "2"), ("7", "math", "2.5")]


def test_a_number_may_be_larger_than_any_float(tmp_path: Path) -> None:
    path = write(tmp_path / "large.jsonl", {"question": "10^400?", "answer": 10**400})
    [task] = load_tasks(find_suite("math"), path)
    assert task.answer == "1" + "0" * 400


def test_an_answer_may_be_the_letter_or_the_text_of_an_option(tmp_path: Path, suite: Suite) -> None:
    lines = [{**GOOD, "id": given, "answer": given} for given in ("B", "b", "(B)", "B.", "y")]
    assert [task.answer for task in load_tasks(suite, write(tmp_path / "d.jsonl", *lines))] == ["B"] * 5
    label = {**GOOD, "answer": "y", "grader": "label_x"}
    assert [task.answer for task in load_tasks(suite, write(tmp_path / "d.jsonl", label))] == ["y"]


def test_instructions_need_no_answer(tmp_path: Path, suite: Suite) -> None:
    line = {"question": "Write.", "meta": {"instruction_id_list": []}}
    path = write(tmp_path / "d.jsonl", line, {**line, "grader": "ifeval_loose"})
    assert [task.answer for task in load_tasks(find_suite("instruction_following"), path)] == [None, None]
    with pytest.raises(ConfigError, match=r"line 1: `answer` is missing, and the grader mcq_letter needs one"):
        load_tasks(suite, path)


def test_items_of_another_suite_are_left_out_and_files_take_turns(tmp_path: Path, suite: Suite) -> None:
    def ids(*names: str, **more: Any) -> list[dict[str, Any]]:
        return [{**GOOD, **more, "id": name} for name in names]

    write(tmp_path / "a" / "1.jsonl", *ids("a1", "a2", "a3"))
    write(tmp_path / "2.jsonl", *ids("b1"), *ids("m1", domain="math"), *ids("b2"))
    write(tmp_path / "c.txt", "no data")
    assert [task.id for task in load_tasks(suite, tmp_path)] == ["b1", "a1", "b2", "a2", "a3"]
    assert [task.id for task in load_tasks(suite, tmp_path / "2.jsonl")] == ["b1", "b2"]


def test_nothing_for_the_suite_is_told_with_the_domains(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", GOOD)
    with pytest.raises(ConfigError, match=r"holds nothing for the suite chemistry: .* biomed, .* chemistry, chem$"):
        load_tasks(find_suite("chemistry"), path)


def document(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "documents": [fields]}


MISTAKES: list[tuple[Mapping[str, Any] | str, str]] = [
    ("{", "line 2 is no JSON: "),
    ("[" * 100_000, "line 2 is no JSON: "),
    ("[1]", "line 2 must be a JSON object"),
    ({**GOOD, "choises": []}, "line 2: there is no field `choises`; did you mean `choices`"),
    ({**GOOD, "xyzzy": 1}, "line 2: there is no field `xyzzy`; put what is your own into `meta`"),
    ({**GOOD, "question": " "}, "line 2: `question` must be text and not empty"),
    ({"domain": "biomed", "answer": "A"}, "line 2: `question` is missing"),
    ({**GOOD, "id": 1.5}, "line 2: `id` must be text"),
    ({**GOOD, "id": True}, "line 2: `id` must be text"),
    ({**GOOD, "choices": "AB"}, "line 2: `choices` must be a list of texts"),
    ({**GOOD, "choices": ["a", 2]}, "line 2: `choices` must be a list of texts"),
    ({**GOOD, "choices": ["a"]}, "line 2: `choices` must be 2 to 26 texts, not 1"),
    ({**GOOD, "choices": ["a"] * 27}, "line 2: `choices` must be 2 to 26 texts, not 27"),
    ({**GOOD, "answer": None}, "line 2: `answer` is missing"),
    ({**GOOD, "answer": ["A"]}, "line 2: `answer` must be text or a number"),
    ({**GOOD, "answer": "C"}, "line 2: `answer` must be a letter from A to B, or the text of an option, not 'C'"),
    ({**GOOD, "answer": "z", "grader": "label_x"}, "line 2: `answer` is 'z', which is none of `choices`"),
    ({**GOOD, "grader": 1}, "line 2: `grader` must be text"),
    ({**GOOD, "meta": []}, "line 2: `meta` must be an object"),
    ({**GOOD, "id": "first"}, "line 2: the id 'first' is taken, it is in .*, line 1"),
    ({**GOOD, "documents": {"a": "b"}}, "line 2: `documents` must be a list of objects"),
    ({**GOOD, "documents": ["a"]}, "line 2: `documents` number 1 must be an object with `name`"),
    (document(name="a"), "line 2: the document 'a' must have `text` or `file`, and not both"),
    (document(name="a", text="b", file="c"), "line 2: the document 'a' must have `text` or `file`, and not both"),
    (document(name="a", text=1), "line 2: `text` of the document 'a' must be text"),
    (document(name="a", txt="b"), "line 2: the document 'a' has the unknown field `txt`"),
    (document(name="../a", text="b"), r"line 2: '\.\./a' is no name for a document"),
    (document(name="/a", text="b"), "line 2: '/a' is no name for a document"),
    (document(name="a", file="none"), "line 2: the file none of the document 'a' does not exist in "),
    (document(name="a", file="../secret"), r"line 2: the file \.\./secret of the document 'a' must lie in the folder"),
    (document(name="a", file="link"), "line 2: the file link of the document 'a' must lie in the folder"),
    (document(name="a", text="b", bytes=2), "line 2: the document 'a' has 1 bytes and not 2"),
    (document(name="a", text="b", sha256="0"), "line 2: the document 'a' is not the one whose `sha256` is given"),
    ({**GOOD, "answer": True}, "line 2: `answer` must be text or a number"),
    ({**GOOD, "answer": float("nan")}, "line 2: `answer` must be text or a number"),
    (document(name="./.", text="b"), r"line 2: '\./\.' is no name for a document"),
    (
        {**GOOD, "documents": [{"name": "a", "text": ""}, {"name": "./a", "text": ""}]},
        "line 2: two documents have the name 'a'",
    ),
    (
        {**GOOD, "documents": [{"name": "a/b/c", "text": ""}, {"name": "a", "text": ""}]},
        "line 2: the document 'a' cannot be the folder of the document 'a/b/c' as well",
    ),
    (
        {**GOOD, "documents": [{"name": "a", "text": ""}] * 2},
        "line 2: two documents have the name 'a'",
    ),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_a_mistake_is_told_with_file_line_and_field(
    tmp_path: Path, suite: Suite, line: Mapping[str, Any] | str, said: str
) -> None:
    (tmp_path / "secret").write_text("key", encoding="utf-8")
    path = write(tmp_path / "data" / "d.jsonl", {**GOOD, "id": "first"}, line)
    (path.parent / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError, match=rf"^{path}, {said}") as raised:
        load_tasks(suite, path)
    assert "\n" not in str(raised.value)


def test_a_document_can_be_a_file_that_is_checked(tmp_path: Path, suite: Suite) -> None:
    (tmp_path / "files").mkdir()
    kept = tmp_path / "files" / "x"
    kept.write_bytes(b"\x00grey")
    digest = hashlib.sha256(b"\x00grey").hexdigest()
    path = write(tmp_path / "d.jsonl", document(name="a.bin", file="files/x", sha256=digest, bytes=5))
    assert load_tasks(suite, path)[0].documents == {"a.bin": kept}
    kept.write_bytes(b"\x00gray")
    with pytest.raises(
        ConfigError, match=r"the document 'a\.bin' is not the one whose `sha256` is given; get the data"
    ):
        load_tasks(suite, path)


def test_a_document_that_is_too_large_is_refused(tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "DOCUMENT_LIMIT", 1 << 20)
    (tmp_path / "x").write_bytes(bytes((1 << 20) + 1))
    for fields in ({"file": "x"}, {"text": "ä" * (1 << 19) + "x"}):
        path = write(tmp_path / "d.jsonl", document(name="a", **fields))
        with pytest.raises(ConfigError, match=r"line 1: the document 'a' has 1\.0 MiB; the most is 1 MiB, split it"):
            load_tasks(suite, path)


@pytest.mark.parametrize(("content", "said"), [(b"", "there is no data in"), (b" \n\n", "no data"), (b"\xff", "UTF-8")])
def test_a_file_without_data(tmp_path: Path, suite: Suite, content: bytes, said: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_tasks(suite, tmp_path / "d.jsonl")


def test_no_data_at_all(tmp_path: Path, suite: Suite) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_tasks(suite, tmp_path / "d.jsonl")
    with pytest.raises(ConfigError, match=r"no data in .*: it holds no \*\.jsonl"):
        load_tasks(suite, tmp_path)
    with pytest.raises(ConfigError, match="--data or a source with --source, not both"):
        load_tasks(suite, tmp_path, "paper")


def test_select() -> None:
    tasks = [Task("q", id=str(number)) for number in range(100)]

    def ids(limit: int | None = None, ids: tuple[str, ...] = (), seed: int | None = None) -> list[str]:
        return [task.id for task in select(tasks, limit, ids, seed)]

    assert ids(3) == ["0", "1", "2"]
    assert ids(None, ("9", "3", "9")) == ["9", "3"]
    assert ids(10, seed=1) == ids(10, seed=1) != ids(10, seed=2)
    assert ids(20, seed=1)[:10] == ids(10, seed=1)
    assert sorted(ids(seed=1), key=int) == ids()
    with pytest.raises(ConfigError, match="no task x, y; an id of this data is 0"):
        ids(None, ("x", "3", "y"))
    with pytest.raises(ConfigError, match="at least 1"):
        ids(0)


@pytest.mark.parametrize("name", built_in())
def test_the_shared_data_load_whole(name: str) -> None:
    if not DATA.is_dir():
        pytest.skip(f"the shared data are not in {DATA} (WORKROOM_DATA)")
    suite = find_suite(name)
    tasks = load_tasks(suite, DATA)
    lines = [line for path in DATA.rglob("*.jsonl") for line in path.read_bytes().split(b"\n") if line]
    assert len(tasks) == sum(json.loads(line)["domain"] in suite.domains for line in lines)
    assert {task.domain for task in tasks} <= set(suite.domains)
    assert all(suite.prompt(task, "sandbox") and suite.prompt(task, "llm") for task in tasks)
    first = {task.id.rstrip("0123456789abcdef-") for task in select(tasks, 8)}
    assert len(first) > 1  # of several files
