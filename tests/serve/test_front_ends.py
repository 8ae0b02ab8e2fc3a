"""What chat front ends do by themselves: they offer tools of their own with every request."""

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serve.support import Server

TOOLS: list[Any] = [{"type": "function", "function": {"name": "add_memory", "parameters": {"type": "object"}}}]


def test_tools_that_a_front_end_offers_can_be_passed_over(place: Path) -> None:
    (place / "workroom.toml").write_text("[serve]\nignore_tools = true\n")
    with Server(place) as server:
        for passed in ("auto", "none", None):
            answer = server.say("SAY fine", tools=TOOLS, extra_body={"tool_choice": passed})
            assert answer.choices[0].message.content == "fine"
            assert "add_memory" not in str(server.model.bodies[-1])
        said = server.client().responses.create(
            model="obedient",
            input="SAY fine",
            tools=[{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        )
        assert said.output_text == "fine"
        wanted: list[Any] = ["required", {"type": "function", "function": {"name": "add_memory"}}]
        for choice in wanted:
            with pytest.raises(openai.BadRequestError, match="tools are not supported"):
                server.say("SAY fine", tools=TOOLS, tool_choice=choice)


def test_a_chat_that_another_model_had_with_tools_goes_on(place: Path) -> None:
    (place / "workroom.toml").write_text("[serve]\nignore_tools = true\n")
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "https://elsewhere.example/p.png"}}
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a lake"},
        {"role": "assistant", "content": "I see a lake.", "tool_calls": [call]},
        {"role": "assistant", "content": [{"type": "text", "text": "Here."}, picture]},
        {"role": "assistant", "content": []},
        {"role": "user", "content": "SAY fine"},
    ]
    items: list[Any] = [
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "a lake"},
        {"role": "user", "content": "SAY fine"},
    ]
    with Server(place) as server:
        assert server.say("", messages=messages).choices[0].message.content == "fine"
        said = [str(message["content"]) for message in server.model.prompts[-1][1:]]
        assert [text for text in said if "lake" in text] == ["I see a lake."]
        assert server.client().responses.create(model="obedient", input=items).output_text == "fine"
        wrong: Any = {"role": "user", "content": 7}
        for path, name, sent in (("chat/completions", "messages", messages), ("responses", "input", items)):
            answer = server.post(f"/v1/{path}", json={"model": "obedient", name: [*sent, wrong]})
            assert answer.json()["error"]["param"] == f"{name}[{len(sent)}].content"
