"""What all adapters do to messages before they send them, and to texts that they get."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

from workroom.models.base import Image, Message, Sampling, ToolCall
from workroom.nesting import deeper

_DEEPEST = 64  # levels of a call's arguments that servers can be trusted to parse


def tidy(messages: Iterable[Message]) -> list[Message]:
    """The messages without empty answers, neighbouring user messages joined, every text encodable.

    Servers refuse an assistant message with neither text nor call (which a model that only thinks does leave), and many
    chat templates refuse two user messages in a row.
    """
    kept: list[Message] = []
    for message in messages:
        if message.role == "assistant" and not message.tool_calls and not message.content.strip():
            continue
        content = encodable(message.content)
        if message.role == "user" and kept and kept[-1].role == "user":
            last = kept[-1]
            kept[-1] = replace(last, content=f"{last.content}\n\n{content}", images=last.images + message.images)
        else:
            kept.append(message if content is message.content else replace(message, content=content))
    return kept


def pictures_behind(messages: Iterable[Message]) -> list[Message]:
    """The messages with the pictures of tool messages in a user message behind the last answer of their turn.

    For servers that take texts only as answers to calls, and want these right behind the calls.
    """
    result: list[Message] = []
    pictures: list[Image] = []
    for message in messages:
        if message.role != "tool" and pictures:
            result.append(Message("user", _label(), images=tuple(pictures)))
            pictures.clear()
        if message.role == "tool" and message.images:
            pictures += message.images
            result.append(replace(message, images=()))
        else:
            result.append(message)
    return [*result, Message("user", _label(), images=tuple(pictures))] if pictures else result


@cache
def _label() -> str:
    return files(__package__).joinpath("templates/pictures.md").read_text("utf-8").strip()


def encodable(text: str) -> str:
    """The text with surrogate pairs joined (a stream may cut an escaped pair in two) and lone ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def arguments_object(call: ToolCall) -> dict[str, Any]:
    """The call's arguments as an object: servers parse the history's, and fail on what the model wrote wrong."""
    try:
        value = json.loads(call.arguments or "{}", parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # an escaped half of a surrogate pair cannot be sent
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and not deeper(value, _DEEPEST):
        return value
    return {"invalid_json": encodable(call.arguments)}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def reason_text(value: Any) -> str | None:
    """How a server says that its answer ended, if it does. Raises TypeError for what is no text."""
    if value and not isinstance(value, str):
        raise TypeError(f"the reason of an end is of type {type(value).__name__}")
    return value or None


def counts(*values: Any) -> tuple[int, ...] | None:
    """Token counts that a server reports, 0 for what it leaves out; None where one cannot be meant as a count."""
    if any(isinstance(value, bool) for value in values):
        return None
    numbers = tuple(int(value or 0) for value in values)
    return None if any(number < 0 for number in numbers) else numbers


def sendable(value: Any, levels: int = _DEEPEST) -> Any:
    """A server's JSON value as a request can hold it: texts encodable, and null for what no server would parse.

    That is NaN, the infinities, and what is nested deeper than `levels`.
    """
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {encodable(key): sendable(item, levels - 1) for key, item in value.items()} if levels else None
    if isinstance(value, list):
        return [sendable(item, levels - 1) for item in value] if levels else None
    return value


def safe_name(name: str) -> str:
    """A tool's name as providers allow it; a model may have called for anything."""
    return re.sub(r"[^\w-]", "_", name, flags=re.ASCII)[:64] or "unknown"


def unique_ids(calls: Sequence[ToolCall], turn: int) -> tuple[ToolCall, ...]:
    """The calls with ids of their own: some servers send none, or one for all. `turn` keeps made ids apart."""
    given = {call.id for call in calls}
    seen: set[str] = set()
    result = []
    for index, call in enumerate(calls):
        identifier, number = call.id, index
        while not identifier or identifier in seen or (identifier != call.id and identifier in given):
            identifier, number = f"call_{turn}_{number}", number + len(calls)
        seen.add(identifier)
        result.append(replace(call, id=identifier))
    return tuple(result)


def merged(sampling: Sampling | None, default: Sampling) -> Sampling:
    """The sampling with what it leaves open taken from the model's own default."""
    if sampling is None:
        return default
    given = {f.name: getattr(sampling, f.name) for f in fields(Sampling)}
    return replace(default, **{name: value for name, value in given.items() if value is not None})
