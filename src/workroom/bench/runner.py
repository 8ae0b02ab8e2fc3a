"""Runs the attempts of a bench that are still to be done, many at a time, and grades each as it ends.

What is finished is in the directory before anything else happens: an attempt's run, then its line in the index, then
its score. A crash between two of them is made good by the next session, which never repeats a finished attempt.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from workroom.bench.arms import parse_arm
from workroom.bench.attempt import Job, finished_before, read_answer
from workroom.bench.graders import Graders
from workroom.bench.memory import wait_for_memory
from workroom.bench.plan import Plan
from workroom.bench.progress import Finished, Progress
from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine
from workroom.errors import WorkroomError
from workroom.task import Task

_HOPELESS = 20  # failures in a row without one success: nobody is served by the rest


class Engine(Protocol):
    """Where attempts are run: `attempt.Attempts` in this process, `ray_engine.RayEngine` on a cluster."""

    async def perform(self, job: Job) -> Attempt | None: ...

    def stop(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`concurrency`: attempts at once. `retries`: further tries of an attempt in which the plant failed, after all
    others. `free_memory`: bytes of this machine's memory that must be free for another attempt to begin."""

    concurrency: int = 16
    retries: int = 2
    free_memory: int = 0


class Runner:
    """One session of a bench: `run()` once. `on_change` is called whenever `progress` has changed."""

    def __init__(
        self,
        bench: BenchDirectory,
        plan: Plan,
        engine: Engine,
        graders: Graders,
        *,
        pace: Pace | None = None,
        on_change: Callable[[Attempt | ScoreLine | None], None] | None = None,
    ) -> None:
        self.bench = bench
        self.plan = plan
        self._engine = engine
        self._graders = graders
        self._pace = pace or Pace()
        self._on_change = on_change or (lambda _: None)
        self._tasks = {(suite, task.id): task for suite, some in bench.tasks.items() for task in some}
        self._keys = list(plan.keys(bench.tasks))
        self._memory = asyncio.Lock()
        self._stop = False
        self._failures = 0
        self._hopeless = ""
        self.progress = Progress(total=len(self._keys))

    def request_stop(self) -> None:
        """Begins no more attempts and ends those under way after their current step."""
        self._stop = True
        self._engine.stop()

    async def run(self) -> Finished:
        """Runs and grades what is missing. Raises WorkroomError where nothing can be written any more."""
        self._recover()
        done = [attempt for attempt in self.bench.attempts.values() if not attempt.failed]
        scored = [line for a in done if (line := self.bench.scores.get(a.key)) and line.score is not None]
        self.progress.take_up(done, scored)
        known = {line.key for line in scored}
        await self._each([attempt.key for attempt in done if attempt.key not in known], self._grade)
        await self._each(self._pending(), self._attempt)
        for _ in range(self._pace.retries):
            if self._goes_on() and (failed := self._pending()):
                await self._each(failed, self._attempt)
        for key in self._keys:
            attempt = self.bench.attempts.get(key)
            if attempt is not None and attempt.failed:
                self._score(key, unscored_failure(attempt), "")
        scores = self.bench.scores
        unscored = sum(key in scores and scores[key].score is None for key in self._keys)
        missing = sum(key not in scores for key in self._keys)
        return Finished(unscored, missing, self._stop and unscored + missing > 0, self._hopeless)

    def _recover(self) -> None:
        """Takes in the runs that ended just before a crash."""
        for key in self._keys:
            before = self.bench.attempts.get(key)
            if before is None or before.failed:
                found = finished_before(key, self.bench.attempt_dir(key), before.tries + 1 if before else 1)
                if found is not None and not found.failed:
                    self.bench.record(found)

    def _pending(self) -> list[Key]:
        attempts = self.bench.attempts
        return [key for key in self._keys if key not in attempts or attempts[key].failed]

    def _goes_on(self) -> bool:
        return not self._stop and not self._hopeless

    async def _each(self, keys: Iterable[Key], work: Callable[[Key], Awaitable[None]]) -> None:
        """Does the work for every key, so many at a time, until it is asked to stop. Raises what the work raises."""
        queue = deque(keys)

        async def worker() -> None:
            while queue and self._goes_on():
                await work(queue.popleft())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._pace.concurrency, len(queue))):
                    group.create_task(worker())
        except BaseExceptionGroup as errors:
            raise _most_telling(errors) from errors

    async def _attempt(self, key: Key) -> None:
        await self._wait_for_memory()
        if not self._goes_on():
            return
        before = self.bench.attempts.get(key)
        self.progress.running += 1
        self._on_change(None)
        try:
            attempt = await self._engine.perform(self._job(key, before.tries + 1 if before else 1))
        finally:
            self.progress.running -= 1
        if attempt is None:
            return
        self.bench.record(attempt)
        self.progress.attempt(attempt)
        self._on_change(attempt)
        self._note_failure(attempt)
        if not attempt.failed:
            await self._grade(key)

    def _job(self, key: Key, tries: int) -> Job:
        arm = parse_arm(key.mode)
        task = self._tasks[key.suite, key.task]
        asked = self.plan.suites[key.suite].task(task, arm.mode)
        prompted = replace(asked, answer=None, choices=(), meta={})  # what the model need not know stays here
        settings = self.plan.settings(key.suite, arm, key.repeat)
        return Job(key, prompted, settings, self.bench.attempt_dir(key), tries)

    async def _wait_for_memory(self) -> None:
        def tell(waiting: str) -> None:
            self.progress.waiting = waiting
            self._on_change(None)

        async with self._memory:  # one at a time, or all that wait would begin at the same look
            await wait_for_memory(self._pace.free_memory, lambda: bool(self.progress.running) and self._goes_on(), tell)

    def _note_failure(self, attempt: Attempt) -> None:
        if not attempt.failed:
            self._failures = -1  # something works
        elif self._failures >= 0:
            self._failures += 1
            if self._failures >= _HOPELESS:
                self._hopeless = f"the first {self._failures} attempts all failed, the last one so: {attempt.error}"

    async def _grade(self, key: Key) -> None:
        score, grader = await grade_one(self.bench, self.plan, self._graders, self._tasks[key.suite, key.task], key)
        self._score(key, score, grader)

    def _score(self, key: Key, score: Score, grader: str) -> None:
        line = ScoreLine.of(key, score, grader)
        if self.bench.scores.get(key) != line:
            self.bench.record_score(line)
        self.progress.score(line)
        self._on_change(line)


async def grade_one(bench: BenchDirectory, plan: Plan, graders: Graders, task: Task, key: Key) -> tuple[Score, str]:
    """The score of a finished attempt and the name of its grader. No answer is a wrong one."""
    suite = plan.suites[key.suite]
    name = suite.grader_of(task)
    answer = await asyncio.to_thread(read_answer, bench.attempt_dir(key))
    if answer is None and bench.attempts[key].answered:
        return Score(None, f"its answer.txt is missing in {bench.attempt_dir(key).relative_to(bench.path)}"), name
    if answer is None or not answer.strip():
        return Score(0.0, f"no answer ({bench.attempts[key].stop_reason})"), name
    return await graders.grade(suite, task, answer), name


def unscored_failure(attempt: Attempt) -> Score:
    """The score of an attempt in which the plant failed: none, and never 0."""
    return Score(None, f"{attempt.stop_reason}: {attempt.error}")


def _most_telling(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of the errors of several attempts one that is told in a sentence, else the first."""
    error: BaseException = errors.subgroup(WorkroomError) or errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
