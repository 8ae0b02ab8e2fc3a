"""Benches as a bench leaves them, without running one."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine
from workroom.task import Task

# By suite, mode and task: a score for each repeat, None where it is unscored.
Results = Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]]


def make_bench(
    path: Path,
    results: Results,
    config: Mapping[str, Any] | None = None,
    *,
    tasks: Mapping[str, Iterable[Task]] | None = None,
    grader: str = "mathematics",
) -> BenchDirectory:
    """A finished bench with these scores, loaded as it is read later."""
    if tasks is None:
        names = {
            suite: dict.fromkeys(task for mode in some.values() for task in mode) for suite, some in results.items()
        }
        tasks = {
            suite: [Task(f"What is {name}?", id=name, answer="1") for name in some] for suite, some in names.items()
        }
    with BenchDirectory.create(path, config or {"model": path.name}, tasks) as bench:
        for suite, by_mode in results.items():
            for mode, by_task in by_mode.items():
                for task, scores in by_task.items():
                    for repeat, score in enumerate(scores, 1):
                        key = Key(suite, task, mode, repeat)
                        bench.record(Attempt(*key, stop_reason="submitted", answered=True))
                        reason = "" if score is not None else "the judge did not answer"
                        bench.record_score(ScoreLine.of(key, Score(score, reason), grader))
    return BenchDirectory.load(path)


def series(*scores: float | None, prefix: str = "t") -> dict[str, list[float | None]]:
    """One score each for the tasks t1, t2, ..."""
    return {f"{prefix}{number}": [score] for number, score in enumerate(scores, 1)}
