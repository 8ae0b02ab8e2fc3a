"""Answers a second through the graders' worker processes."""

import asyncio
import time
from functools import partial

from workroom.bench.graders import Graders
from workroom.bench.suite import Suite, find_suite
from workroom.task import Task

AT_ONCE = 64
OPTIONS = ("mitosis", "meiosis", "apoptosis", "necrosis")

# A suite, a task and an answer to it of each kind. What is written as in the reference needs no algebra.
KINDS = {
    "multiple choice": ("biomedicine", Task("Which?", answer="B", choices=OPTIONS), "It is meiosis.\n\nAnswer: B"),
    "mathematics, as in the reference": ("math", Task("?", answer="\\frac{1}{2}"), "So \\boxed{\\frac{1}{2}}."),
    "mathematics, written otherwise": ("math", Task("?", answer="\\frac{1}{2}"), "So \\boxed{0.5}."),
    "mathematics, wrong": ("math", Task("?", answer="\\frac{1}{2}"), "So \\boxed{\\frac{\\sqrt{3}}{4}}."),
}


def rates(answers: int) -> dict[str, float]:
    """By kind, with two workers that have graded one such answer each before."""
    return asyncio.run(_rates(answers))


async def _grade(graders: Graders, suite: Suite, task: Task, answer: str, places: asyncio.Semaphore) -> None:
    async with places:
        score = await graders.grade(suite, task, answer)
    assert score.value is not None, score


async def _rates(answers: int) -> dict[str, float]:
    graders = Graders()
    found = {}
    try:
        for name, (suite_name, task, answer) in KINDS.items():
            suite = find_suite(suite_name)
            places = asyncio.Semaphore(AT_ONCE)
            one = partial(_grade, graders, suite, task, answer, places)
            await asyncio.gather(one(), one())
            start = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(answers)))
            found[name] = answers / (time.perf_counter() - start)
    finally:
        await graders.aclose()
    return found
