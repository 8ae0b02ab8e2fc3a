"""What the tests of the adapters share: tools, a conversation, one call of a model, golden files."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolCall, ToolSpec

KEY = "sk-proj-S3cr3tS3cr3tS3cr3t"
GOLDEN = Path(__file__).parent / "golden"

BASH = ToolSpec(
    "execute_bash",
    "Runs a command in bash.",
    {
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
        "required": ["command"],
    },
)
SUBMIT = ToolSpec("submit", "Ends the task.", {"type": "object", "properties": {}})
TOOLS = (BASH, SUBMIT)

CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "How many lines?"),
    Message(
        "assistant",
        "I look.",
        tool_calls=(
            ToolCall("call_1", "execute_bash", '{"command": "wc -l a.txt"}'),
            ToolCall("call_2", "execute_bash", '{"command": "ls'),
            ToolCall("call_3", "no such tool!", ""),
        ),
    ),
    Message("tool", "3 a.txt", tool_call_id="call_1"),
    Message("tool", "The arguments are no valid JSON.", tool_call_id="call_2", is_error=True),
    Message("tool", "", tool_call_id="call_3"),
    Message("assistant", ""),
    Message("user", "Call a tool."),
    Message("user", "Two turns are left."),
)


def ask(
    model: Model,
    messages: Sequence[Message] = (Message("user", "hello"),),
    tools: Sequence[ToolSpec] = TOOLS,
    *,
    sampling: Sampling | None = None,
    on_delta: Callable[[Delta], None] | None = None,
    times: int = 1,
) -> Completion:
    """The last of `times` equal calls."""

    async def calls() -> Completion:
        try:
            for _ in range(times):
                completion = await model.complete(messages, tools, sampling=sampling, on_delta=on_delta)
            return completion
        finally:
            await model.aclose()
            await model.aclose()

    return asyncio.run(calls())


class Deltas(list[Delta]):
    """Collects what is streamed."""

    def __call__(self, delta: Delta) -> None:
        self.append(delta)

    def text(self, kind: str) -> str:
        return "".join(delta.text for delta in self if delta.kind == kind)


def golden(name: str, text: str) -> None:
    """The text is what the file holds. WORKROOM_GOLDEN=write writes the file instead."""
    path = GOLDEN / name
    if os.environ.get("WORKROOM_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def texts_of(error: BaseException | None) -> str:
    """All that a traceback of the error would print, and what hangs on it."""
    texts: list[Any] = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)
