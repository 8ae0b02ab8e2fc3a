"""Graders: an answer against a task's reference.

What computes runs in worker processes, which can be killed (`pool`); what asks a model is the judge. A grader that
fails leaves the answer unscored with a reason, and nothing here raises for a bad answer.
"""

from typing import TYPE_CHECKING

from workroom.bench.score import Score

if TYPE_CHECKING:
    from workroom.bench.suite import Suite
    from workroom.task import Task


class Graders:
    """Grades answers of one bench, many at a time."""

    async def grade(self, suite: "Suite", task: "Task", answer: str) -> Score:
        """The score of an answer. The grader is the task's, else the suite's."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Ends the worker processes."""
