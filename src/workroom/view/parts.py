"""Events as they are shown: without what nobody reads, and with long texts cut."""

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

from workroom.nesting import deeper
from workroom.trajectory.reader import without_surrogates

if TYPE_CHECKING:
    from workroom.trajectory.events import Call, Event

LONG: Final = 64 << 10  # characters of a text that is cut
_HEAD: Final = 12 << 10  # characters of it that are shown from its beginning
_TAIL: Final = 4 << 10  # and from its end
_DEEPEST: Final = 50  # levels of lists and objects in arguments
_NAME: Final = 200  # characters of a name
_ARGUMENTS: Final = 50  # of a call that are told one by one
_LINE: Final = 160  # characters of a summary
_LEFT_OUT = {"tokens", "provider", "sandbox", "messages", "tools", "calls", "facts", "images"}  # or told otherwise
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def cut(text: str, chunk: str) -> Any:
    """The text, or what stands for a long one: its beginning, its end, and the name of the chunk with the whole."""
    if len(text) <= LONG:
        return text
    return {"head": text[:_HEAD], "tail": text[-_TAIL:], "length": len(text), "chunk": chunk}


class Cutter:
    """Cuts the long texts of one event, and numbers them. `long` are their full texts, in order."""

    def __init__(self, row: int, event: int) -> None:
        self._place = f"{row}-{event}"
        self.long: list[str] = []

    def text(self, text: str) -> Any:
        """The text, or what stands for a long one, see `cut`."""
        if len(text) > LONG:
            self.long.append(text)
        return cut(text, f"text-{self._place}-{len(self.long) - 1}")

    def value(self, value: Any) -> Any:
        """A JSON value as a text, or what stands for a long one. No object of a model's making is left one, as it could
        look like what stands for a text."""
        return self.text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def picture(self, number: int, media_type: str, data: str) -> dict[str, Any]:
        """What stands for the `number`-th picture of the event. `bytes`: its size."""
        return {
            "media_type": media_type if media_type in _PICTURES else "application/octet-stream",
            "bytes": len(data) * 3 // 4,
            "chunk": f"image-{self._place}-{number}",
        }


def shown_event(event: "Event", cutter: Cutter) -> dict[str, Any]:
    """The event as JSON. Token ids and what only a provider understands are left out."""
    shown = event.model_dump(mode="python", exclude=_LEFT_OUT)
    shown |= {name: cutter.text(value) for name, value in shown.items() if isinstance(value, str)}
    if event.type == "episode_started":
        shown["messages"] = [
            {"role": _name(message.get("role")), "content": cutter.value(message.get("content") or "")}
            for message in event.messages
            if not deeper(message, _DEEPEST)
        ]
        shown["tools"] = [_name(_function(tool).get("name")) for tool in event.tools]
    elif event.type == "assistant":
        shown["calls"] = [_call(call, cutter) for call in event.calls]
    elif event.type == "tool":
        shown["facts"] = _facts(event.facts)
        shown["images"] = [
            cutter.picture(number, picture.media_type, picture.data) for number, picture in enumerate(event.images)
        ]
    return shown


def given(arguments: str) -> dict[str, Any] | None:
    """The arguments of a call by name, None where they are no JSON object, or nested too deeply to be shown."""
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return without_surrogates(values) if isinstance(values, dict) and not deeper(values, _DEEPEST) else None


def picture_bytes(data: str) -> bytes:
    """The bytes of a picture, none where it is damaged."""
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        return b""


def first_line(text: str | None) -> str:
    """The first line of a text that is not blank, cut."""
    for line in (text or "")[:LONG].splitlines():
        if line.strip():
            return line.strip()[:_LINE]
    return ""


def _name(value: Any) -> str:
    return value[:_NAME] if isinstance(value, str) else ""


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    """What is told of a tool, within `function` or without it."""
    function = tool.get("function")
    return function if isinstance(function, dict) else tool


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    """What a page tells of a result, as far as it is what it should be."""
    told = {name: facts.get(name) for name in ("exit_code", "timed_out", "not_run")}
    kept = {name: value for name, value in told.items() if isinstance(value, bool | int)}
    return kept | ({"not_run": reason} if (reason := _name(told["not_run"])) else {})


def _call(call: "Call", cutter: Cutter) -> dict[str, Any]:
    """A call with its arguments by name, or as the text that they are where they are no JSON object or very many.

    Arguments that are null are left out.
    """
    shown: dict[str, Any] = {"id": cutter.text(call.id), "name": call.name[:_NAME]}
    values = given(call.arguments)
    if values is None or len(values) > _ARGUMENTS:
        return shown | {"raw": cutter.text(call.arguments)}
    told = {name: value for name, value in values.items() if value is not None}
    return shown | {"values": {name[:_NAME]: cutter.value(value) for name, value in told.items()}}
