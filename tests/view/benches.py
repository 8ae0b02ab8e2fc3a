"""Benches to look at: directories as a bench leaves them, made without a model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.view import runs
from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine
from workroom.task import Task

CONFIG: dict[str, Any] = {
    "workroom": "0.1.0",
    "bench": {"suites": ["sums"], "arms": ["llm", "sandbox"], "repeats": 1},
    "run": {"model": "scripted/sums"},
    "suites": {"sums": {"path": "sums", "grader": "exact", "repeats": 1}},
}


def made(path: Path, tasks: Iterable[Task] | dict[str, list[Task]], config: dict[str, Any] = CONFIG) -> BenchDirectory:
    """A bench of these tasks, of one suite or by suite, open for writing."""
    return BenchDirectory.create(path, config, tasks if isinstance(tasks, dict) else {"sums": list(tasks)})


def sums(count: int) -> list[Task]:
    return [
        Task(f"What is {n} and {n}?", id=f"sum-{n}", domain="math", answer=str(2 * n), grader="exact")
        for n in range(count)
    ]


def finish(
    bench: BenchDirectory,
    task: str,
    mode: str,
    score: float | None,
    *,
    suite: str = "sums",
    reason: str = "",
    turns: int = 3,
    **more: Any,
) -> Key:
    """Records an attempt with its score, without its run."""
    key = Key(suite, task, mode, 1)
    usage = {"prompt": 100 * turns, "completion": 10 * turns}
    bench.record(Attempt(*key, stop_reason="submitted", answered=True, turns=turns, usage=usage, seconds=turns, **more))
    bench.record_score(ScoreLine.of(key, Score(score, reason=reason, extracted="58"), "exact"))
    return key


def with_run(bench: BenchDirectory, key: Key, files: dict[str, bytes] | None = None) -> Path:
    """Writes the run of an attempt."""
    return runs.write_run(bench.attempt_dir(key), [runs.begun(), *runs.many(3)[1:-1], runs.ended("58", turns=3)], files)
