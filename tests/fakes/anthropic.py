"""Replies of a Messages server, as Anthropic sends them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.openai import EVENT_STREAM
from tests.fakes.server import Handler, Reply, Request

USAGE = {"input_tokens": 9, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 7}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool_use(name: str, arguments: Mapping[str, Any], identifier: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": name, "input": dict(arguments)}


def thinking(words: str, signature: str = "c2lnbmVk") -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": signature}


def redacted_thinking(data: str = "b3BhcXVl") -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


def message(
    blocks: Sequence[Mapping[str, Any]],
    *,
    stop_reason: str | None = None,
    usage: Mapping[str, Any] = USAGE,
) -> Handler:
    """A good answer made of content blocks: a stream where the request asks for one, else one JSON object."""

    def reply(request: Request) -> Reply:
        reason = _reason(blocks, stop_reason)
        if request.json.get("stream"):
            return stream(events(blocks, stop_reason=reason, usage=usage))
        body = {**_envelope(usage), "content": [dict(block) for block in blocks], "stop_reason": reason}
        return Reply(body=json.dumps(body).encode())

    return reply


def stream(parts: Sequence[Mapping[str, Any] | str], *, end: str = "close", delay: float = 0.0) -> Reply:
    """An event stream: every mapping is an event named after its `type`, every text goes as it is."""
    pieces = [
        part.encode() if isinstance(part, str) else f"event: {part['type']}\ndata: {json.dumps(part)}\n\n".encode()
        for part in parts
    ]
    return Reply(pieces=pieces, content_type=EVENT_STREAM, end=end, delay=delay)


def events(
    blocks: Sequence[Mapping[str, Any]],
    *,
    stop_reason: str | None = None,
    usage: Mapping[str, Any] = USAGE,
    size: int = 6,
) -> list[dict[str, Any]]:
    """The events of an answer, texts, thoughts and tool input in pieces of `size` characters."""
    started = {**usage, "output_tokens": 1}
    parts: list[dict[str, Any]] = [{"type": "message_start", "message": _envelope(started)}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        parts.append({"type": "content_block_start", "index": index, "content_block": _empty(block)})
        parts += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block, size)]
        parts.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": _reason(blocks, stop_reason), "stop_sequence": None}
    parts.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}})
    parts.append({"type": "message_stop"})
    return parts


def error(
    status: int,
    message: str,
    *,
    type: str = "invalid_request_error",  # noqa: A002
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An error in Anthropic's form."""
    body = {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}
    return Reply(status, json.dumps(body).encode(), headers=headers or {})


def _envelope(usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "fake-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": dict(usage),
    }


def _reason(blocks: Sequence[Mapping[str, Any]], given: str | None) -> str:
    used = any(block["type"] == "tool_use" for block in blocks)
    return given or ("tool_use" if used else "end_turn")


def _empty(block: Mapping[str, Any]) -> dict[str, Any]:
    blank: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return {**block, **blank.get(block["type"], {})}


def _deltas(block: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
    match block["type"]:
        case "text":
            return [{"type": "text_delta", "text": piece} for piece in _cut(block["text"], size)]
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in _cut(block["thinking"], size)]
            return [*thoughts, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            pieces = _cut(json.dumps(block["input"]), size)
            return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return []


def _cut(words: str, size: int) -> list[str]:
    return [words[start : start + size] for start in range(0, len(words), size)]
