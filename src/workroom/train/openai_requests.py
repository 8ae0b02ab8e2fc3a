"""Chat Completions as a server sees them: requests read, replies and errors written."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workroom.models.base import FinishReason, Message, ToolCall, ToolSpec
from workroom.models.messages import encodable


class Refused(Exception):
    """A request that is answered with an error object in OpenAI's form."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, kind: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        kind = kind or ("invalid_request_error" if status < 500 else "server_error")
        self.body = dump({"error": {"message": message, "type": kind, "param": param, "code": code}})


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Part(_Wire):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Function(_Wire):
    name: str
    arguments: str = ""


class _Call(_Wire):
    id: str = ""
    function: _Function


class _Message(_Wire):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _ToolFunction(_Wire):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(_Wire):
    type: Literal["function"] = "function"
    function: _ToolFunction


class _Format(_Wire):
    type: str


class _StreamOptions(_Wire):
    include_usage: bool | None = None


class ChatRequest(_Wire):
    """What is read of a request. How to sample is not: that belongs to the algorithm."""

    messages: list[_Message] = Field(min_length=1)
    model: str = ""
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = None
    logprobs: bool | None = None
    return_token_ids: bool | None = None
    response_format: _Format | None = None

    @property
    def bound(self) -> int | None:
        """Tokens that the reply may have."""
        return min((bound for bound in (self.max_tokens, self.max_completion_tokens) if bound), default=None)

    @property
    def stops(self) -> list[str]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]


def read_request(body: bytes) -> ChatRequest:
    """The request. Raises Refused for what is none, or asks for something that sampling one reply cannot give."""
    try:
        asked = ChatRequest.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise Refused(400, f"{place}: {first['msg']}" if place else first["msg"], param=place or None) from None
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if asked.n not in (None, 1):
        raise Refused(400, "only one reply can be asked for: n must be 1", param="n")
    if asked.tool_choice not in (None, "auto", "none"):
        raise Refused(400, "tool_choice must be auto or none: calls are not forced in training", param="tool_choice")
    if asked.response_format is not None and asked.response_format.type != "text":
        raise Refused(400, "response_format must be text: nothing constrains sampling", param="response_format")
    return asked


def messages_of(asked: ChatRequest) -> list[Message]:
    """The messages of the request. Raises Refused for pictures and the like."""
    return [_message(message, place) for place, message in enumerate(asked.messages)]


def _message(message: _Message, place: int) -> Message:
    content = message.content or ""
    if isinstance(content, list):
        for part in content:
            if part.text is None and part.refusal is None:
                param = f"messages.{place}.content"
                raise Refused(400, f"{param}: the policy reads text only, and this is {part.type}", param=param)
        content = "".join(part.text or part.refusal or "" for part in content)
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=encodable(content),
        reasoning=message.reasoning_content or None,
        tool_calls=tuple(
            ToolCall(call.id, call.function.name, encodable(call.function.arguments))
            for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id,
    )


def tools_of(asked: ChatRequest) -> list[ToolSpec]:
    """The tools of the request."""
    empty = {"type": "object", "properties": {}}
    return [
        ToolSpec(tool.function.name, tool.function.description or "", tool.function.parameters or empty)
        for tool in asked.tools or ()
    ]


@dataclass(frozen=True, slots=True)
class Said:
    """A reply to be written. `pieces`: the text of each sampled token."""

    message: Message
    finish: FinishReason
    prompt: Sequence[int]
    ids: Sequence[int]
    logprobs: Sequence[float]
    pieces: Sequence[str]


def whole(asked: ChatRequest, said: Said) -> bytes:
    """The reply as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": said.message.content, "refusal": None}
    if said.message.tool_calls:
        message |= {"content": said.message.content or None, "tool_calls": _calls(said.message)}
    choice = {"index": 0, "message": message, "logprobs": _logprobs(asked, said), "finish_reason": said.finish}
    body = _envelope(asked, "chat.completion") | {"choices": [choice], "usage": _usage(said)}
    if asked.return_token_ids:
        body["prompt_token_ids"] = list(said.prompt)
        choice["token_ids"] = list(said.ids)
    return dump(body)


def stream(asked: ChatRequest, said: Said) -> bytes:
    """The reply as an event stream: it is sampled as a whole, and told in a few pieces."""
    envelope = _envelope(asked, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if said.message.content:
        deltas.append({"content": said.message.content})
    deltas += [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(_calls(said.message))]
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    last = {"index": 0, "delta": {}, "logprobs": _logprobs(asked, said), "finish_reason": said.finish}
    if asked.return_token_ids:
        envelope["prompt_token_ids"] = list(said.prompt)
        last["token_ids"] = list(said.ids)
    events = [envelope | {"choices": [choice]} for choice in (*choices, last)]
    if asked.stream_options is not None and asked.stream_options.include_usage:
        events.append(envelope | {"choices": [], "usage": _usage(said)})
    return b"".join(b"data: " + dump(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _envelope(asked: ChatRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": asked.model}


def _calls(message: Message) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]


def _logprobs(asked: ChatRequest, said: Said) -> dict[str, Any] | None:
    if not asked.logprobs:
        return None
    entries = [
        {"token": piece, "logprob": value, "bytes": list(piece.encode()), "top_logprobs": []}
        for piece, value in zip(said.pieces, said.logprobs, strict=True)
    ]
    return {"content": entries, "refusal": None}


def _usage(said: Said) -> dict[str, int]:
    prompt, completion = len(said.prompt), len(said.ids)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
