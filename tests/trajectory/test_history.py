"""What a run can go on from, whatever a crash left of its log."""

from collections.abc import Sequence
from pathlib import Path

import atif
import pytest

from tests.trajectory.helpers import episode
from workroom.errors import ConfigError
from workroom.trajectory import (
    AssistantTurn,
    Call,
    EpisodeFinished,
    EpisodeResumed,
    Event,
    Reminder,
    RunDirectory,
    ToolFinished,
    TurnStarted,
    to_atif,
)
from workroom.trajectory.files import to_json
from workroom.trajectory.history import History, whole_turns
from workroom.trajectory.reader import kept, parse_events, whole_lines


def numbered(events: Sequence[Event], first: int = 0) -> list[Event]:
    written = [event for event in events if not event.live_only]
    for number, event in enumerate(written, first):
        event.seq = number
    return written


def history(events: Sequence[Event]) -> History:
    found = whole_turns(events)
    assert found is not None
    return found


def turn(number: int, *calls: str) -> list[Event]:
    answers: list[Event] = [
        ToolFinished(turn=number, call_id=name, name="execute_bash", observation="x") for name in calls
    ]
    made = [Call(id=name, name="execute_bash", arguments="{}") for name in calls]
    return [TurnStarted(turn=number), AssistantTurn(turn=number, content="", calls=made), *answers]


def test_the_last_turn_with_every_call_answered_counts() -> None:
    start = episode()[:1]
    whole = numbered([*start, *turn(1, "a", "b"), *turn(2, "c", "d")])
    ends = {0: 0, 4: 1, 8: 2}
    for length in range(1, len(whole) + 1):
        found = history(whole[:length])
        after = max(end for end in ends if end < length)
        assert (found.after, found.turn, found.next) == (after, ends[after], length)
        assert found.events == whole[: after + 1]
    assert whole_turns([]) is None


def test_a_turn_that_was_cut_short_is_made_again() -> None:
    log = numbered([*episode()[:1], *turn(1, "a"), *turn(2, "b", "c")])
    assert isinstance(log[7], ToolFinished)
    for why, whole in (("interrupted", 1), ("max_time", 1), ("cut_off", 2), ("submitted", 2)):
        log[7].facts = {"not_run": why}
        assert history(log).turn == whole


def test_a_turn_without_a_call_counts_with_its_reminder() -> None:
    silent: list[Event] = [TurnStarted(turn=1), AssistantTurn(turn=1, content="I think.")]
    events = numbered([*episode()[:1], *silent, Reminder(turn=1, reason="no_tool_call", text="Call a tool.")])
    assert history(events[:3]).turn == 0
    assert history(events).turn == 1
    # What is said before the next model call is said again.
    later = numbered([*episode()[:1], *turn(1, "a"), Reminder(turn=1, reason="last_turn", text="The last one.")])
    assert history(later).after == 3


def test_what_a_resumed_run_put_aside_is_not_history_but_was_used() -> None:
    first = numbered([*episode()[:1], *turn(1, "a"), *turn(2, "b", "c")[:3]])
    end, again = EpisodeFinished(stop_reason="interrupted"), EpisodeResumed(turn=1, after=3)
    log = first + numbered([end, again, Reminder(turn=1, reason="resumed", text="Again."), *turn(2, "d")], len(first))
    found = history(log)
    assert (found.turn, found.next) == (2, len(log))
    assert [event.seq for event in found.events] == [0, 1, 2, 3, 8, 9, 10, 11, 12]
    assert list(found.used) == log
    assert [event.type for event in kept(log)][-1] == "tool"
    assert not any(event.type == "episode_finished" for event in kept(log))
    steps = atif.Trajectory.model_validate(to_atif(log)).steps
    assert [step.source for step in steps] == ["system", "user", "agent", "user", "agent"]


def test_what_follows_a_lost_line_is_put_aside_but_not_what_came_after_going_on() -> None:
    log = numbered([*episode()[:1], *turn(1, "a"), *turn(2, "b")])
    del log[5]  # the second turn's message
    assert history(log).turn == 1
    again = numbered([EpisodeResumed(turn=1, after=3), *turn(2, "c")], 7)
    found = history(log + again)
    assert (found.turn, found.next) == (2, 11)
    assert [event.seq for event in found.events] == [0, 1, 2, 3, 7, 8, 9, 10]


def test_a_line_lost_before_an_earlier_going_on_leaves_no_call_without_an_answer() -> None:
    log = numbered([*episode()[:1], *turn(1, "a"), *turn(2, "b")])
    log += numbered([EpisodeResumed(turn=2, after=6), *turn(3, "c")], 7)
    del log[3]  # the answer of turn 1
    found = history(log)
    assert (found.turn, [event.seq for event in found.events]) == (0, [0])
    assert found.next == 11


def written(path: Path) -> bytes:
    run = RunDirectory.create(path, {"model": {"value": "scripted/x", "origin": "x"}})
    for event in episode():
        run.record(event)
    run.close()
    return (path / "events.jsonl").read_bytes()


def test_from_every_byte_of_a_log_the_run_can_be_read_and_reopened(tmp_path: Path) -> None:
    data = written(tmp_path / "run")
    log = tmp_path / "run" / "events.jsonl"
    lines = [len(data) - len(rest) for rest in (data[i + 1 :] for i, byte in enumerate(data) if byte == 0x0A)]
    before = -1
    for length in range(len(data) + 1):
        log.write_bytes(data[:length])
        loaded = RunDirectory.load(tmp_path / "run")
        to_json(to_atif(loaded.events))
        size = whole_lines(data[:length])
        assert size == max([0, *(end for end in lines if end <= length)])
        if size != before or length % 97 == 0:
            before = size
            with RunDirectory.reopen(tmp_path / "run") as run:
                assert log.stat().st_size == size
                assert run.events == parse_events(data[:size])[0]
                assert run.damaged == (length != size)
                if run.events:
                    run.record(run.stamp(Reminder(turn=0, reason="resumed", text="x")))
            assert parse_events(log.read_bytes())[1] == 0


@pytest.mark.parametrize("tail", [b"\0" * 5000, b'{"type": "tool"', b"\xff\xfe\n", b"[1]\n{}\n", b"[" * 9999])
def test_a_damaged_tail_is_cut_off_when_the_run_goes_on(tmp_path: Path, tail: bytes) -> None:
    data = written(tmp_path / "run")
    log = tmp_path / "run" / "events.jsonl"
    log.write_bytes(data + tail)
    (tmp_path / "run" / "run.json.tmp.123").write_bytes(b"half")
    with RunDirectory.reopen(tmp_path / "run") as run:
        assert run.damaged >= 1
        assert run.finished is not None
        with pytest.raises(ConfigError, match="in use by another run"):
            RunDirectory.reopen(tmp_path / "run")
    assert log.read_bytes() == data
    assert not (tmp_path / "run" / "run.json.tmp.123").exists()


def test_without_a_run_or_its_settings_nothing_can_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run in"):
        RunDirectory.reopen(tmp_path / "none")
    written(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"its run\.json is missing or damaged"):
        RunDirectory.reopen(tmp_path / "run")
