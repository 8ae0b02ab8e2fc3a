"""Text protocols, around real adapters and a fake server."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeServer, Reply, Request, openai
from tests.models.support import CONVERSATION, TOOLS, Deltas, ask, golden
from workroom.errors import BadRequest, ContextOverflow
from workroom.models import open_model
from workroom.models.base import Completion, Message, ToolCall, ToolSpec
from workroom.models.scripted import ScriptedModel
from workroom.models.text import Kind, TextProtocolModel, render

JSON_TEXT = 'I look.\n```json\n{"name":"execute_bash","arguments":{"command":"ls"}}\n```'
NO_TOOLS = openai.error(400, "fake does not support tools")


def show(messages: list[Message]) -> str:
    return "\n".join(f"<<{message.role}>>\n{message.content}" for message in messages) + "\n"


@pytest.mark.parametrize("kind", ["json", "bash"])
def test_rendered_conversation(kind: Kind) -> None:
    golden(f"text_{kind}.md", show(render(CONVERSATION, TOOLS, kind)))


def test_without_tools_nothing_is_told() -> None:
    messages = [Message("system", "s"), Message("user", "u")]
    assert render(messages, (), "json") == messages
    assert render([Message("user", "u")], TOOLS, "json")[0].role == "system"


def test_the_example_is_of_a_tool_that_there_is() -> None:
    tool = ToolSpec("find", "Finds.", {"type": "object", "properties": {"what": {}}, "required": ["what"]})
    assert '{"name": "find", "arguments": {"what": "..."}}' in render([], [tool], "json")[0].content


def served(replies: list[Any], protocol: Any, messages: Any, **options: Any) -> tuple[Completion, list[Request]]:
    with FakeServer(replies) as server:
        completion = ask(open_model("openai/fake", base_url=server.url, protocol=protocol), messages, **options)
    return completion, server.requests


@pytest.mark.parametrize("stream", [False, True])
def test_json_protocol(stream: bool) -> None:
    deltas = Deltas()
    messages = [Message("system", "s"), Message("user", "u")]
    replies = [openai.assistant(JSON_TEXT, reasoning="hm")]
    completion, requests = served(replies, "json", messages, on_delta=deltas if stream else None)
    assert "tools" not in requests[0].json
    message = completion.message
    assert (message.content, message.reasoning) == ("I look.", "hm")
    assert message.tool_calls == (ToolCall("call_2_0", "execute_bash", '{"command": "ls"}'),)
    assert completion.finish_reason == "tool_calls"
    assert deltas.text("content") == (JSON_TEXT if stream else "")

    messages += [message, Message("tool", "a.txt\n", tool_call_id="call_2_0"), Message("user", "Go on.")]
    _, requests = served([openai.assistant("ok")], "json", messages)
    assert requests[0].json["messages"][1:] == [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": JSON_TEXT, "reasoning_content": "hm"},
        {"role": "user", "content": "Observation:\na.txt\n\nGo on."},
    ]
    json.dumps(message.provider)


def test_bash_protocol() -> None:
    text = "I look.\n\n```bash\nls\n```"
    completion, requests = served([openai.assistant(text)], "bash", [Message("user", "u")])
    assert completion.message.tool_calls == (ToolCall("call_1_0", "execute_bash", '{"command": "ls"}'),)
    assert completion.message.provider is None  # rendered again, it is the same text
    assert render([completion.message], (), "bash")[0].content == text
    assert "```bash" in requests[0].json["messages"][0]["content"]


@pytest.mark.parametrize(("kind", "tools"), [("json", None), ("bash", ("execute_bash", "submit"))])
def test_hints(kind: Kind, tools: tuple[str, ...] | None) -> None:
    model = open_model("openai/fake", base_url="http://127.0.0.1:1/v1", protocol=kind)
    assert (model.hints.protocol, model.hints.tools) == (kind, tools)


def test_what_the_model_invents_is_not_kept() -> None:
    text = f"{JSON_TEXT}\nObservation:\nb.txt\n"
    completion, _ = served([openai.assistant(text)], "json", [Message("user", "u")])
    assert show(render([completion.message], (), "json")) == f"<<assistant>>\n{JSON_TEXT}\n"


def test_an_answer_cut_by_its_length_stays_so() -> None:
    text = '```json\n{"name": "execute_bash", "arguments": {"command": "ls'
    completion, _ = served([openai.assistant(text, finish_reason="length")], "json", [Message("user", "u")])
    assert completion.finish_reason == "length"
    assert completion.message.tool_calls[0].arguments.endswith('"ls')
    completion, _ = served([openai.assistant("```bash\nls", finish_reason="length")], "bash", [Message("user", "u")])
    assert completion.message == Message("assistant", "```bash\nls")


@pytest.mark.parametrize("stream", [False, True])
def test_auto_switches_and_remembers(stream: bool) -> None:
    def reply(request: Request) -> Reply:
        return NO_TOOLS if "tools" in request.json else openai.assistant(JSON_TEXT)(request)

    with FakeServer(reply) as server:
        model = open_model("openai/fake", base_url=server.url)
        protocols: list[str] = [model.hints.protocol]
        completion = ask(model, on_delta=Deltas() if stream else None, times=2)
        protocols.append(model.hints.protocol)
    assert protocols == ["native", "json"]
    assert completion.message.tool_calls[0].name == "execute_bash"
    assert ["tools" in request.json for request in server.requests] == [True, False, False]


def test_auto_renders_native_calls_of_the_past_as_text() -> None:
    with FakeServer([NO_TOOLS, openai.assistant("ok")]) as server:
        ask(open_model("openai/fake", base_url=server.url), CONVERSATION)
    sent = server.requests[1].json["messages"]
    assert {"tool_calls", "tool_call_id"}.isdisjoint(key for message in sent for key in message)
    assert '```json\n{"name": "execute_bash", "arguments": {"command": "wc -l a.txt"}}\n```' in sent[2]["content"]


def test_native_alone_says_what_to_do() -> None:
    with pytest.raises(BadRequest, match="--tool-protocol json"):
        served([NO_TOOLS], "native", [Message("user", "u")])


def test_auto_recovers_a_call_in_the_text() -> None:
    completion, _ = served([openai.assistant(JSON_TEXT)], "auto", [Message("user", "u")])
    assert completion.message.content == "I look."
    assert completion.message.tool_calls == (ToolCall("call_1_0", "execute_bash", '{"command": "ls"}'),)
    assert completion.finish_reason == "tool_calls"
    for protocol, text in (("native", JSON_TEXT), ("auto", JSON_TEXT.replace("execute_bash", "other"))):
        completion, _ = served([openai.assistant(text)], protocol, [Message("user", "u")])
        assert completion.message == Message("assistant", text)


def test_auto_recovers_nothing_without_tools() -> None:
    completion, _ = served([openai.assistant(JSON_TEXT)], "auto", [Message("user", "u")], tools=())
    assert completion.message == Message("assistant", JSON_TEXT)


@pytest.mark.parametrize("protocol", ["auto", "json"])
def test_the_window_is_passed_on(protocol: Any) -> None:
    with FakeServer([openai.error(400, "maximum context length is 4096 tokens")]) as server:
        model = open_model("openai/fake", base_url=server.url, protocol=protocol)
        with pytest.raises(ContextOverflow):
            ask(model)
    assert model.window == 4096


def test_scripts_for_tasks_keep_the_protocol(tmp_path: Path) -> None:
    (tmp_path / "default.jsonl").write_text(json.dumps({"content": "```bash\nsubmit\n```"}) + "\n")
    model = TextProtocolModel(ScriptedModel(tmp_path), "bash").for_task("any")
    assert ask(model).message.tool_calls == (ToolCall("call_1_0", "submit", "{}"),)
    assert model.for_task("other") is model
