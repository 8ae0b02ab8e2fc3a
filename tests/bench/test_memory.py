"""The memory of a bench does not grow with its attempts, but for the lines of the index and of the scores."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

from workroom import open_model
from workroom._run import Run
from workroom.bench.attempt import Attempts
from workroom.bench.graders import Graders
from workroom.bench.plan import JudgeSettings, Plan, Selection, parse_arms
from workroom.bench.runner import Pace, Runner
from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, ScoreLine
from workroom.bench.suite import Suite
from workroom.config import from_arguments
from workroom.task import Task

TASKS = 20
REPEATS = 12  # 240 attempts
WARM = 80
ANSWER = "It is \\boxed{4}." + "x" * 20_000  # so that a trajectory that is kept is told from a line of the index
KEPT = 4096  # bytes that an attempt may leave


class AtOnce(Graders):
    """Grades without a process."""

    async def grade(self, suite: Suite, task: Task, answer: str) -> Score:
        return Score(1.0, extracted="4")


def test_memory_does_not_grow_with_the_attempts(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text(f'{{"role": "assistant", "content": "{ANSWER.replace(chr(92), chr(92) * 2)}"}}\n')
    resolved = from_arguments({"model": f"scripted/{script}"})
    plan = Plan.make(Selection(("math",), parse_arms("llm", ()), repeats=REPEATS), resolved, JudgeSettings())
    tasks = {"math": [Task("2 + 2?", id=f"t{number}", answer="4") for number in range(TASKS)]}
    scores = 0

    def look(line: Attempt | ScoreLine | None) -> None:
        nonlocal scores
        if isinstance(line, ScoreLine):
            scores += 1
            if scores == WARM:
                gc.collect()
                tracemalloc.start()

    with BenchDirectory.create(tmp_path / "out", plan.record(), tasks) as bench:

        async def run() -> None:
            engine, graders = Attempts(open_model(f"scripted/{script}")), AtOnce()
            try:
                finished = await Runner(bench, plan, engine, graders, pace=Pace(16), on_change=look).run()
            finally:
                await graders.aclose()
                await engine.aclose()
            assert finished.exit_code == 0

        try:
            asyncio.run(run())
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert scores == TASKS * REPEATS
        assert grown / (scores - WARM) < KEPT
        assert not [one for one in gc.get_objects() if type(one) is Run]
