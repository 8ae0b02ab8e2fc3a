"""Anthropic's Messages API on the wire: messages and tools to JSON, and events back to a message."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workroom.models.base import Delta, FinishReason, Image, Message, ToolCall, ToolSpec, Usage
from workroom.models.messages import (
    arguments_object,
    counts,
    encodable,
    reason_text,
    safe_name,
    sendable,
    tidy,
    unique_ids,
)

API = "anthropic"
_PLAIN = frozenset({"text", "tool_use"})
_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_CACHE = {"cache_control": {"type": "ephemeral"}}
_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


def wire_request(messages: Iterable[Message], tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """`system`, `messages` and `tools` of a request, with cache marks on the system text and the last user message."""
    kept = tidy(messages)
    system = "\n\n".join(message.content for message in kept if message.role == "system" and message.content)
    turns: list[dict[str, Any]] = []
    for message in kept:
        if message.role != "system":
            _append(turns, "assistant" if message.role == "assistant" else "user", _blocks(message))
    for turn in turns:
        if turn["role"] == "user":  # results come before any text, or the API refuses the message
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    if turns and turns[-1]["role"] == "user":
        turns[-1]["content"][-1] |= _CACHE
    request: dict[str, Any] = {"messages": turns}
    if system:
        request["system"] = [{"type": "text", "text": system, **_CACHE}]
    if tools:
        request["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
            for tool in tools
        ]
    return request


def _append(turns: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]]) -> None:
    """Roles have to alternate: what one side says in a row becomes one message."""
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        if message.images:
            text = [{"type": "text", "text": message.content}] if message.content.strip() else []
            result["content"] = [*text, *map(_image, message.images)]
        elif message.content:
            result["content"] = message.content
        if message.is_error:
            result["is_error"] = True
        return [result]
    if message.provider and message.provider.get("api") == API:
        return [dict(block) for block in message.provider["content"]]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content.strip() else []
    blocks += map(_image, message.images)
    return blocks + [
        {"type": "tool_use", "id": call.id, "name": safe_name(call.name), "input": arguments_object(call)}
        for call in message.tool_calls
    ]


def _image(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}}


class Answer:
    """What the server has said so far: fed event by event, or once with a whole message.

    It is complete once the server has said how it ended. `feed` raises LookupError, TypeError, ValueError,
    OverflowError or AttributeError for what is no message.
    """

    def __init__(self) -> None:
        self.model = ""
        self._finish: str | None = None
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, str] = {}

    def feed(self, event: Mapping[str, Any]) -> list[Delta]:
        """Takes an event in; what it adds, for a live view."""
        match event["type"]:
            case "message_start":
                self._take_envelope(event["message"])
            case "message":
                self._take_envelope(event)
                self._blocks = {index: _checked(block) for index, block in enumerate(event["content"])}
                self._inputs = {i: json.dumps(b["input"]) for i, b in self._blocks.items() if b["type"] == "tool_use"}
                self._finish = reason_text(event.get("stop_reason")) or "end_turn"
            case "content_block_start":
                block = _checked(event["content_block"])
                index = event["index"]
                if not isinstance(index, int):
                    raise TypeError("the index of a block is no number")
                self._blocks[index] = block
                if block["type"] == "tool_use":
                    self._inputs[index] = ""
                    return [Delta("tool_call", block["name"])]
            case "content_block_delta":
                return self._take_delta(event["index"], event["delta"])
            case "message_delta":
                self._count(event.get("usage") or {})
                self._finish = reason_text(event["delta"].get("stop_reason")) or self._finish
        return []

    def message(self, turn: int) -> Message:
        """The message that the blocks make. `turn` goes into the ids of calls that came without one."""
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        raw = [
            ToolCall(
                encodable(self._blocks[index]["id"]), encodable(self._blocks[index]["name"]), encodable(text) or "{}"
            )
            for index, text in sorted(self._inputs.items())
        ]
        thoughts = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
        calls = unique_ids(raw, turn)
        return Message(
            role="assistant",
            content=encodable("".join(block["text"] for block in blocks if block["type"] == "text")),
            reasoning=encodable(thoughts) or None,
            tool_calls=calls,
            provider=self._provider(calls),
        )

    @property
    def complete(self) -> bool:
        return self._finish is not None

    @property
    def finish_reason(self) -> FinishReason:
        return _FINISH.get(self._finish or "", "other")

    @property
    def usage(self) -> Usage | None:
        if not self._usage:
            return None
        numbers = counts(*map(self._usage.get, _COUNTS))
        if numbers is None:  # they cannot be meant, and limits go by them
            return None
        fresh, completion, cached, written = numbers
        return Usage(prompt=fresh + written + cached, completion=completion, cached=cached, cache_written=written)

    def _provider(self, calls: Sequence[ToolCall]) -> Mapping[str, Any] | None:
        """All blocks in their order where there are more than text and calls: thoughts are signed for their place."""
        if all(block["type"] in _PLAIN for block in self._blocks.values()):
            return None
        by_index = dict(zip(sorted(self._inputs), calls, strict=True))
        content = []
        for index, block in sorted(self._blocks.items()):
            if call := by_index.get(index):
                content.append({**block, "id": call.id, "input": arguments_object(call)})
            elif block["type"] != "text" or block["text"].strip():  # an empty text is refused
                content.append(block)
        return {"api": API, "content": [sendable(block) for block in content]}

    def _take_envelope(self, message: Mapping[str, Any]) -> None:
        self.model = message.get("model") or ""
        self._count(message.get("usage") or {})

    def _count(self, usage: Mapping[str, Any]) -> None:
        told = {key: usage[key] for key in _COUNTS if usage.get(key) is not None}
        counts(*told.values())  # raises here, within `feed`, for what is no number
        self._usage |= told

    def _take_delta(self, index: int, delta: Mapping[str, Any]) -> list[Delta]:
        block = self._blocks[index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
                return [Delta("content", delta["text"])]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
                return [Delta("reasoning", delta["thinking"])]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                self._inputs[index] += delta["partial_json"]
                return [Delta("tool_call", delta["partial_json"])] if delta["partial_json"] else []
        return []


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The block with texts where texts belong. Raises TypeError or LookupError for one of another form."""
    block = dict(given)
    for key in {"text": ["text"], "thinking": ["thinking"], "tool_use": ["name"]}.get(block["type"], ()):
        if not isinstance(block[key], str):
            raise TypeError(f"the {key} of a block is no text")
    if block["type"] == "tool_use":
        block["id"] = str(block.get("id") or "")
    return block
