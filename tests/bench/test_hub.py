"""Data sets of the hub, from folders in its layout. Nothing here reaches the network."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from workroom.bench.data import load_tasks
from workroom.bench.hub_documents import documents_of
from workroom.bench.suite import Suite, find_suite
from workroom.errors import ConfigError
from workroom.task import Task


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def hub(tmp_path: Path, rows: Sequence[Mapping[str, Any]], config: str = "default", split: str = "test") -> Path:
    """A data set as the hub has it: a card with its configurations, and JSONL."""
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # it tells data sets apart by the second of their change
    folder = tmp_path / "hub"
    folder.mkdir(exist_ok=True)
    (folder / f"{config}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    configs = "".join(
        f"- config_name: {path.stem}\n  data_files:\n  - split: {split}\n    path: {path.name}\n"
        for path in sorted(folder.glob("*.jsonl"))
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    return folder


def load(tmp_path: Path, fields: str, *, grader: str = "exact", more: str = "") -> list[Task]:
    return load_tasks(suite(tmp_path, fields, grader, more))


def suite(tmp_path: Path, fields: str, grader: str, more: str) -> Suite:
    mine = tmp_path / "mine"
    mine.mkdir(exist_ok=True)
    for name in ("sandbox.j2", "llm.j2"):
        (mine / name).write_text("{{ question }}", encoding="utf-8")
    (mine / "suite.toml").write_text(
        f'title = "T"\ngrader = "{grader}"\n[[source]]\nname = "s"\nhub = "{tmp_path / "hub"}"\nsplit = "test"\n'
        f'licence = "MIT"\n{more}\nfields = {{ {fields} }}\n',
        encoding="utf-8",
    )
    return find_suite(str(mine))


PAPER = 'id = "id", question = "problem_statement", answer = "ground_truth", documents = "input_files"'


def test_the_papers_columns(tmp_path: Path) -> None:
    row = {"domain": "x", "problem_statement": "Which?", "ground_truth": "grey", "qa_type": "free"}
    files = json.dumps({"in/a.txt": "grey\u2028cat", "b.txt": "x"})
    hub(tmp_path, [{"id": f"r{n}", **row, "input_files": files} for n in range(3)] + [{"id": "other", **row}])
    first, second = load(tmp_path, PAPER)
    assert (first.id, first.prompt, first.answer) == ("r0", "Which?", "grey")
    assert first.documents == {"in/a.txt": "grey\u2028cat", "b.txt": "x"}
    assert first.meta == {"domain": "x", "qa_type": "free", "copies": 3}  # repeats are one task
    assert (second.id, second.documents, second.domain) == ("other", {}, "mine")


def test_files_as_an_object_hold_no_names_of_other_rows(tmp_path: Path) -> None:
    row = {"problem_statement": "q", "ground_truth": "a"}
    hub(tmp_path, [{"id": name, **row, "input_files": {f"{name}.txt": name}} for name in ("x", "y")])
    assert [task.documents for task in load(tmp_path, PAPER)] == [{"x.txt": "x"}, {"y.txt": "y"}]


def test_options_as_columns_and_as_an_object(tmp_path: Path) -> None:
    hub(tmp_path, [{"question": "Which?", "A": "a", "B": "b", "C": "c", "D": "d", "answer": "D"}])
    [task] = load(
        tmp_path, 'question = "question", choices = ["A", "B", "C", "D"], answer = "answer"', grader="mcq_letter"
    )
    assert (task.id, task.choices, task.answer, task.meta) == ("hub-0", ("a", "b", "c", "d"), "D", {})
    ten = dict(zip("ABCDEFGHIJ", "abcdefghij", strict=True))
    hub(tmp_path, [{"q": "1", "o": ten, "label": "J"}, {"q": "2", "o": {"A": "x", "B": "y"}, "label": "B"}])
    tasks = load(tmp_path, 'question = "q", choices = "o", answer = "label"', grader="mcq_letter")
    assert [(task.choices, task.answer) for task in tasks] == [(tuple("abcdefghij"), "J"), (("x", "y"), "B")]


def test_instructions_in_the_columns_and_in_a_json_text(tmp_path: Path) -> None:
    checks = {"instruction_id_list": ["a:b"], "kwargs": [{"n": 3}]}
    hub(tmp_path, [{"key": 1, "prompt": "Write.", **checks}])
    [task] = load(tmp_path, 'id = "key", question = "prompt"', grader="ifbench_loose")
    assert (task.id, task.answer, task.meta) == ("1", None, checks)
    hub(tmp_path, [{"prompt": "Write.", "ground_truth": json.dumps(checks)}])
    [task] = load(tmp_path, 'question = "prompt", meta = "ground_truth"', grader="ifbench_loose")
    assert task.meta == checks
    hub(tmp_path, [{"prompt": "Write.", "ground_truth": "no"}])
    with pytest.raises(ConfigError, match="row 0: the column for `meta` is no JSON"):
        load(tmp_path, 'question = "prompt", meta = "ground_truth"', grader="ifbench_loose")


def test_answers_of_which_several_are_right(tmp_path: Path) -> None:
    hub(tmp_path, [{"q": "1", "context": "It is grey.", "answers": {"text": ["grey", "gray"], "answer_start": [6, 6]}}])
    [task] = load(tmp_path, 'question = "q", answer = "answers", documents = "context"')
    assert (task.answer, task.meta["answers"]) == ("grey", ["grey", "gray"])
    assert task.documents == {"document.txt": "It is grey."}


def test_all_configurations_are_read_and_ids_kept_apart(tmp_path: Path) -> None:
    hub(tmp_path, [{"index": 1, "problem": "v?", "answers": "\\boxed{v}"}], "Optics")
    hub(tmp_path, [{"index": 1, "problem": "w?", "answers": "\\boxed{w}"}], "Waves")
    more = 'config = ["Optics", "Waves"]\ngrader = "llm_judge:x"'
    tasks = load(tmp_path, 'id = "index", question = "problem", answer = "answers"', more=more)
    assert [(task.id, task.answer, task.grader) for task in tasks] == [
        ("Optics-1", "\\boxed{v}", "llm_judge:x"),
        ("Waves-1", "\\boxed{w}", "llm_judge:x"),
    ]


def test_one_id_for_two_questions(tmp_path: Path) -> None:
    hub(tmp_path, [{"id": "same", "q": text, "a": "x"} for text in ("one", "two")])
    tasks = load(tmp_path, 'id = "id", question = "q", answer = "a"')
    assert [task.id for task in tasks] == ["same", "hub-1"]


def test_documents_in_an_archive(tmp_path: Path) -> None:
    folder = hub(tmp_path, [{"q": "?", "a": "x", "set": "s1", "files": "a.txt;b.txt"}])
    with zipfile.ZipFile(folder / "all.zip", "w") as file:
        file.writestr("top/s1/a.txt", "grey")
        file.writestr("top/s1/b.txt", "cat")
    more, fields = (
        'archive = "all.zip"\narchive_folder = "top/{set}"',
        'question = "q", answer = "a", documents = "files"',
    )
    assert load(tmp_path, fields, more=more)[0].documents == {"a.txt": "grey", "b.txt": "cat"}
    with pytest.raises(ConfigError, match=r"row 0: the archive of the data set holds no else/s1/a\.txt"):
        load(tmp_path, fields, more=more.replace("top", "else"))
    with pytest.raises(ConfigError, match=r"the documents of .*none\.zip.* cannot be had from the hub"):
        load(tmp_path, fields, more=more.replace("all", "none"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ("", []),
        ("{}", []),
        ("{ no json", [{"name": "document.txt", "text": "{ no json"}]),
        ([{"name": "a", "text": "b"}], [{"name": "a", "text": "b"}]),
        (
            {"title": ["A b/c"], "sentences": [["One.", " Two."]]},
            [{"name": "00_A_b_c.txt", "text": "A b/c\n\nOne. Two."}],
        ),
        ([{"title": "A", "sentences": ["One."]}], [{"name": "00_A.txt", "text": "A\n\nOne."}]),
    ],
)
def test_shapes_of_documents(value: Any, expected: list[dict[str, str]]) -> None:
    assert documents_of(value) == expected


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    hub(tmp_path, [{"question": "?", "answer": "x"}])
    with pytest.raises(
        ConfigError, match="row 0: there is no column 'problem' for `question`; it has question, answer"
    ):
        load(tmp_path, 'question = "problem", answer = "answer"')


def test_a_row_that_is_malformed(tmp_path: Path) -> None:
    hub(tmp_path, [{"question": "?", "answer": ""}])
    with pytest.raises(ConfigError, match="row 0: `answer` must be text or a number"):
        load(tmp_path, 'question = "question", answer = "answer"')


def test_without_network_and_cache_it_says_both_ways(tmp_path: Path) -> None:
    code = (
        "from workroom.bench.data import load_tasks; from workroom.bench.suite import find_suite\n"
        "from workroom.errors import ConfigError\n"
        "try: load_tasks(find_suite('math'))\n"
        "except ConfigError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the data set daixuancheng/llm-in-sandbox-bench cannot be had from the hub; ")
    assert "--data PATH" in done.stdout
    assert "HF_HOME" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_without_the_package_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'workroom\[bench\]'; or give a file with --data PATH"):
        load(tmp_path, 'question = "q"')


def test_a_suite_without_any_data(tmp_path: Path) -> None:
    mine = suite(tmp_path, 'question = "q"', "exact", "")
    path = mine.folder / "suite.toml"
    path.write_text(path.read_text(encoding="utf-8").partition("[[source]]")[0], encoding="utf-8")
    with pytest.raises(ConfigError, match="the suite mine has no data of its own: give a file with --data PATH"):
        load_tasks(find_suite(str(mine.folder)))
