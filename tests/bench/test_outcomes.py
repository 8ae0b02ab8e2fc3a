"""What is scored, what is not and why."""

from pathlib import Path

from tests.bench.benches import make_bench, series
from workroom.bench.outcomes import NOT_GRADED, Unscored, coverage, modes, scores_by_item, unscored
from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine


def test_scores_come_by_task_and_repeat_without_what_is_unscored(tmp_path: Path) -> None:
    bench = make_bench(
        tmp_path / "b", {"math": {"llm": {"t1": [1.0, None, 0.5], "t2": [None]}, "sandbox": series(0.0)}}
    )
    assert scores_by_item(bench, "math", "llm") == {"t1": [1.0, 0.5]}
    assert scores_by_item(bench, "math", "sandbox") == {"t1": [0.0]}
    assert scores_by_item(bench, "physics", "llm") == {}


def test_scores_are_in_the_order_of_tasks_and_repeats_not_of_writing(tmp_path: Path) -> None:
    made = make_bench(tmp_path / "b", {"math": {"llm": series(None, None)}})
    made.scores.clear()
    for task, repeat, score in (("t2", 2, 0.2), ("t2", 1, 0.1), ("t1", 1, 0.0)):
        key = Key("math", task, "llm", repeat)
        made.scores[key] = ScoreLine.of(key, Score(score), "g")
    assert list(scores_by_item(made, "math", "llm").items()) == [("t1", [0.0]), ("t2", [0.1, 0.2])]


def test_the_reason_is_the_graders_the_plants_or_that_nobody_graded(tmp_path: Path) -> None:
    path = tmp_path / "b"
    make_bench(path, {"math": {"llm": series(1.0, None, 0.0)}})
    with BenchDirectory.open(path) as bench:
        broken, fresh = Key("math", "t1", "sandbox", 1), Key("math", "t2", "sandbox", 1)
        bench.record(Attempt(*broken, stop_reason="model_error", answered=False, error="HTTP 500"))
        bench.record(Attempt(*fresh, stop_reason="submitted", answered=True))
    bench = BenchDirectory.load(path)
    judged = Unscored(Key("math", "t2", "llm", 1), "the judge did not answer")
    assert unscored(bench) == [judged, Unscored(broken, "HTTP 500"), Unscored(fresh, NOT_GRADED)]
    assert unscored(bench, "math", "llm") == [judged]
    assert unscored(bench, "physics") == []


def test_coverage_counts_what_is_there(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "b", {"math": {"llm": {"t1": [1.0, None], "t2": [None, None], "t3": []}}})
    found = coverage(bench, "math", "llm")
    assert (found.tasks, found.items, found.attempts, found.scored, found.unscored) == (3, 1, 4, 1, 3)
    assert str(found) == "1 of 4"
    assert not found.whole
    assert coverage(make_bench(tmp_path / "c", {"math": {"llm": series(1.0)}}), "math", "llm").whole


def test_modes_are_llm_sandbox_and_then_the_others(tmp_path: Path) -> None:
    arms = ("sandbox+read_only", "sandbox", "sandbox+in_prompt", "llm")
    bench = make_bench(tmp_path / "b", {"math": {arm: series(1.0) for arm in arms}, "physics": {"llm": series(1.0)}})
    assert modes(bench) == ["llm", "sandbox", "sandbox+in_prompt", "sandbox+read_only"]
    assert modes(bench, "physics") == ["llm"]
