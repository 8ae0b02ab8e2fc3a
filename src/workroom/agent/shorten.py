"""One message made shorter and still what it was: a call keeps valid arguments, an answer keeps the call it answers."""

import json
from dataclasses import replace
from typing import Any

from workroom.agent.prompts import render
from workroom.models.base import CHARACTERS_PER_TOKEN, Message

PICTURE = 1500  # tokens of a picture: about what the providers count for one of the size that tools show
_KEEP = 200  # characters that stay of a long text which the model wrote itself
_LONG = 600  # characters, above which such a text is long
_ITEMS = 20  # of a list among a call's arguments


def estimate(message: Message) -> int:
    """Tokens of a message, from its characters."""
    size = len(message.content) + len(message.reasoning or "")
    size += sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
    return size // CHARACTERS_PER_TOKEN + 4 + PICTURE * len(message.images)


def without_reasoning(message: Message) -> Message:
    """The message without its reasoning, also without what the provider wants to see of it again.

    What belongs to the calls themselves (signatures of some providers) stays.
    """
    provider = message.provider or {}
    calls = {key: provider[key] for key in ("api", "calls")} if "calls" in provider else None
    return replace(message, reasoning=None, provider=calls)


def without_long_texts(message: Message) -> Message:
    """The message with the beginnings of its long texts and arguments; itself where it has none."""
    content = _beginning(message.content)
    calls = tuple(replace(call, arguments=_arguments(call.arguments)) for call in message.tool_calls)
    if content == message.content and calls == message.tool_calls:
        return message
    return replace(without_reasoning(message), content=content, tool_calls=calls)


def without_pictures(message: Message, why: str, *, execution: bool = True) -> Message:
    """The message with a sentence in the place of its pictures. `why`: `room` or `refused`. `execution`: whether the
    model can run programs."""
    note = render("picture_gone", why=why, count=len(message.images), execution=execution)
    return replace(message, content=f"{message.content}\n{note}", images=())


def _arguments(text: str) -> str:
    """The arguments with short values under the same names; in the form of a malformed call where they are none."""
    if len(text) <= _LONG:
        return text
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            made = json.dumps(_shorter(value))
            return made if len(made) < len(text) else text
    except (ValueError, RecursionError):
        pass
    return json.dumps({"invalid_json": _beginning(text)})


def _shorter(value: Any) -> Any:
    if isinstance(value, str):
        return _beginning(value)
    if isinstance(value, list):
        return [_shorter(item) for item in value[:_ITEMS]]
    if isinstance(value, dict):
        return {key: _shorter(item) for key, item in value.items()}
    return value


def _beginning(text: str) -> str:
    if len(text) <= _LONG:
        return text
    return render("own_text_trimmed", head=text[:_KEEP], size=len(text) - _KEEP)
