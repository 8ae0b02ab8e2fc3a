"""Scripted models."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.support import Deltas, ask
from workroom.errors import BadRequest, ConfigError
from workroom.models.base import Message, Model, ToolCall, Usage
from workroom.models.scripted import ScriptedModel


def call(name: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def write(path: Path, *lines: Any) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def play(model: Model, turns: int) -> list[Message]:
    messages = [Message("user", "go")]
    for _ in range(turns):
        messages.append(ask(model, messages).message)
        messages.append(Message("user", "on"))
    return [message for message in messages if message.role == "assistant"]


def test_messages_are_played_in_order(tmp_path: Path) -> None:
    script = write(
        tmp_path / "s.jsonl",
        {"role": "assistant", "content": "one\u2028two", "reasoning_content": "hm"},
        "",
        {"tool_calls": [call("execute_bash", '{"command": "ls"}', id="a"), call("submit", {"x": 1})], "content": None},
        {"content": "three", "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
    )
    model = ScriptedModel(script)
    assert play(model, 3) == [
        Message("assistant", "one\u2028two", reasoning="hm"),
        Message(
            "assistant",
            tool_calls=(ToolCall("a", "execute_bash", '{"command": "ls"}'), ToolCall("call_1_1", "submit", '{"x": 1}')),
        ),
        Message("assistant", "three"),
    ]
    assert play(model, 1)[0].content == "one\u2028two"  # another episode begins at the first line
    assert model.name == f"scripted/{script}"


def test_usage_and_finish_reason(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    lines = [{"content": "a"}, {"tool_calls": [call("f", "")], "usage": usage}]
    model = ScriptedModel(write(tmp_path / "s.jsonl", *lines))
    first = ask(model)
    assert (first.usage, first.finish_reason) == (None, "stop")
    second = ask(model, [Message("assistant", "a")])
    assert (second.usage, second.finish_reason) == (Usage(5, 2), "tool_calls")


def test_a_script_that_runs_out(tmp_path: Path) -> None:
    model = ScriptedModel(write(tmp_path / "s.jsonl", {"content": "a"}))
    with pytest.raises(BadRequest, match="has 1 messages and is asked for one more"):
        play(model, 2)


def test_streams_its_pieces(tmp_path: Path) -> None:
    deltas = Deltas()
    line = {"content": "a", "reasoning_content": "b", "tool_calls": [call("f", "{}")]}
    ask(ScriptedModel(write(tmp_path / "s.jsonl", line)), on_delta=deltas)
    assert [deltas.text(kind) for kind in ("content", "reasoning", "tool_call")] == ["a", "b", "f{}"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '"text"',
        {"role": "user", "content": "a"},
        {"contents": "a"},
        {"content": 1},
        {"tool_calls": [{}]},
        {"tool_calls": [call(1, "")]},
        {"tool_calls": 1},
        {"content": "a", "usage": 1},
        {"content": "a", "reasoning_content": []},
    ],
)
def test_a_malformed_line_is_told_by_its_number(tmp_path: Path, line: Any) -> None:
    script = write(tmp_path / "s.jsonl", {"content": "fine"}, "", line)
    with pytest.raises(ConfigError, match=r"s\.jsonl, line 3: no assistant message in OpenAI form"):
        ScriptedModel(script)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        ScriptedModel(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        ScriptedModel(tmp_path / "binary.jsonl")


def test_a_folder_has_a_script_for_each_task(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    write(tmp_path / "outside.jsonl", {"content": "outside"})
    write(folder / "default.jsonl", {"content": "default"})
    write(folder / "math-1.jsonl", {"content": "math"})
    model = ScriptedModel(folder)
    assert play(model.for_task("math-1"), 1)[0].content == "math"
    for task in ("math-2", "../outside", "/", "x" * 300, "nul\0", "half \ud800"):
        assert play(model.for_task(task), 1)[0].content == "default"
    assert play(model, 1)[0].content == "default"
    assert model.for_task("math-1").for_task("math-2").name == f"scripted/{folder / 'math-1.jsonl'}"


def test_a_folder_without_a_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"default\.jsonl does not exist"):
        ScriptedModel(tmp_path).for_task("x")


def test_a_changed_script_is_read_again(tmp_path: Path) -> None:
    script = write(tmp_path / "s.jsonl", {"content": "a"})
    assert play(ScriptedModel(script), 1)[0].content == "a"
    write(script, {"content": "other"})
    assert play(ScriptedModel(script), 1)[0].content == "other"
