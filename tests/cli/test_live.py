"""The live view on a stream."""

import io
from typing import Any

import pytest

from workroom.cli.live import View, describe_call, wants_colour
from workroom.trajectory.events import (
    AssistantTurn,
    Call,
    ContextTrimmed,
    Egress,
    EpisodeFinished,
    Event,
    ModelDelta,
    ModelWaiting,
    Reminder,
    TokenUsage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)

CALL = Call(id="1", name="execute_bash", arguments='{"command": "echo a\\necho b"}')


def shown(*events: Event, **options: Any) -> str:
    stream = io.StringIO()
    view = View(stream, width=100, **options)
    for event in events:
        view.event(event)
        view.tick()
    view.close()
    return stream.getvalue()


def test_a_turn_reads_as_thought_command_and_output() -> None:
    usage = TokenUsage(prompt=1200, completion=30)
    text = shown(
        TurnStarted(turn=1),
        AssistantTurn(turn=1, content="I look.", calls=[CALL], usage=usage, duration=2.5, elapsed=3),
        ToolStarted(turn=1, call=CALL),
        ToolFinished(turn=1, call_id="1", name="execute_bash", observation="a\nb", duration=1.25),
        EpisodeFinished(stop_reason="submitted", turns=1, usage=usage, duration=4, cost=0.0125),
        max_turns=9,
    )
    assert text.splitlines() == [
        "turn 1/9 · 2.5 s · 1,200 tokens in, 30 out · total 1,230 tokens, 3.0 s",
        "  I look.",
        "  $ echo a",
        "  > echo b",
        "  │ a",
        "  │ b",
        "  └ 1.2 s",
        "submitted after 1 turn · 1,230 tokens (1,200 in, 30 out) · 4.0 s (model 0.0, tools 0.0) · $0.0125",
    ]


def test_what_is_unusual_is_told() -> None:
    text = shown(
        ModelWaiting(turn=1, attempt=2, seconds=8, error="slow down"),
        Reminder(turn=1, reason="budget", text="hurry"),
        ContextTrimmed(turn=1, observations=2),
        Egress(host="evil\x1b.example", port=443, verdict="refused: not in the policy"),
        Egress(host="fine.example", port=443, verdict="allowed"),
        AssistantTurn(turn=1, content="cut", finish_reason="length"),
    )
    assert "slow down; trying again in 8 s (try 2)" in text
    assert "» hurry" in text
    assert "2 old observations shortened" in text
    assert "evil\\u{1b}.example:443 refused" in text
    assert "fine.example" not in text
    assert "cut by the model's server (length)" in text


def test_the_status_line_shows_what_streams_in_and_is_wiped() -> None:
    text = shown(
        TurnStarted(turn=1),
        ModelDelta(turn=1, kind="content", text="thinking\x1b[2J"),
        AssistantTurn(turn=1, content="x"),
        live=True,
    )
    assert "turn 1 · the model is writing · 0 s · thinking\\u{1b}[2J" in text
    assert "\r\x1b[2K" in text
    assert "\x1b" not in text.replace("\x1b[2K", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert text.splitlines()[-1].rpartition("\x1b[2K")[2] == "  x"


def test_quiet_writes_nothing_and_colour_only_when_asked_for() -> None:
    event = AssistantTurn(turn=1, content="x")
    assert shown(event, quiet=True) == ""
    assert "\x1b" not in shown(event)
    assert "\x1b[1mturn 1" in shown(event, colour=True)


def test_a_reader_that_is_gone_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    View(Gone()).progress("x")


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("execute_bash", '{"command": "ls"}', "$ ls"),
        ("execute_bash", "{broken", "execute_bash {broken"),
        ("execute_bash", '["ls"]', 'execute_bash ["ls"]'),
        ("submit", "{}", "submit"),
        ("other", '{"a": 1}', 'other {"a": 1}'),
        ("str_replace_editor", '{"command": "view", "path": "/x", "view_range": [1, 2]}', "view /x [1, 2]"),
        (
            "str_replace_editor",
            '{"command": "insert", "path": "/x", "insert_line": 3, "new_str": "y"}',
            "insert /x after line 3\n+ y",
        ),
        (
            "str_replace_editor",
            '{"command": "str_replace", "path": "/x", "old_str": "a", "new_str": "b"}',
            "str_replace /x\n- a\n+ b",
        ),
    ],
)
def test_a_call_is_described_as_a_person_reads_it(name: str, arguments: str, text: str) -> None:
    assert describe_call(name, arguments) == text


def test_colours_need_a_terminal_that_has_them() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert wants_colour(Terminal(), {"TERM": "xterm"})
    assert not wants_colour(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {"TERM": "xterm"})
