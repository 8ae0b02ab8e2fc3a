"""A session of a bench with engines that fail, stop and crash on purpose."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import workroom.bench.attempt as attempt_module
import workroom.bench.runner as runner_module
from workroom._run import Run
from workroom.bench.attempt import Attempts, Job
from workroom.bench.plan import JudgeSettings, Plan, Selection, parse_arms
from workroom.bench.progress import Finished
from workroom.bench.runner import Pace, Runner
from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, Key
from workroom.config import from_arguments
from workroom.errors import WorkroomError
from workroom.models.scripted import ScriptedModel
from workroom.task import Task


class Graded:
    """Graders that say what they are told, and count."""

    def __init__(self, score: Score | None = None) -> None:
        self.score = score or Score(1.0)
        self.asked: list[str] = []

    async def grade(self, _suite: Any, task: Task, _answer: str) -> Score:
        self.asked.append(task.id)
        return self.score


class Machine:
    """An engine that does `work` for every job; by default each is submitted."""

    def __init__(self, work: Callable[[Job], Any] | None = None) -> None:
        self.jobs: list[Job] = []
        self.stopped = False
        self._work = work

    async def perform(self, job: Job) -> Attempt | None:
        self.jobs.append(job)
        await asyncio.sleep(0)
        found = self._work(job) if self._work else None
        return found or submitted(job)

    def stop(self) -> None:
        self.stopped = True

    async def aclose(self) -> None:
        """Nothing to close."""


def submitted(job: Job) -> Attempt:
    job.directory.mkdir(parents=True, exist_ok=True)
    (job.directory / "answer.txt").write_text("\\boxed{1}")
    (job.directory / "run.json").write_text(json.dumps({"status": "finished", "stop_reason": "submitted"}))
    return Attempt(*job.key, "submitted", answered=True, tries=job.tries)


def failed(job: Job) -> Attempt:
    return Attempt(*job.key, "model_error", answered=False, error="no answer", tries=job.tries)


def plan() -> Plan:
    selection = Selection(("math",), parse_arms("llm", ()), repeats=1)
    return Plan.make(selection, from_arguments({"model": "scripted/s.jsonl"}), JudgeSettings())


def bench(place: Path, tasks: int = 4) -> BenchDirectory:
    if (place / "config.toml").exists():
        return BenchDirectory.open(place)
    some = [Task(f"{n}?", id=f"t{n}", answer="1") for n in range(tasks)]
    return BenchDirectory.create(place, plan().record(), {"math": some})


def session(
    made: BenchDirectory, engine: Machine, graders: Graded | None = None, pace: Pace | None = None, **options: Any
) -> Finished:
    with made:
        runner = Runner(made, plan(), engine, graders or Graded(), pace=pace, **options)  # type: ignore[arg-type]
        return asyncio.run(runner.run())


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    def full(_job: Job) -> None:
        raise WorkroomError("cannot write it: no space")

    with pytest.raises(WorkroomError, match="no space"):
        session(bench(tmp_path), Machine(full), pace=Pace(4))


def test_a_run_that_ended_before_a_crash_keeps_its_number_of_tries(tmp_path: Path) -> None:
    made = bench(tmp_path, 1)
    job = Runner(made, plan(), Machine(), Graded())._job(Key("math", "t0", "llm", 1), 1)  # type: ignore[arg-type]
    made.record(failed(job))
    submitted(replace(job, tries=2))  # and then the power was cut
    engine = Machine()
    assert session(made, engine) == Finished(0, 0, interrupted=False)
    assert engine.jobs == []
    assert [attempt.tries for attempt in made.attempts.values()] == [2]


def test_what_a_grader_left_unscored_is_graded_when_the_bench_goes_on(tmp_path: Path) -> None:
    assert session(bench(tmp_path), Machine(), Graded(Score(None, "no judge"))).unscored == 4
    lines = (tmp_path / "scores.jsonl").read_text()
    engine = Machine()
    assert session(bench(tmp_path), engine, Graded(Score(None, "no judge"))).unscored == 4
    assert (tmp_path / "scores.jsonl").read_text() == lines  # nothing new to say
    graders = Graded()
    assert session(bench(tmp_path), engine, graders) == Finished(0, 0, interrupted=False)
    assert sorted(graders.asked) == ["t0", "t1", "t2", "t3"]
    assert session(bench(tmp_path), engine, graders) == Finished(0, 0, interrupted=False)
    assert len(graders.asked) == 4
    assert engine.jobs == []


def test_an_answer_that_is_gone_is_not_a_wrong_one(tmp_path: Path) -> None:
    session(bench(tmp_path, 1), Machine())
    (tmp_path / "scores.jsonl").unlink()
    next(tmp_path.rglob("answer.txt")).unlink()
    made = bench(tmp_path)
    assert session(made, Machine()).unscored == 1
    assert [line.reason for line in made.scores.values()] == [
        "its answer.txt is missing in attempts/math/t0/llm/1",
    ]


def test_a_stop_after_the_last_attempt_is_no_interruption(tmp_path: Path) -> None:
    made = bench(tmp_path, 1)
    runner: Runner

    def stop(_line: Any) -> None:
        runner.request_stop()

    with made:
        runner = Runner(made, plan(), Machine(), Graded(), on_change=stop)  # type: ignore[arg-type]
        assert asyncio.run(runner.run()) == Finished(0, 0, interrupted=False)


def test_twenty_failures_and_no_success_end_a_session_without_a_score_of_0(tmp_path: Path) -> None:
    engine = Machine(failed)
    made = bench(tmp_path, 60)
    finished = session(made, engine, pace=Pace(4))
    assert 20 <= len(engine.jobs) < 24
    assert finished.exit_code == 6
    assert finished.stopped.endswith("attempts all failed, the last one so: no answer")
    assert {line.score for line in made.scores.values()} == {None}
    assert session(bench(tmp_path), Machine(), pace=Pace(4)) == Finished(0, 0, interrupted=False)


def test_one_at_a_time_begins_where_memory_was_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = most = 0

    async def wait(*_: Any) -> None:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        await asyncio.sleep(0)
        looking -= 1

    monkeypatch.setattr(runner_module, "wait_for_memory", wait)
    session(bench(tmp_path), Machine(), pace=Pace(4, free_memory=1))
    assert most == 1


@pytest.fixture
def job(tmp_path: Path) -> Job:
    resolved = from_arguments({"mode": "sandbox", "network": "none"})
    return Job(Key("s", "t", "sandbox", 1), Task("1?"), resolved, tmp_path / "run")


def test_attempts_that_wait_for_a_sandbox_do_not_begin_after_a_stop(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[Any] = []
    first = asyncio.Event()

    class Slow:
        record: ClassVar[dict[str, Any]] = {}

        def __init__(self, *_: Any, **__: Any) -> None:
            begun.append(self)
            first.set()
            self.stop = asyncio.Event()

        def prepare(self) -> None:
            """Nothing to prepare."""

        async def episode(self) -> None:
            await self.stop.wait()

        def request_stop(self) -> None:
            self.stop.set()

    async def work() -> list[Attempt | None]:
        attempts = Attempts(ScriptedModel(tmp_path), sandboxes=1)
        tasks = [asyncio.create_task(attempts.perform(job)) for _ in range(3)]
        await asyncio.wait_for(first.wait(), 20)
        attempts.stop()
        return await asyncio.wait_for(asyncio.gather(*tasks), 20)

    monkeypatch.setattr(attempt_module, "Run", Slow)
    assert asyncio.run(work())[1:] == [None, None]
    assert len(begun) == 1


def test_a_stop_before_the_first_turn_is_kept(job: Job, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"content": "an answer"}\n')
    resolved = from_arguments({"mode": "llm"})
    run = Run(job.task, resolved, model=ScriptedModel(tmp_path / "s.jsonl"), out=job.directory)
    run.prepare()
    assert not run.request_stop()  # there is no episode yet
    assert asyncio.run(run.episode()).stop_reason == "interrupted"


def test_a_mistake_of_ours_before_there_is_a_directory_costs_that_attempt_only(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Wrong(Run):
        def prepare(self) -> None:
            raise RuntimeError("a mistake")

    monkeypatch.setattr(attempt_module, "Run", Wrong)
    attempt = asyncio.run(Attempts(ScriptedModel(tmp_path)).perform(job))
    assert attempt is not None
    assert attempt.error == "internal error: RuntimeError: a mistake"
    assert "a mistake" in (job.directory / "traceback.txt").read_text()
