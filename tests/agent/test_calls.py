"""Whatever a model calls is answered and counted, in order, and the episode goes on (faults F18 and F19)."""

import asyncio
import json

import pytest

from tests.agent.helpers import ANSWER, FINISH, QUICK, SUBMIT, Player, bash, call, end, play, says, tools
from tests.conftest import SMALL, RunInBox
from tests.fakes import FakeServer, anthropic, openai
from tests.fakes.server import Handler
from workroom.agent import Agent, EpisodeLimits
from workroom.models import open_model
from workroom.models.base import ToolCall
from workroom.sandbox import Sandbox
from workroom.trajectory import AssistantTurn, Event, ToolFinished, ToolStarted

DEEP = "[" * 100_000 + "]" * 100_000
FINAL = [("execute_bash", ANSWER), ("submit", {})]
EDITOR = {"path": "/testbed/made", "file_text": "x"}

# what is wrong: the tool, the arguments as the model writes them, and what it is told
BAD: dict[str, tuple[str, str, str]] = {
    "cut": ("execute_bash", '{"command": "touch made', "no JSON object: Unterminated string"),
    "no JSON": ("execute_bash", "touch made", "no JSON object: Expecting value"),
    "two objects": ("execute_bash", '{"command": "touch made"}{}', "no JSON object: Extra data"),
    "single quotes": ("execute_bash", "{'command': 'touch made'}", "no JSON object"),
    "a list": ("execute_bash", '["touch made"]', "no JSON object"),
    "a string": ("submit", '"touch made"', "no JSON object"),
    "NaN": ("execute_bash", '{"command": "touch made", "timeout": NaN}', "NaN is no JSON value"),
    "infinity": ("execute_bash", '{"command": "touch made", "timeout": 1e999}', "`timeout` must be a number"),
    "a key twice": ("execute_bash", '{"command": "ls", "command": "touch made"}', "'command' is given twice"),
    "nested": ("execute_bash", f'{{"command": {DEEP}}}', "nested too deep"),
    "nested, not closed": ("submit", '{"answer":' * 100_000, "nested too deep"),
    "nested a little": ("execute_bash", f'{{"command": {"[" * 90}{"]" * 90}}}', "must be a string, not a list"),
    "5 MB, cut": ("execute_bash", '{"command": "touch made #' + "x" * 5_000_000, "Unterminated string"),
    "5 MB as a name": ("execute_bash", json.dumps({"y" * 5_000_000: 1, "command": "touch made"}), "no parameter 'yyy"),
    "5 MB as a number": ("execute_bash", '{"timeout": ' + "9" * 5_000_000 + "}", "no JSON object"),
    "5 MB as a path": (
        "str_replace_editor",
        json.dumps({"command": "view", "path": "/" + "z" * 5_000_000}),
        "too long",
    ),
    "none": ("execute_bash", "", "`command` is required"),
    "null": ("execute_bash", "null", "`command` is required"),
    "a null": ("execute_bash", '{"command": null}', "`command` is required"),
    "missing": ("str_replace_editor", '{"command": "view"}', "`path` is required"),
    "missing for this command": ("str_replace_editor", '{"command": "create", "path": "/testbed/made"}', "`file_text`"),
    "extra": (
        "execute_bash",
        '{"command": "touch made", "cwd": "/"}',
        "no parameter 'cwd'; its parameters are: command",
    ),
    "extra for submit": ("submit", '{"final": 42}', "no parameter 'final'"),
    "a list as command": ("execute_bash", '{"command": ["touch", "made"]}', "must be a string, not a list"),
    "a word as time": ("execute_bash", '{"command": "touch made", "timeout": "soon"}', "must be a number"),
    "true as time": ("execute_bash", '{"command": "touch made", "timeout": true}', "must be a number, not a boolean"),
    "an object as text": (
        "str_replace_editor",
        json.dumps({**EDITOR, "command": "create", "file_text": {}}),
        "an object",
    ),
    "a word as line": (
        "str_replace_editor",
        '{"command": "insert", "path": "/testbed/f", "new_str": "", "insert_line": "x"}',
        "`insert_line` must be an integer",
    ),
    "half a line": (
        "str_replace_editor",
        '{"command": "insert", "path": "/testbed/f", "new_str": "", "insert_line": 0.5}',
        "`insert_line` must be an integer",
    ),
    "NUL in a command": ("execute_bash", '{"command": "touch made \\u0000"}', "NUL"),
    "NUL in a path": (
        "str_replace_editor",
        json.dumps({**EDITOR, "command": "create", "path": "/testbed/made\0"}),
        "NUL",
    ),
    "half a surrogate pair": (
        "str_replace_editor",
        json.dumps({**EDITOR, "command": "create", "file_text": "\ud800"}),
        "surrogate",
    ),
    "an unknown command": (
        "str_replace_editor",
        json.dumps({**EDITOR, "command": "write"}),
        "the commands are: view, create",
    ),
    "an unknown tool": (
        "bash",
        '{"command": "touch made"}',
        "there is no tool 'bash'; the tools are: execute_bash, str",
    ),
    "a tool without a name": ("", "{}", "there is no tool ''"),
    "a tool with a long name": ("t" * 5_000_000, "{}", "there is no tool 'ttt"),
}


def test_the_same_mistake_gets_the_same_answer_every_time(run_in_box: RunInBox) -> None:
    """Each mistake is made in two turns and twice in one turn."""
    turns = []
    for name, arguments, _ in BAD.values():
        bad = call(name, arguments)
        turns += [says(bad, bash("true")), says(bad, bad, bash("true"))]
    events = play(run_in_box, Player(*turns, says(bash("ls -A")), says(*FINISH)), limits=EpisodeLimits(max_turns=200))
    assert (end(events).stop_reason, end(events).turns) == ("submitted", len(turns) + 2)
    answers = tools(events)
    for number, (what, (name, _, said)) in enumerate(BAD.items()):
        seen = [answer for answer in answers if answer.turn in (2 * number + 1, 2 * number + 2)]
        assert [answer.name for answer in seen] == [name, "execute_bash", name, name, "execute_bash"], what
        texts = {answer.observation for answer in (seen[0], seen[2], seen[3])}
        assert len(texts) == 1, what
        [text] = texts
        assert text.startswith("Error: "), what
        assert said in text, what
        assert len(text) < 1000, what
        assert all(answer.is_error for answer in (seen[0], seen[2], seen[3])), what
    assert "made" not in answers[-3].observation


def test_five_megabytes_are_no_mistake(run_in_box: RunInBox) -> None:
    large = "x" * 5_000_000
    text = call("str_replace_editor", {"command": "create", "path": "/testbed/large", "file_text": large})
    events = play(run_in_box, Player(says(text, bash(f": {large}; wc -c < large")), says(*FINISH)))
    assert "created (5,000,000 bytes)" in tools(events)[0].observation
    assert "[stdout]\n5000000\n" in tools(events)[1].observation


def test_text_beside_calls_does_not_keep_them_from_being_run(run_in_box: RunInBox) -> None:
    model = Player(says(bash("echo 1"), bash("echo 2"), text="I run two commands."), says(*FINISH, text="Done: 42."))
    events = play(run_in_box, model)
    order = [event for event in events if isinstance(event, (AssistantTurn, ToolStarted, ToolFinished))]
    assert [event.type for event in order] == ["assistant", *["tool_started", "tool"] * 2] * 2
    assert [event.content for event in order if isinstance(event, AssistantTurn)] == [
        "I run two commands.",
        "Done: 42.",
    ]
    assert (end(events).turns, end(events).answer) == (2, "42")
    assert model.seen[1][2].content == "I run two commands."


def test_a_mistake_between_two_calls_keeps_neither_from_being_run(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(bash("echo 1 > f"), call("bash"), bash("cat f")), says(*FINISH)))
    assert [seen.is_error for seen in tools(events)[:3]] == [False, True, False]
    assert "[stdout]\n1\n" in tools(events)[2].observation


def test_nothing_is_run_after_submit_whatever_is_called(run_in_box: RunInBox) -> None:
    late = (bash("echo 0 > answer.txt"), call("nosuch"), call("execute_bash", "{"), SUBMIT)
    events = play(run_in_box, Player(says(*FINISH, *late)))
    assert (end(events).stop_reason, end(events).answer, end(events).turns) == ("submitted", "42", 1)
    refused = tools(events)[2:]
    assert [seen.name for seen in refused] == ["execute_bash", "nosuch", "execute_bash", "submit"]
    assert {seen.observation for seen in refused} == {"Not run: the work had been submitted before this call."}


def test_every_call_has_an_id_of_its_own_whatever_the_server_sends(run_in_box: RunInBox) -> None:
    ids = ["call_1_1", "call_1_1", "", "call_1_2", "call_1_1"]
    calls = [bash(f"echo {number}") for number in range(5)]
    given = [ToolCall(identifier, one.name, one.arguments) for identifier, one in zip(ids, calls, strict=True)]
    model = Player(says(*given), says(*FINISH))
    events = play(run_in_box, model)
    answers = tools(events)[:5]
    assert len({answer.call_id for answer in answers}) == 5
    assert [answer.observation.split("\n")[2] for answer in answers] == ["0", "1", "2", "3", "4"]
    history = model.seen[1]
    assert [one.id for one in history[2].tool_calls] == [message.tool_call_id for message in history[3:8]]


DEEP_CALL = f'{{"command": {"[" * 3000}{"]" * 3000}}}'


@pytest.mark.parametrize("protocol", ["native", "json", "anthropic"])
def test_a_call_nested_too_deep_goes_back_to_every_kind_of_server(protocol: str) -> None:
    """The turn after sends the history with the bad call in it."""
    replies = {"native": _openai, "json": _text, "anthropic": _anthropic}[protocol]()

    async def work(server: FakeServer) -> list[Event]:
        model = (
            open_model("anthropic/fake", base_url=server.root, api_key="none")
            if protocol == "anthropic"
            else open_model("openai/fake", base_url=server.url, protocol="json" if protocol == "json" else "native")
        )
        async with Sandbox.open("bwrap", limits=SMALL) as box:
            events = [event async for event in Agent(model, box, retry=QUICK).stream("x")]
        await model.aclose()
        return events

    with FakeServer(replies) as server:
        events = asyncio.run(work(server))
        assert len(server.requests) == 2
    assert (end(events).stop_reason, end(events).answer) == ("submitted", "42")
    assert tools(events)[0].observation.startswith("Error: ")
    assert "[" * 3000 in server.requests[1].body.decode()


def _openai() -> list[Handler]:
    return [openai.assistant(calls=[("execute_bash", DEEP_CALL)]), openai.assistant(calls=FINAL)]


def _text() -> list[Handler]:
    def block(name: str, arguments: object) -> str:
        return f"```json\n{json.dumps({'name': name, 'arguments': arguments})}\n```\n"

    return [
        openai.assistant(block("execute_bash", DEEP_CALL)),
        openai.assistant("".join(block(name, arguments) for name, arguments in FINAL)),
    ]


def _anthropic() -> list[Handler]:
    parts = anthropic.events([anthropic.tool_use("execute_bash", {})])
    for part in parts:
        if part["type"] == "content_block_delta":
            part["delta"]["partial_json"] = DEEP_CALL
    last = [anthropic.tool_use(name, arguments, f"toolu_{name}") for name, arguments in FINAL]
    return [lambda _: anthropic.stream(parts), anthropic.message(last)]
