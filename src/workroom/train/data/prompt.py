"""What the model is asked: the question, options, worked examples and the form of the answer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from workroom.bench.suite import Suite, find_suite, is_listed, lettered
from workroom.task import Task

FOLDER: Final = Path(__file__).parent / "training"


@cache
def suite() -> Suite:
    """The templates of the prompts, as a suite of the bench has them; every task names its grader itself."""
    return find_suite(str(FOLDER))


def complete(task: Task, examples: Sequence[Task], more: dict[str, Any]) -> Task:
    """The task as it is asked, with earlier questions as examples.

    `meta["training"]` has what was made of it: the `question` alone, the `examples`, the `prompts` of both modes, and
    `more`.
    """
    training = more | {"question": task.prompt, "examples": [_example(example) for example in examples]}
    task = replace(task, meta={**task.meta, "training": training})
    prompts = {"sandbox": suite().prompt(task, "sandbox"), "llm": suite().prompt(task, "llm")}
    return replace(task, prompt=prompts["sandbox"], meta={**task.meta, "training": training | {"prompts": prompts}})


def asked(task: Task, mode: Literal["sandbox", "llm"]) -> Task:
    """The task with the prompt of this mode. One that this package has not made stays as it is."""
    prompts = (task.meta.get("training") or {}).get("prompts") or {}
    return replace(task, prompt=prompts.get(mode, task.prompt))


def _example(task: Task) -> dict[str, Any]:
    options = [] if is_listed(task) else [list(option) for option in lettered(task)]
    return {"question": task.prompt, "options": options, "answer": task.answer}
