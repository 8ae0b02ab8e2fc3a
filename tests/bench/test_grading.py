"""Scores of one bench come from one grader and one judge."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import script, workroom
from tests.cli.test_bench import PLAIN
from workroom.bench.plan import JudgeSettings

GRADER = "def grade(task, answer):\n    return {}\n"


def suite(place: Path) -> Path:
    """A suite of two tasks, with a grader of its own that finds all right."""
    folder = place / "own"
    done = workroom(place, "bench", "new", "own")
    assert done.returncode == 0, done.stderr
    (folder / "grader.py").write_text(GRADER.format("1.0"))
    items = [{"id": name, "question": "How many?", "answer": "4", "grader": "grader.py"} for name in "ab"]
    (place / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return folder


def scores(place: Path) -> list[float | None]:
    lines = map(json.loads, (place / "out" / "scores.jsonl").read_text().splitlines())
    return list({line["task"]: line["score"] for line in lines}.values())


def test_with_another_grader_a_bench_goes_on_only_when_all_of_it_is_graded_anew(tmp_path: Path) -> None:
    folder = suite(tmp_path)
    model = script(tmp_path / "s.jsonl", "4")
    begin: tuple[Any, ...] = (
        *("bench", "run", folder, "--data", tmp_path / "items.jsonl", "-m", model, "-o", "out", "--mode", "llm"),
        *PLAIN,
    )
    done = workroom(tmp_path, *begin)
    assert (done.returncode, scores(tmp_path)) == (0, [1.0, 1.0]), done.stderr
    (folder / "grader.py").write_text(GRADER.format("0.0"))
    for again in (begin, ("bench", "resume", "out"), ("bench", "grade", "out", "--unscored")):
        refused = workroom(tmp_path, *again)
        assert refused.returncode == 2
        assert "the grader of the suite own has changed" in refused.stderr
        assert "workroom bench grade out" in refused.stderr
    assert workroom(tmp_path, "bench", "grade", "out").returncode == 0
    assert scores(tmp_path) == [0.0, 0.0]
    assert workroom(tmp_path, "bench", "resume", "out").returncode == 0


@pytest.mark.parametrize(
    ("told", "judge"),
    [
        (None, JudgeSettings("openai/a", "http://a/v1", 3)),
        ({"model": "openai/a", "base_url": None, "votes": None}, JudgeSettings("openai/a", "http://a/v1", 3)),
        ({"model": "openai/a", "votes": 5}, JudgeSettings("openai/a", "http://a/v1", 5)),
        ({"model": "openai/b", "base_url": "http://b/v1", "votes": 1}, JudgeSettings("openai/b", "http://b/v1", 1)),
        ({"model": "openai/b"}, JudgeSettings("openai/b", None, 3)),
        ({"model": 5}, JudgeSettings("openai/a", "http://a/v1", 3)),
    ],
)
def test_the_judge_that_graded_last_grades_again(
    tmp_path: Path, told: dict[str, Any] | None, judge: JudgeSettings
) -> None:
    if told is not None:
        (tmp_path / "judge").mkdir()
        (tmp_path / "judge" / "judge.json").write_text(json.dumps(told))
    assert JudgeSettings.of_last(tmp_path, JudgeSettings("openai/a", "http://a/v1", 3)) == judge
