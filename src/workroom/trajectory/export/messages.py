"""`openai-jsonl`: the conversation as the messages of Chat Completions, and the tools."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from workroom.trajectory.reader import answers, kept

if TYPE_CHECKING:
    from workroom.trajectory.events import AssistantTurn, Event, ToolFinished
    from workroom.trajectory.rundir import RunDirectory


def to_openai(run: "RunDirectory") -> Iterator[dict[str, Any]]:
    """One record with `messages` and `tools`. Thoughts are under `reasoning_content`."""
    started = run.started
    messages = conversation(run.events)
    for message in messages:
        if message["role"] == "tool":
            del message["name"]  # no key of Chat Completions
    yield {"messages": messages, "tools": started.tools if started else []}


def conversation(events: "Iterable[Event]") -> list[dict[str, Any]]:
    """The messages of a run, in order.

    Every call is answered by a tool message of its own right after it. A call that never was (the run was killed) is
    left out, and so is a turn of which nothing is left.
    """
    messages: list[dict[str, Any]] = []
    history = kept(events)
    for place, event in enumerate(history):
        if event.type == "episode_started":
            messages += [dict(message) for message in event.messages]
        elif event.type == "reminder":
            messages.append({"role": "user", "content": event.text})
        elif event.type == "assistant":
            messages += _turn(event, answers(history, place))
    return messages


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, without the pictures beside it."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""


def _turn(event: "AssistantTurn", answered: "dict[str, ToolFinished]") -> Iterator[dict[str, Any]]:
    calls = [call for call in event.calls if call.id in answered]
    if not (event.content or event.reasoning or calls):
        return
    message: dict[str, Any] = {"role": "assistant", "content": event.content}
    if event.reasoning:
        message["reasoning_content"] = event.reasoning
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    yield message
    for call in calls:
        yield {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": _content(answered[call.id])}


def _content(event: "ToolFinished") -> Any:
    """The text alone, or parts where there are pictures."""
    if not event.images:
        return event.observation
    urls = (f"data:{image.media_type};base64,{image.data}" for image in event.images)
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"type": "text", "text": event.observation}, *pictures]
