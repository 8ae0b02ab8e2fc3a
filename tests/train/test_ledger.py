"""Metrics: a line a step, healed after a kill, cut on resume; and what a terminal is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from workroom.errors import WorkroomError
from workroom.train.ledger import FILE, Ledger, Progress, duration, read


def steps(place: Path) -> list[tuple[str, int]]:
    return [(line.kind, line.step) for line in read(place)]


def test_lines_are_there_at_once_and_told(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    with Ledger(tmp_path, tensorboard=False, on_metrics=told.append) as ledger:
        ledger.write("train", 1, {"reward": 0.5, "loss": float("nan"), "held_out": "test"})
        (record,) = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert record["values"] == {"reward": 0.5, "loss": None, "held_out": "test"}
    assert told[0]["step"] == 1
    assert told[0]["kind"] == "train"


def test_a_torn_line_is_cut_and_what_came_after_the_checkpoint_too(tmp_path: Path) -> None:
    with Ledger(tmp_path, tensorboard=False) as ledger:
        ledger.write("warm_start", 9, {"loss": 1.0})
        for step in (1, 2, 3, 4):
            ledger.write("train", step, {"reward": step / 10})
        ledger.write("validation", 2, {"sandbox/success": 0.5})
        ledger.write("validation", 4, {"sandbox/success": 0.9})
    with (tmp_path / FILE).open("a") as file:
        file.write('{"step": 5, "kind": "tr')  # a kill in the middle of a line
    assert steps(tmp_path)[-1] == ("validation", 4)
    with Ledger(tmp_path, resume_step=2, tensorboard=False) as ledger:
        assert steps(tmp_path) == [("warm_start", 9), ("train", 1), ("train", 2), ("validation", 2)]
        assert ledger.has("validation", 2)
        assert not ledger.has("validation", 4)
        ledger.write("train", 3, {"reward": 0.7})
    assert steps(tmp_path)[-1] == ("train", 3)
    assert [line.values["reward"] for line in read(tmp_path) if line.kind == "train"] == [0.1, 0.2, 0.7]


def test_a_training_that_begins_anew_has_no_old_lines(tmp_path: Path) -> None:
    with Ledger(tmp_path, tensorboard=False) as ledger:
        ledger.write("train", 1, {})
    with Ledger(tmp_path, tensorboard=False):
        assert steps(tmp_path) == []


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"step": 1, "kind": "train", "values": {}}\n{"step": 2}\nnull\n')
    assert steps(tmp_path) == [("train", 1)]


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkroomError, match="cannot write"):
        Ledger(tmp_path / "gone", tensorboard=False)


def test_tensorboard_has_the_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Ledger(tmp_path) as ledger:
        ledger.write("train", 1, {"reward": 0.25, "held_out": "test", "gone": None})
        ledger.write("train", 2, {"reward": 0.5})
    with Ledger(tmp_path, resume_step=1) as ledger:
        ledger.write("train", 2, {"reward": 0.75})
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert board.Tags()["scalars"] == ["train/reward"]
    assert [(event.step, event.value) for event in board.Scalars("train/reward")] == [(1, 0.25), (2, 0.75)]


def test_a_step_is_told_with_the_time_that_is_left() -> None:
    now = iter([100.0, 160.0, 220.0])
    progress = Progress(10, clock=lambda: next(now))
    values = {"reward": 0.5, "success": 0.25, "turns": 2.0, "sampled_tokens": 40.0, "step_seconds": 80.0}
    first = progress.line({"step": 1, "kind": "train", "values": values})
    assert first == (
        "step 1 of 10 · reward 0.50 · success 25 % · 2.0 turns · 40 tokens an episode · 80 s · 12 min left"
    )
    progress.line({"step": 2, "kind": "train", "values": values})
    third = progress.line({"step": 3, "kind": "train", "values": {"reward": None}})
    assert third == "step 3 of 10 · 8 min left"  # 80, 60 and 60 s: 66.7 s for each of seven


def test_the_last_step_has_nothing_left_and_the_others_have_words_of_their_own() -> None:
    progress = Progress(1)
    assert progress.line({"step": 1, "kind": "train", "values": {"step_seconds": 5.0}}) == "step 1 of 1 · 5 s"
    assert progress.line({"step": 2, "kind": "warm_start", "values": {"loss": 0.5}}) == (
        "warm start, step 2 · loss 0.500"
    )
    values = {"sandbox/success": 0.5, "sandbox/turns": 2.0, "llm/success": 0.0, "held_out": "test"}
    assert progress.line({"step": 1, "kind": "validation", "values": values}) == (
        "held out after step 1 · sandbox: success 50 %, 2.0 turns · llm: success 0 %"
    )
    assert progress.line({"step": 1, "kind": "timing", "values": {"seconds": 3.0}}) == ""


@pytest.mark.parametrize(("seconds", "words"), [(59, "59 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
