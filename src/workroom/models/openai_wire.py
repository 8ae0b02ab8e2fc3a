"""Chat Completions on the wire: messages and tools to JSON, and a server's chunks back to a message."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workroom.models.base import Delta, FinishReason, Image, Message, ToolCall, ToolSpec, Usage
from workroom.models.messages import (
    arguments_object,
    counts,
    encodable,
    pictures_behind,
    reason_text,
    safe_name,
    sendable,
    tidy,
    unique_ids,
)
from workroom.models.token_ids import Told, read_told

API = "openai"
_REASONING_KEYS = ("reasoning_content", "reasoning")
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "tool_calls": "stop",  # with calls it becomes `tool_calls` below
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
}
# The server gave up in the middle: what it sent is no answer.
_BROKEN_FINISH = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})


def wire_messages(messages: Iterable[Message], *, reasoning: bool = True) -> list[dict[str, Any]]:
    """The `messages` of a request. `reasoning`: send thoughts back under the key that they came with."""
    return [_wire_message(message, reasoning) for message in tidy(pictures_behind(messages))]


def wire_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The `tools` of a request."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in tools
    ]


def _wire_message(message: Message, reasoning: bool) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        wire["content"] = [{"type": "text", "text": message.content}, *map(_wire_image, message.images)]
    if message.role != "assistant":
        return wire
    provider = message.provider if message.provider and message.provider.get("api") == API else {}
    if reasoning and message.reasoning and (key := provider.get("reasoning_key")):
        wire[key] = encodable(message.reasoning)
    if reasoning and "reasoning_details" in provider:
        wire["reasoning_details"] = provider["reasoning_details"]
    if message.tool_calls:
        wire["content"] = message.content or None
        extras = provider.get("calls", {})
        wire["tool_calls"] = [{**_wire_call(call), **extras.get(call.id, {})} for call in message.tool_calls]
    return wire


def _wire_image(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}


def _wire_call(call: ToolCall) -> dict[str, Any]:
    given = arguments_object(call)
    # What was valid goes back byte for byte, so that the server's prompt cache still fits.
    arguments = json.dumps(given) if "invalid_json" in given or not call.arguments else call.arguments
    return {"id": call.id, "type": "function", "function": {"name": safe_name(call.name), "arguments": arguments}}


class Answer:
    """What a server has said so far: fed chunk by chunk, or once with a whole completion.

    It is complete once the server has said how it ended. `feed` raises LookupError, TypeError, ValueError,
    OverflowError or AttributeError for what is no chat completion.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.told: Told | None = None
        self._finish: str | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_key: str | None = None
        self._details: list[Any] = []
        self._calls: list[dict[str, Any]] = []
        self._by_index: dict[int, dict[str, Any]] = {}

    def feed(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """Takes a chunk in; what it adds, for a live view."""
        if usage := chunk.get("usage"):
            self.usage = read_usage(usage)
        self.model = chunk.get("model") or self.model
        deltas: list[Delta] = []
        for choice in chunk.get("choices") or ():
            whole = bool(choice.get("message"))  # a whole completion ends by being there
            self.told = read_told(chunk, choice) if whole else None
            deltas += self._take(choice.get("message") or choice.get("delta") or {}, whole)
            self._finish = reason_text(choice.get("finish_reason")) or ("stop" if whole else self._finish)
        return deltas

    def drop_calls(self) -> None:
        """Forgets the calls, of which the last one is broken."""
        self._calls.clear()

    def message(self, turn: int) -> Message:
        """The message that the pieces make. `turn` goes into the ids of calls that came without one."""
        raw = [
            ToolCall(encodable(call["id"]), encodable(call["name"]), encodable("".join(call["arguments"])))
            for call in self._calls
        ]
        calls = unique_ids(raw, turn)
        extras = {call.id: found["extra"] for call, found in zip(calls, self._calls, strict=True) if found["extra"]}
        provider: dict[str, Any] = {}
        if self._reasoning_key:
            provider["reasoning_key"] = self._reasoning_key
        if self._details:
            provider["reasoning_details"] = self._details
        if extras:
            provider["calls"] = extras
        return Message(
            role="assistant",
            content=encodable("".join(self._content)),
            reasoning=encodable("".join(self._reasoning)) or None,
            tool_calls=calls,
            provider=sendable({"api": API, **provider}) if provider else None,
        )

    @property
    def complete(self) -> bool:
        return self._finish is not None and self._finish not in _BROKEN_FINISH

    @property
    def finish_reason(self) -> FinishReason:
        reason = _FINISH.get(self._finish or "", "other")
        return "tool_calls" if self._calls and reason in ("stop", "other") else reason

    def _take(self, piece: Mapping[str, Any], whole: bool) -> list[Delta]:
        deltas = []
        for key in _REASONING_KEYS:
            if text := piece.get(key):
                self._reasoning_key = self._reasoning_key or key
                if key == self._reasoning_key:  # some servers send both, with the same text
                    deltas.append(self._add(self._reasoning, "reasoning", text))
        for detail in piece.get("reasoning_details") or ():
            self._take_detail(dict(detail))
        if isinstance(content := piece.get("content"), list):  # Mistral's parts
            for part in content:
                if part.get("type") == "thinking":
                    text = "".join(inner.get("text", "") for inner in part["thinking"])
                    deltas.append(self._add(self._reasoning, "reasoning", text))
                elif text := part.get("text"):
                    deltas.append(self._add(self._content, "content", text))
        elif content or (content := piece.get("refusal")):
            deltas.append(self._add(self._content, "content", content))
        for call in piece.get("tool_calls") or ():
            deltas += self._take_call(call, whole)
        return deltas

    @staticmethod
    def _add(texts: list[str], kind: Any, text: str) -> Delta:
        if not isinstance(text, str):
            raise TypeError(f"a text is of type {type(text).__name__}")
        texts.append(text)
        return Delta(kind, text)

    def _take_detail(self, detail: dict[str, Any]) -> None:
        """Joins the pieces of OpenRouter's reasoning details, which it wants to see again as they were made."""
        last = self._details[-1] if self._details else {}
        if detail.get("index") is None or any(last.get(key) != detail.get(key) for key in ("index", "type")):
            self._details.append(detail)
            return
        for key, value in detail.items():
            grows = key in ("text", "summary", "data") and isinstance(last.get(key), str) and isinstance(value, str)
            last[key] = last[key] + value if grows else value if value is not None else last.get(key)

    def _take_call(self, piece: Mapping[str, Any], whole: bool) -> list[Delta]:
        function = piece.get("function") or {}
        name, arguments = function.get("name") or "", function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):  # Ollama sends the object itself
            arguments = json.dumps(arguments)
        call = self._call(piece.get("index"), str(piece.get("id") or ""), name, whole)
        call["extra"].update({k: v for k, v in piece.items() if k not in ("index", "id", "type", "function")})
        call["arguments"].append(arguments)
        texts = (name if name and len(call["arguments"]) == 1 else "", arguments)
        return [Delta("tool_call", text) for text in texts if text]

    def _call(self, index: int | None, identifier: str, name: str, whole: bool) -> dict[str, Any]:
        """The call that a piece belongs to, by its index, else its id, else the last one."""
        if not isinstance(name, str):
            raise TypeError("the name of a call is no text")
        found: dict[str, Any] | None
        if whole:
            found = None
        elif index is not None:
            found = self._by_index.get(index)
        else:
            same = (call for call in self._calls if identifier and call["id"] == identifier)
            found = next(same, None) or (self._calls[-1] if self._calls and not name else None)
        # Some gateways give every call the index 0, each with an id and a name of its own.
        if found is None or (identifier and name and found["id"] not in ("", identifier)):
            found = {"id": identifier, "name": name, "arguments": [], "extra": {}}
            self._calls.append(found)
            if index is not None:
                self._by_index[index] = found
        found["id"] = found["id"] or identifier
        found["name"] = found["name"] or name
        return found


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """The server's token counts; None, as if it told none, where they cannot be meant: limits go by them."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    cached = prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens")
    reasoning = completion.get("reasoning_tokens") or usage.get("reasoning_tokens")
    numbers = counts(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached, reasoning)
    return None if numbers is None else Usage(*numbers)
