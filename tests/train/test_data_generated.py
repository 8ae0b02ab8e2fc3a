"""Made-up tasks: exact, always the same, and an expert finds every answer by looking."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from workroom.bench.graders import mixed
from workroom.errors import ConfigError
from workroom.models.text_calls import find_bash
from workroom.task import Task
from workroom.train.config import DataSection
from workroom.train.data import Splits, asked, build, expert, expert_turns
from workroom.train.data.generated import KINDS
from workroom.train.data.generated.words import names


def made(kind: str, count: int, **settings: object) -> Splits:
    section = DataSection.model_validate(
        {"source": f"generated:{kind}", "train": count, "validation": 0, "test": 0, **settings}
    )
    return build(section, tell=lambda _: None)


def told(tasks: list[Task], tmp_path: Path) -> list[list[str]]:
    """What the last command before the answer prints, in one bash for all tasks."""
    script = []
    for number, task in enumerate(tasks):
        folder = tmp_path / str(number)
        (folder / "documents").mkdir(parents=True)
        for name, content in task.documents.items():
            assert isinstance(content, str)
            (folder / "documents" / name).write_text(content, encoding="utf-8")
        *look, _ = expert(task)
        script += [f"cd {folder}", *look, "echo '#'"]
    done = subprocess.run(["bash", "-e", "-c", "\n".join(script)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [part.splitlines() for part in done.stdout.split("#\n")[:-1]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_expert_sees_holds_the_answer(kind: str, tmp_path: Path) -> None:
    tasks = made(kind, 60, seed=5).train
    for task, lines in zip(tasks, told(tasks, tmp_path), strict=True):
        assert lines, task.prompt
        if not task.choices:
            assert task.answer is not None
            assert task.answer in lines[-1], (task.prompt, lines)
            assert len(lines) == 1, (task.prompt, lines)
            continue
        text = "\n".join(lines)
        right = [task.choices["ABCDEFG".index(letter)] for letter in (task.answer or "").split(", ")]
        assert all(option in text for option in right), (task.prompt, lines)
        if len(right) == 1 and len(lines) == 1:
            assert [option for option in task.choices if option in text] == right


@pytest.mark.parametrize("kind", KINDS)
def test_questions_of_a_kind_are_small_varied_and_exact(kind: str) -> None:
    tasks = made(kind, 80, examples=1).train
    for task in tasks:
        assert 1 <= len(task.documents) <= 4
        assert all(3 <= len(str(content).splitlines()) <= 25 for content in task.documents.values())
        assert task.answer
        assert task.grader in ("exact", "mcq_letter", "instruct_pretrain")
        if task.grader == "instruct_pretrain":
            assert mixed.grade(task, task.answer).value == 1
            assert (mixed.grade(task, task.answer[0]).value or 0) < 1
        assert task.prompt.count("\nQuestion: ") == (0 if task.id.endswith("-1") else 1)
    assert len({task.prompt for task in tasks}) > 70
    assert len({task.answer for task in tasks}) > 3


def test_lookup_is_the_easiest() -> None:
    for task in made("lookup", 100).train:
        assert 2 <= len(task.documents) <= 4
        assert not any(name.partition(".")[0] in task.prompt for name in task.documents)
        for content in task.documents.values():
            lines = str(content).splitlines()
            assert len(lines) <= 6
            assert not any(digit in "".join(lines[:2]) for digit in "0123456789")  # what the compact prompt shows
        whole = "".join(map(str, task.documents.values()))
        assert whole.count(task.answer or "") == 1


def test_no_name_is_in_another() -> None:
    found = names(Random(1), 200)
    assert not [(one, other) for one in found for other in found if one != other and one.lower() in other.lower()]


def test_the_experts_turns_are_calls_of_the_bash_protocol() -> None:
    for task in made("facts", 12).train:
        *look, last = [find_bash(turn) for turn in expert_turns(task)]
        assert [[call.name for call in turn] for turn in look] == [["execute_bash"]] * len(look)
        assert [(call.name, call.arguments) for call in last] == [("submit", f'{{"answer": "{task.answer}"}}')]
        assert expert(task)[-1].endswith(" > /testbed/answer.txt")
    with pytest.raises(ConfigError, match="no expert for the task t, only for generated ones"):
        expert(Task("What?", id="t", answer="x"))


def test_facts_are_all_kinds_and_each_mode_has_its_prompt() -> None:
    tasks = made("facts", 30).train
    assert {task.meta["training"]["kind"] for task in tasks} == set(KINDS)
    for task in tasks:
        assert asked(task, "sandbox") == task
        assert "step by step" in asked(task, "llm").prompt
        assert "step by step" not in task.prompt
        assert task.meta["training"]["question"] in task.prompt
    with pytest.raises(ConfigError, match="there is no source 'generated:fact'; generated are: facts, lookup"):
        made("fact", 1)


def test_the_same_in_every_process_and_another_for_another_seed() -> None:
    code = (
        "from tests.train.test_data_generated import made\n"
        "print(repr(made('facts', 20, validation=5, test=5, examples=1)))"
    )
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(made("facts", 20, validation=5, test=5, examples=1))
    assert made("facts", 20) != made("facts", 20, seed=1)
