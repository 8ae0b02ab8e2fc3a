"""What an attempt leaves, and what a bench reads of it."""

import asyncio
import json
from pathlib import Path

from workroom import open_model
from workroom.bench.attempt import Attempts, Job, read_answer
from workroom.bench.store import Attempt, Key
from workroom.config import from_arguments
from workroom.task import Task
from workroom.trajectory.reader import read_json


def perform(place: Path, *contents: str) -> tuple[Attempt, Path]:
    """An attempt in llm mode in which the model says this."""
    script = place / "script.jsonl"
    script.write_text("".join(json.dumps({"role": "assistant", "content": text}) + "\n" for text in contents))
    settings = from_arguments({"model": f"scripted/{script}", "mode": "llm", "max_turns": 1})
    job = Job(Key("math", "a", "llm", 1), Task("1?", id="a"), settings, place / "run")

    async def run() -> Attempt | None:
        attempts = Attempts(open_model(f"scripted/{script}"))
        try:
            return await attempts.perform(job)
        finally:
            await attempts.aclose()

    attempt = asyncio.run(run())
    assert attempt is not None
    return attempt, job.directory


def test_the_line_of_the_index_says_what_the_run_says(tmp_path: Path) -> None:
    attempt, directory = perform(tmp_path, "It is 2.")
    run = read_json(directory / "run.json")
    assert attempt.stop_reason == run["stop_reason"] == "submitted"
    assert attempt.usage == run["usage"]
    assert (attempt.started, attempt.finished) == (run["started"], run["finished"])
    assert (attempt.turns, attempt.seconds, attempt.answered) == (1, run["timings"]["total"], True)


def test_a_failure_is_in_the_line(tmp_path: Path) -> None:
    attempt, directory = perform(tmp_path)  # a script without a message
    assert attempt.failed
    assert attempt.error == read_json(directory / "run.json")["error"]
    assert "asked for one more" in (attempt.error or "")


def test_what_was_there_before_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "leftover").touch()
    _, directory = perform(tmp_path, "It is 2.")
    assert not (directory / "leftover").exists()


def test_an_answer_that_a_power_failure_took_is_in_the_events(tmp_path: Path) -> None:
    _, directory = perform(tmp_path, "It is 2.")
    assert read_answer(directory) == "It is 2."
    (directory / "answer.txt").write_bytes(b"")
    assert read_answer(directory) == "It is 2."
    (directory / "answer.txt").unlink()
    assert read_answer(directory) == "It is 2."
    (directory / "events.jsonl").unlink()
    assert read_answer(directory) is None
