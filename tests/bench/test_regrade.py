"""Grading again what a bench has left: what the graders are given."""

import asyncio
from pathlib import Path

from tests.bench.benches import make_bench
from workroom.bench.graders import Graders
from workroom.bench.plan import JudgeSettings, Plan, Selection, parse_arms
from workroom.bench.regrade import regrade
from workroom.bench.score import Score
from workroom.bench.store import BenchDirectory
from workroom.bench.suite import Suite
from workroom.config import from_arguments
from workroom.task import Task


class Judge:
    """Finds all correct and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str]] = []

    async def grade(self, suite: Suite, task: Task, answer: str) -> Score:
        self.asked.append((task.prompt, task.answer, answer))
        return Score(1.0, extracted=answer)


def test_a_judge_gets_the_question_and_not_the_prompt_and_the_same_of_both_modes(tmp_path: Path) -> None:
    task = Task("How long is it?", id="t1", answer="5 m", meta={"unit": "m"})
    results = {"physics": {"sandbox": {"t1": [None]}, "llm": {"t1": [None]}}}
    made = make_bench(tmp_path / "bench", results, tasks={"physics": [task]})
    for mode, text in (
        ("sandbox", r"\boxed{5.0\,\mathrm{m}}"),
        ("llm", r"I measure. So it is $\boxed{5.0\,\mathrm{m}}$."),
    ):
        folder = made.attempt_dir(next(key for key in made.attempts if key.mode == mode))
        folder.mkdir(parents=True)
        (folder / "answer.txt").write_text(text)
    plan = Plan.make(Selection(("physics",), parse_arms("both", ())), from_arguments({}), JudgeSettings())
    judge = Judge()

    async def inside() -> int:
        # So that mathematics does not find it right before.
        plan.suites["physics"].judge["ugphysics"].clear()
        graders = Graders(judge=judge)
        try:
            with BenchDirectory.open(made.path) as bench:
                return await regrade(bench, plan, graders)
        finally:
            await graders.aclose()

    assert asyncio.run(inside()) == 0
    assert judge.asked == [("How long is it?", "5 m", r"5.0\,\mathrm{m}")] * 2
    extracted = {line.mode: line.extracted for line in BenchDirectory.load(made.path).scores.values()}
    assert extracted == dict.fromkeys(("sandbox", "llm"), r"5.0\,\mathrm{m}")
