"""Real worker processes, and graders that do to them what graders do."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from workroom.bench.graders.pool import Pool
from workroom.bench.graders.worker import Request, as_score
from workroom.bench.score import Score
from workroom.task import Task

GRADER = """
import ctypes, os, signal, subprocess, sys, time
from workroom.bench.score import Score

def grade(task, answer):
    if answer == "loop":
        while True: pass
    if answer == "abort": os.abort()
    if answer == "segfault": ctypes.string_at(0)
    if answer == "leave": os._exit(0)
    if answer == "exit": sys.exit("good bye")
    if answer == "memory": return len(bytearray(10 << 30))
    if answer == "stack": return grade(task, answer)
    if answer == "raise": raise ValueError("no such thing")
    if answer == "print":
        for file in (sys.stdout, sys.stderr): print("x" * 1_000_000, file=file, flush=True)
        os.write(1, b"y" * 1_000_000)
    if answer == "read": return Score(1.0, extracted=sys.stdin.read())
    if answer == "large": return Score(1.0, extracted="x" * (20 << 20))
    if answer == "environment": return Score(1.0, details=dict(os.environ))
    if answer == "pid": return Score(1.0, details={"pid": os.getpid()})
    if answer == "child":
        child = subprocess.Popen(["sleep", "1000"])
        open(task.meta["file"], "w").write(str(child.pid))
        time.sleep(1000)
    if answer == "fork":
        os.fork()
        return 1.0
    if answer == "interrupt": raise KeyboardInterrupt
    if answer == "two": return 2
    if answer == "set": return Score(1.0, details={"some": {1}})
    if answer == "infinite": return Score(1.0, details={"some": float("inf")})
    return answer == task.answer
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "grader.py").write_text(GRADER)
    return str(tmp_path / "grader.py")


def request(path: str, answer: str, **meta: Any) -> Request:
    return Request(path, (), Task("?", answer="right", meta=meta), answer)


def with_pool(work: Callable[[Pool], Awaitable[Any]], **options: Any) -> Any:
    async def inside() -> Any:
        pool = Pool(**{"workers": 1, "timeout": 20.0} | options)
        try:
            return await work(pool)
        finally:
            await pool.aclose()

    return asyncio.run(inside())


def test_a_reply_is_credited_to_no_other_answer(path: str) -> None:
    assert [score.value for score in ask(path, "fork", "wrong", "fork", "wrong", "wrong")] == [1.0, 0.0, 1.0, 0.0, 0.0]
    first, second = ask(path, "interrupt", "right")
    assert (first.value, second.value) == (None, 1.0)
    assert "KeyboardInterrupt" in first.reason


def ask(path: str, *answers: str, **options: Any) -> list[Score]:
    """The scores of these answers, one after the other."""

    async def work(pool: Pool) -> list[Score]:
        return [await pool.grade(request(path, answer)) for answer in answers]

    scores: list[Score] = with_pool(work, **options)
    return scores


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("abort", "crashed its process: SIGABRT"),
        ("segfault", "crashed its process: SIGSEGV"),
        ("leave", "crashed its process: exit code 0"),
        ("exit", "could not grade this: SystemExit: good bye"),
        ("memory", "ran out of memory"),
        ("stack", "ran out of stack"),
        ("raise", "could not grade this: ValueError: no such thing"),
        ("large", "damaged or too large"),
        ("set", "details that are no JSON"),
        ("infinite", "details that are no JSON"),
        ("two", "gave 2, which is no score from 0 to 1"),
    ],
)
def test_a_grader_that_fails_leaves_a_reason_and_the_next_answer_is_graded(path: str, answer: str, reason: str) -> None:
    bad, good = ask(path, answer, "right")
    assert bad.value is None
    assert reason in bad.reason
    assert good == Score(1.0)


def test_a_grader_that_hangs_is_killed_and_others_go_on(path: str) -> None:
    async def work(pool: Pool) -> list[Score]:
        await pool.grade(request(path, "right"))
        return list(await asyncio.gather(*(pool.grade(request(path, answer)) for answer in ("loop", "right", "wrong"))))

    hung, right, wrong = with_pool(work, workers=2, timeout=0.5)
    assert hung == Score(None, "the grader took longer than 0.5 s")
    assert (right.value, wrong.value) == (1.0, 0.0)


def test_what_a_grader_prints_and_reads_is_no_part_of_the_protocol(path: str) -> None:
    printed, read, right = ask(path, "print", "read", "right")
    assert printed.value == 0.0
    assert read.extracted == ""
    assert right.value == 1.0


def test_a_worker_is_used_again_but_not_after_it_ran_out_of_memory(path: str) -> None:
    pids = [score.details.get("pid") for score in ask(path, "pid", "raise", "pid", "memory", "pid")]
    assert pids[0] == pids[2] != pids[4]


def test_workers_have_no_keys(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NOTES", "mine is sk-0123456789abcdef")
    monkeypatch.setenv("HARMLESS", "kept")
    (score,) = ask(path, "environment")
    assert score.details["HARMLESS"] == "kept"
    assert not {"OPENAI_API_KEY", "HF_TOKEN", "NOTES"} & set(score.details)


def test_a_grader_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "grader.py").write_text("import nothing_of_the_kind")
    (score,) = ask(str(tmp_path / "grader.py"), "right")
    assert score.value is None
    assert "could not be loaded: ModuleNotFoundError" in score.reason


def test_a_grader_that_hangs_while_it_is_loaded_is_killed(tmp_path: Path) -> None:
    (tmp_path / "grader.py").write_text("while True: pass")
    (score,) = ask(str(tmp_path / "grader.py"), "right", loading=1.0)
    assert score == Score(None, "the grader was not loaded within 1 s")


def test_a_task_that_cannot_be_handed_over_is_unscored(path: str) -> None:
    async def work(pool: Pool) -> Score:
        return await pool.grade(Request(path, (), Task("?", meta=MappingProxyType({})), "right"))

    assert "cannot be handed to the grader" in with_pool(work).reason


def test_an_answer_of_any_characters_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "grader.py").write_text(
        "from workroom.bench.score import Score\ndef grade(task, answer): return Score(1, extracted=answer)\n"
    )
    answer = "\ud800 \0 \u2028 \x1b é 😀 " + "x" * 1_000_000
    (score,) = ask(str(tmp_path / "grader.py"), answer)
    assert score == Score(1.0, extracted=answer)


def test_two_hundred_answers_at_once(path: str) -> None:
    async def work(pool: Pool) -> list[Score]:
        answers = ("right" if number % 3 else "wrong" for number in range(200))
        return list(await asyncio.gather(*(pool.grade(request(path, answer)) for answer in answers)))

    assert [score.value for score in with_pool(work, workers=2)] == [float(number % 3 > 0) for number in range(200)]


def test_cancelling_a_grade_ends_its_worker_and_all_that_it_started(path: str, tmp_path: Path) -> None:
    async def work(pool: Pool) -> tuple[Score, int]:
        grade = asyncio.create_task(pool.grade(request(path, "child", file=str(tmp_path / "pid"))))
        child = await written(tmp_path / "pid")
        grade.cancel()
        with pytest.raises(asyncio.CancelledError):
            await grade
        return await pool.grade(request(path, "right")), child

    score, child = with_pool(work)
    assert score.value == 1.0
    assert gone(child)


def test_closing_ends_what_is_under_way(path: str, tmp_path: Path) -> None:
    async def work(pool: Pool) -> list[Score]:
        grades = [asyncio.create_task(pool.grade(request(path, "child", file=str(tmp_path / "pid")))) for _ in range(2)]
        await written(tmp_path / "pid")
        await pool.aclose()
        return [await grade for grade in grades]

    assert with_pool(work) == [Score(None, "grading was stopped")] * 2


def test_workers_die_with_their_parent_however_it_dies(path: str, tmp_path: Path) -> None:
    script = f"""
import asyncio
from workroom.bench.graders.pool import Pool
from workroom.bench.graders.worker import Request
from workroom.task import Task

async def main():
    pool = Pool()
    print((await pool.grade(Request({path!r}, (), Task("?"), "pid"))).details["pid"], flush=True)
    await pool.grade(Request({path!r}, (), Task("?"), "loop"))

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        time.sleep(0.2)  # it is in its loop
        parent.kill()
    assert gone(worker)


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (True, 1.0),
        (0, 0.0),
        (0.25, 0.25),
        (Score(0.5), 0.5),
        (None, None),
        (float("nan"), None),
        (-1, None),
        ("1", None),
    ],
)
def test_what_counts_as_a_score(result: Any, value: float | None) -> None:
    score = as_score(result)
    assert score.value == value
    assert score.value is not None or score.reason
    json.dumps(score.value)


async def written(path: Path) -> int:
    """The number in a file, once it is there."""
    for _ in range(1000):
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        await asyncio.sleep(0.01)
    raise AssertionError("the grader wrote nothing")


def gone(pid: int) -> bool:
    """Whether a process has ended, within ten seconds."""
    for _ in range(1000):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
            time.sleep(0.01)
            continue
        return True
    return False
