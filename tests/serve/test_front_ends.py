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
