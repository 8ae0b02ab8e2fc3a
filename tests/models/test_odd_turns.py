"""What a model can answer that is odd, over the wire and through whole episodes (faults F18 to F20)."""

import json
from typing import Any

import pytest

from tests.fakes import anthropic, openai
from tests.models.fault_support import BASH, DONE, KINDS, Call, Wire, play
from workroom.trajectory import Reminder

NESTED = "[" * 10_000 + "]" * 10_000
ODD: list[Call] = [
    (BASH, '{"command": '),
    (BASH, "[1, 2]"),
    (BASH, '{"command": 7e999, "timeout": NaN}'),
    (BASH, '{"command": ["ls"]}'),
    (BASH, "{}"),
    (BASH, '{"command": "true", "extra": 1}'),
    (BASH, '{"command": "true", "command": "false"}'),
    (BASH, '{"command": "echo \\u0000"}'),
    (BASH, '{"command": "echo \\ud800"}'),
    (BASH, '{"command": ' + NESTED + "}"),
    (BASH, '{"a": ' + "[" * 500 + "]" * 500 + "}"),
    (BASH, json.dumps({"command": "x" * 5_000_000, "timeout": {}})),
    ("no_such_tool", "{}"),
    ("", "{}"),
]


@pytest.fixture(params=KINDS)
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


def test_odd_arguments_are_told_to_the_model_and_are_turns(wire: Wire) -> None:
    replies = [wire.says("", call) for call in ODD for _ in range(2)]
    played = play(wire, [*replies, wire.says("", *DONE)], mode="sandbox")
    assert (played.end.stop_reason, played.end.turns) == ("submitted", 2 * len(ODD) + 1)
    assert not played.waits
    assert all(tool.is_error for tool in played.tools[:-2])
    told = [tool.observation.rpartition("\n[")[0] for tool in played.tools[:-2]]
    assert told[::2] == told[1::2]  # the same words every time
    assert max(map(len, told)) < 2000


def test_several_calls_words_and_equal_ids(wire: Wire) -> None:
    two: list[Call] = [(BASH, {"command": "echo one >> log"}), (BASH, {"command": "echo two >> log; cat log"})]
    late: list[Call] = [*DONE, (BASH, {"command": "echo late > answer.txt"})]
    replies = [wire.says("I do both.", *two, ids=["same", "same"]), wire.says("", *late)]
    played = play(wire, replies, mode="sandbox")
    first, second = played.tools[:2]
    assert first.call_id != second.call_id
    assert "one\ntwo" in second.observation
    assert played.turns[0].content == "I do both."
    assert (played.end.stop_reason, played.end.answer) == ("submitted", "42")
    assert "Not run" in played.tools[-1].observation


FINISHES = {
    "openai": ["stop", "length", "content_filter", "tool_calls", "odd"],
    "anthropic": ["end_turn", "max_tokens", "refusal", "stop_sequence", "tool_use", "pause_turn", "odd"],
}
CASES = [(kind, finish) for kind in KINDS for finish in FINISHES[kind]]


@pytest.mark.parametrize(("kind", "finish"), CASES)
def test_a_turn_without_a_call_is_reminded_counted_and_ends_after_three(kind: Any, finish: str) -> None:
    wire = Wire(kind)
    played = play(wire, [wire.says(text, finish=finish) for text in ("", " \n", "No.")], mode="sandbox")
    assert (played.end.stop_reason, played.end.turns, len(played.requests)) == ("stalled", 3, 3)
    assert len([event for event in played.events if isinstance(event, Reminder)]) == 2
    assert played.end.usage.completion == 3 * 7
    assert not played.end.usage.estimated


@pytest.mark.parametrize(("kind", "finish"), CASES)
def test_a_plain_answer_by_how_it_ended(kind: Any, finish: str) -> None:
    wire = Wire(kind)
    played = play(wire, [wire.says("words", finish=finish)])
    cut = finish in ("length", "max_tokens")
    assert (played.end.stop_reason, played.end.answer) == ("max_tokens" if cut else "submitted", "words")
    assert play(wire, [wire.says("", finish=finish)]).end.stop_reason == ("max_tokens" if cut else "stalled")


@pytest.mark.parametrize("finish", ["length", "max_tokens"])
def test_a_call_at_the_end_of_a_cut_answer_is_not_run(finish: str) -> None:
    wire = Wire("openai" if finish == "length" else "anthropic")
    calls: list[Call] = [(BASH, {"command": "echo 1 >> log"}), (BASH, {"command": "echo 2 >> log"})]
    look: Call = (BASH, {"command": "cat log"})
    played = play(wire, [wire.says("", *calls, finish=finish), wire.says("", look, *DONE)], mode="sandbox")
    assert [tool.is_error for tool in played.tools] == [False, True, False, False, False]
    assert "1\n" in played.tools[2].observation
    assert "2\n" not in played.tools[2].observation


def test_a_refusal_in_a_field_of_its_own_is_what_the_model_said() -> None:
    wire = Wire("openai")
    events = [openai.chunk({"refusal": "I cannot "}), openai.chunk({"refusal": "do that."}), openai.chunk({}, "stop")]
    assert play(wire, [openai.stream(events)]).end.answer == "I cannot do that."


def test_reasoning_alone_is_no_answer() -> None:
    for wire, reply in (
        (Wire("openai"), openai.assistant(reasoning="hm")),
        (Wire("anthropic"), anthropic.message([anthropic.thinking("hm")])),
    ):
        played = play(wire, [reply] * 3, mode="sandbox")
        assert (played.end.stop_reason, played.end.turns) == ("stalled", 3)
        assert played.turns[0].reasoning == "hm"
