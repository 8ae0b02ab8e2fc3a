"""Grades the finished attempts of a bench once more, without running anything."""

import asyncio
from collections.abc import Callable

from workroom.bench.graders import Graders
from workroom.bench.plan import Plan
from workroom.bench.runner import grade_one, unscored_failure
from workroom.bench.store import BenchDirectory, Key, ScoreLine

_AT_ONCE = 64


async def regrade(
    bench: BenchDirectory,
    plan: Plan,
    graders: Graders,
    *,
    only_unscored: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Writes `scores.jsonl` anew, at once when all are graded, and gives how many attempts are unscored."""
    tasks = {(suite, task.id): task for suite, some in bench.tasks.items() for task in some}
    places = asyncio.Semaphore(_AT_ONCE)
    done = 0

    async def grade(key: Key) -> ScoreLine:
        nonlocal done
        async with places:
            before = bench.scores.get(key)
            if only_unscored and before is not None and before.score is not None:
                line = before
            elif bench.attempts[key].failed:
                line = ScoreLine.of(key, unscored_failure(bench.attempts[key]), "")
            else:
                score, name = await grade_one(bench, plan, graders, tasks[key.suite, key.task], key)
                line = ScoreLine.of(key, score, name)
        done += 1
        on_progress(f"graded {done:,} of {len(bench.attempts):,}")
        return line

    lines = await asyncio.gather(*(grade(key) for key in bench.attempts))
    bench.replace_scores(lines)
    return sum(line.score is None for line in lines)
