"""Grades an answer: 0.0 to 1.0, or None where nobody can tell. It runs in a process of its own, which may be killed."""

from workroom.task import Task


def grade(task: Task, answer: str) -> float | None:
    """1.0 where what follows the last `Answer:` (or all of it) is the reference, whatever the case."""
    if task.answer is None:
        return None
    said = answer.rpartition("Answer:")[2].strip().rstrip(".")
    return float(said.casefold() == task.answer.casefold())
