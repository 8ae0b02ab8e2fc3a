"""Graders: an answer against a task's reference.

What computes runs in worker processes, which can be killed (`pool`); what asks a model is the judge. A grader that
fails leaves the answer unscored with a reason, and nothing here raises for a bad answer. Both modes of a task are
graded by the same function, with the same extraction. A judge is shown what an answer concludes, not how it got there.
"""

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from workroom.bench.graders.instructions import malformed
from workroom.bench.graders.registry import F1_OR_JUDGE, GRADERS, INSTRUCTIONS, OWN, is_judged, names
from workroom.bench.graders.statement import shown
from workroom.bench.graders.worker import Request
from workroom.bench.score import NO_JUDGE, Score
from workroom.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workroom.bench.suite import Suite
    from workroom.task import Task


class Judging(Protocol):
    """A model that judges answers."""

    async def grade(self, suite: "Suite", task: "Task", answer: str) -> Score:
        """Its verdict."""
        ...


class Graders:
    """Grades answers of one bench, many at a time: `workers` processes, `timeout` in seconds for a grade.

    Belongs to one event loop.
    """

    def __init__(self, workers: int = 2, timeout: float = 30.0, judge: Judging | None = None) -> None:
        from workroom.bench.graders.pool import (
            Pool,  # not above: workers import this package too, and have no need of it
        )

        self._pool = Pool(workers, timeout)
        self._judge = judge

    async def grade(self, suite: "Suite", task: "Task", answer: str) -> Score:
        """The score of an answer. The grader is the task's, else the suite's."""
        name = grader_of(suite, task)
        if not answer.strip() and name != OWN:
            return Score(0.0, "the answer is empty")
        if is_judged(name) or (name == F1_OR_JUDGE and self._judge):
            return await self._ask_judge(suite, task, answer)
        return await self._compute(suite, task, answer, name)

    async def _compute(self, suite: "Suite", task: "Task", answer: str, name: str) -> Score:
        # None of the package's own reads documents, which are large.
        task = replace(task, grader=name, meta=dict(task.meta), documents=dict(task.documents) if name == OWN else {})
        if name == OWN:
            return await self._pool.grade(Request(str((suite.folder / OWN).absolute()), (), task, answer))
        if name not in GRADERS:
            return Score(None, f"there is no grader {name!r}")
        grader = GRADERS[name]
        return await self._pool.grade(Request(grader.function, grader.loads, task, answer))

    async def aclose(self) -> None:
        """Ends the worker processes. Safe to call twice."""
        await self._pool.aclose()

    async def _ask_judge(self, suite: "Suite", task: "Task", answer: str) -> Score:
        """The verdict of a judge, where a grader that the suite names as the `first` does not find the answer right.

        Without a judge all answers are unscored, also those: the mean would be of right answers alone.
        """
        if self._judge is None:
            return Score(None, NO_JUDGE)
        if first := _first(suite, grader_of(suite, task)):
            score = await self._compute(suite, task, answer, first)
            if score.value == 1.0:
                return replace(score, details={**score.details, "found_by": first})
        try:
            return await self._judge.grade(suite, task, shown(answer))
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer stays unscored
            return Score(None, f"the judge failed: {type(error).__name__}: {error}"[:500])


def grader_of(suite: "Suite", task: "Task") -> str:
    """The name of the grader: the task's, else the suite's."""
    return task.grader or suite.grader


def needs_judge(suite: "Suite", tasks: "Iterable[Task]") -> bool:
    """Whether some of the tasks cannot be graded without a judge."""
    return any(is_judged(grader_of(suite, task)) for task in tasks)


def check(suite: "Suite", tasks: "Iterable[Task]") -> None:
    """Raises ConfigError for the first task whose grader does not exist, lacks a library, or lacks a reference."""
    for task in tasks:
        name = grader_of(suite, task)
        where = f"task {task.id!r} of suite {suite.name!r}"
        if name == OWN:
            if not (suite.folder / OWN).is_file():
                raise ConfigError(f"{where} is graded by {suite.folder / OWN}, which does not exist; write it")
        elif name not in GRADERS and not is_judged(name):
            raise ConfigError(f"{where} names the grader {name!r}, which is none of: {', '.join(names())}")
        elif (is_judged(name) or GRADERS[name].reference) and not task.answer:
            raise ConfigError(f"{where} has no answer, which its grader {name!r} compares with; give it one")
        elif not is_judged(name):
            _check_libraries(name, where)
            if GRADERS[name] is INSTRUCTIONS and (why := malformed(task, name)):
                raise ConfigError(f"{where}: {why}")
        elif first := _first(suite, name):
            if first not in GRADERS:
                raise ConfigError(
                    f"{suite.folder / 'suite.toml'}: `first` of [judge] is {first!r}, which is none of: "
                    f"{', '.join(GRADERS)}"
                )
            _check_libraries(first, where)


def _first(suite: "Suite", name: str) -> str | None:
    """The grader that is asked before the judge, if there is one."""
    from workroom.bench.graders.judge import settings_of  # not above: workers have no need of it

    first: str | None = settings_of(suite, name).get("first")
    return first


def _check_libraries(name: str, where: str) -> None:
    for library in GRADERS[name].libraries:
        if importlib.util.find_spec(library) is None:
            remedy = "pip install 'workroom[bench]'"
            raise ConfigError(f"{where} is graded by {name!r}, which needs the package {library}: {remedy}")
