"""Groups with gaps in them, and the figures of a batch."""

from typing import Any

import pytest

from workroom.train.groups import grouped, usable
from workroom.train.meter import Meter, Watch
from workroom.train.metrics import summarise
from workroom.train.records import Rollout, TrainRow
from workroom.trajectory.events import StopReason

ROW = TrainRow((1, 2), (3, 4, 5), (1, 0, 1), (-0.5, 0.0, -0.25))
LONG = TrainRow((1, 2), (3, 4, 5, 6), (1, 0, 1, 1), (-0.5, 0.0, -0.25, -1.0))


def rollout(group: str, reward: float | None, *rows: TrainRow, stop: StopReason = "submitted", **rest: Any) -> Rollout:
    return Rollout(group, 0, rows, reward, stop, **rest)


BATCH = [
    rollout("a", 1.0, ROW),
    rollout("b", 0.0, LONG),
    rollout("a", None, stop="sandbox_error"),
    rollout("a", 0.0, LONG, ROW),
    rollout("b", None, LONG),
    rollout("c", 0.5),
    rollout("c", 0.0, ROW),
]


def test_what_can_be_learnt_from() -> None:
    assert {group: len(members) for group, members in grouped(BATCH).items()} == {"a": 2, "b": 1, "c": 2}
    assert usable(BATCH) == [BATCH[0], BATCH[3], BATCH[5], BATCH[6]]


def test_the_figures_of_a_batch() -> None:
    figures = summarise(
        [
            rollout("a", 1.0, ROW, components={"grade": 1.0}, turns=2, tool_calls={"execute_bash": 3, "submit": 1}),
            rollout("a", 0.0, ROW, ROW, components={"grade": 1.0}, turns=4, stop="max_turns", answer="x"),
            rollout("a", None, ROW, turns=9, stop="sandbox_error", tool_calls={"execute_bash": 9}),
            rollout("b", 0.5, LONG, components={"grade": 0.5}, tool_calls={"submit": 1}, model_seconds=3.0),
            rollout("b", 0.5, LONG, components={"grade": 0.5}, sandbox_seconds=2.0),
            rollout("c", 0.5, LONG, components={"grade": 0.5}),
        ]
    )
    expected = {
        "episodes": 6,
        "dropped": 1 / 6,
        "reward": 0.5,
        "reward_std": (0.5 / 5) ** 0.5,
        "success": 1 / 5,
        "right": 2 / 5,
        "answered": 1 / 5,
        "clipped": 1 / 5,
        "turns": 6 / 5,
        "sampled_tokens": (2 + 4 + 3 + 3 + 3) / 5,
        "observation_tokens": (1 + 2 + 1 + 1 + 1) / 5,
        "rows": 6 / 5,
        "tool_use": 1 / 5,
        "tool_calls": 5 / 5,
        "calls/execute_bash": 3 / 5,
        "calls/submit": 2 / 5,
        "model_seconds": 3 / 5,
        "sandbox_seconds": 2 / 5,
        "groups": 2,
        "flat_groups": 1 / 2,
        "stop/submitted": 4 / 6,
        "stop/max_turns": 1 / 6,
        "stop/sandbox_error": 1 / 6,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_figures_of_nothing_are_0() -> None:
    assert set(summarise([]).values()) == {0.0}


def test_the_clock_goes_to_what_holds_the_batch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("workroom.train.meter.time.monotonic", lambda: now)

    def at(seconds: float) -> None:
        nonlocal now
        now = seconds

    meter = Meter()
    one, two = Watch(meter), Watch(meter)
    one.turn_to("sandbox")
    two.turn_to("queue")
    at(1)  # one opens its sandbox: it is waited for
    one.turn_to("model")
    two.turn_to("sandbox")
    at(4)  # the sandbox of two is opened while the model is busy with one
    two.turn_to("model")
    one.turn_to("sandbox")
    at(6)
    two.turn_to("other")
    at(6.5)  # one closes, two is graded
    one.turn_to("other")
    at(10)
    one.turn_to(None)
    two.turn_to(None)
    assert meter.seconds == {"sandbox": 1.5, "model": 5, "other": 3.5, "queue": 0}
    assert one.seconds == {"sandbox": 3.5, "model": 3, "other": 3.5, "queue": 0}
    assert two.seconds == {"queue": 1, "sandbox": 3, "model": 2, "other": 4}
    figures = summarise([], meter)
    assert (figures["wall"], figures["model_share"], figures["sandbox_wait_share"]) == (10, 0.5, 0.15)
