"""Replies of a Chat Completions server, as OpenAI, vLLM, llama.cpp and their like send them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.server import Handler, Reply, Request

EVENT_STREAM = "text/event-stream"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

Call = tuple[str, Mapping[str, Any] | str]


def assistant(
    content: str = "",
    *,
    calls: Sequence[Call] = (),
    reasoning: str | None = None,
    reasoning_key: str = "reasoning_content",
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = USAGE,
    ids: Sequence[str] | None = None,
    done: bool = True,
) -> Handler:
    """A good answer: a stream where the request asks for one, else one JSON object.

    `calls` are (tool name, arguments); arguments that are text are sent as they are. `ids` are the call ids.
    """
    events = chunks(
        content,
        calls=calls,
        reasoning=reasoning,
        reasoning_key=reasoning_key,
        finish_reason=finish_reason,
        usage=usage,
        ids=ids,
    )
    whole = completion(
        content,
        calls=calls,
        reasoning=reasoning,
        reasoning_key=reasoning_key,
        finish_reason=finish_reason,
        usage=usage,
        ids=ids,
    )

    def reply(request: Request) -> Reply:
        return stream(events, done=done) if request.json.get("stream") else Reply(body=json.dumps(whole).encode())

    return reply


def stream(
    events: Sequence[Mapping[str, Any] | str], *, done: bool = True, end: str = "close", delay: float = 0.0
) -> Reply:
    """An event stream: every mapping is a `data:` line, every text goes as it is (`: comment`)."""
    pieces = [
        event.encode() + b"\n\n" if isinstance(event, str) else b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    ]
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return Reply(pieces=pieces, content_type=EVENT_STREAM, end=end, delay=delay)


def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """One chunk of a stream."""
    return {**_envelope("chat.completion.chunk"), "choices": [_choice("delta", delta, finish_reason)]}


def chunks(
    content: str = "",
    *,
    calls: Sequence[Call] = (),
    reasoning: str | None = None,
    reasoning_key: str = "reasoning_content",
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = USAGE,
    ids: Sequence[str] | None = None,
    size: int = 5,
) -> list[dict[str, Any]]:
    """The chunks of an answer, texts and tool arguments in pieces of `size` characters."""
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({reasoning_key: piece}) for piece in _cut(reasoning or "", size)]
    events += [chunk({"content": piece}) for piece in _cut(content, size)]
    for index, call in enumerate(_calls(calls, ids)):
        function = {"name": call["function"]["name"], "arguments": ""}
        events.append(chunk({"tool_calls": [{**call, "index": index, "function": function}]}))
        events += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            for piece in _cut(call["function"]["arguments"], size)
        ]
    events.append(chunk({}, finish_reason or ("tool_calls" if calls else "stop")))
    if usage is not None:
        events.append({**_envelope("chat.completion.chunk"), "choices": [], "usage": dict(usage)})
    return events


def completion(
    content: str = "",
    *,
    calls: Sequence[Call] = (),
    reasoning: str | None = None,
    reasoning_key: str = "reasoning_content",
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = USAGE,
    ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """An answer as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if reasoning is not None:
        message[reasoning_key] = reasoning
    if calls:
        message["tool_calls"] = _calls(calls, ids)
    finish = finish_reason or ("tool_calls" if calls else "stop")
    whole = {**_envelope("chat.completion"), "choices": [_choice("message", message, finish)]}
    return whole if usage is None else {**whole, "usage": dict(usage)}


def error(
    status: int,
    message: str,
    *,
    code: Any = None,
    type: str = "invalid_request_error",  # noqa: A002
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Reply:
    """An error in OpenAI's form; `more` are further keys of the error object."""
    body = {"error": {"message": message, "type": type, "param": param, "code": code, **more}}
    return Reply(status, json.dumps(body).encode(), headers=headers or {})


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1750000000, "model": "fake-1"}


def _choice(key: str, value: Mapping[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, key: dict(value), "logprobs": None, "finish_reason": finish_reason}


def _calls(calls: Sequence[Call], ids: Sequence[str] | None) -> list[dict[str, Any]]:
    names = ids if ids is not None else [f"call_{index + 1}" for index in range(len(calls))]
    return [
        {
            "id": name,
            "type": "function",
            "function": {
                "name": tool,
                "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
            },
        }
        for name, (tool, arguments) in zip(names, calls, strict=True)
    ]


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
