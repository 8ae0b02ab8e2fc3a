"""`sharegpt`: the conversation as LLaMA-Factory reads it, with `function_call` and `observation`.

The format wants messages of two sides in turn, the model's last, and nothing but JSON and a thought in a call. So the
answers to the calls of one turn are one observation, reminders that follow them are added to it, a turn's text goes
into its thought where it also makes calls, and what follows the last turn is left out.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workroom.trajectory.export.messages import conversation, text_of
from workroom.trajectory.files import to_json

if TYPE_CHECKING:
    from workroom.trajectory.rundir import RunDirectory

_SIDES = {"system": "system", "assistant": "model"}


@dataclass
class _Entry:
    """All that one side says before the other does."""

    side: str  # system, model or world
    begins_with: str
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def line(self) -> dict[str, str]:
        if self.side != "model":
            roles = {"system": "system", "tool": "observation"}
            return {"from": roles.get(self.begins_with, "human"), "value": "\n\n".join(self.texts)}
        if not self.calls:
            return {"from": "gpt", "value": _thought(self.thoughts) + "\n\n".join(self.texts)}
        calls = to_json(self.calls if len(self.calls) > 1 else self.calls[0])
        return {"from": "function_call", "value": _thought([*self.thoughts, *self.texts]) + calls}


def to_sharegpt(run: "RunDirectory") -> Iterator[dict[str, Any]]:
    """One record with `conversations` and `tools` (JSON text)."""
    entries: list[_Entry] = []
    for message in conversation(run.events):
        side = _SIDES.get(message["role"], "world")
        if not entries or entries[-1].side != side:
            entries.append(_Entry(side, message["role"]))
        text = text_of(message)
        entries[-1].texts += [text] if text or side == "world" else []
        entries[-1].thoughts += [message["reasoning_content"]] if "reasoning_content" in message else []
        entries[-1].calls += [_call(call["function"]) for call in message.get("tool_calls", ())]
    while entries and entries[-1].side != "model":
        entries.pop()
    tools = run.started.tools if run.started else []
    yield {
        "conversations": [entry.line() for entry in entries],
        "tools": to_json([tool.get("function", tool) for tool in tools]) if tools else "",
    }


def _thought(texts: list[str]) -> str:
    told = "\n\n".join(text for text in texts if text.strip())
    return f"<think>\n{told}\n</think>\n\n" if told else ""


def _call(function: dict[str, str]) -> dict[str, Any]:
    """The arguments as an object; what the model wrote wrong stays text."""
    try:
        arguments = json.loads(function["arguments"] or "{}", parse_constant=str)
    except (ValueError, RecursionError):
        arguments = function["arguments"]
    return {"name": function["name"], "arguments": arguments}
