"""Taking up an episode from what is recorded of it: conversation, account, and what was said already."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from workroom.agent.accounting import charge
from workroom.models.base import Image, Message, ToolCall, Usage
from workroom.trajectory.events import AssistantTurn, Call, Event, ToolFinished

if TYPE_CHECKING:
    from workroom.agent.episode import Episode
    from workroom.agent.limits import Account
    from workroom.trajectory.events import TokenUsage
    from workroom.trajectory.history import History


def take_up(episode: "Episode", history: "History") -> None:
    """Puts an episode into the state after the history's last turn."""
    for message in history.started.messages:
        episode.context.add(Message(message["role"], message["content"]))
    trimmed = any(event.type == "context_trimmed" for event in history.events)  # what was measured then was shorter
    calls: dict[str, Call] = {}
    for event in history.events:
        if event.type == "assistant":
            calls = {call.id: call for call in event.calls}
            episode.context.add(_assistant(event))
            if not event.usage.estimated and not trimmed:
                episode.context.measured(_usage(event.usage))
            episode.note_assistant(event)
        elif event.type == "tool":
            episode.context.add(_answer(event))
            if event.call_id in calls:
                episode.note_answer(calls[event.call_id], is_error=event.is_error, facts=event.facts)
        elif event.type == "reminder":
            episode.context.add(Message("user", event.text))
            episode.note_reminder(event.reason)
    count_used(episode.account, history)
    episode.note_larger_budget()


def calls_after(history: "History", turn: int) -> list[Call]:
    """The tool calls of later turns that were run, in order."""
    calls: list[Call] = []
    for event in history.events:
        if event.type == "assistant" and event.turn > turn:
            calls += event.calls
    run = {(event.turn, event.call_id) for event in _answers(history.events) if "not_run" not in event.facts}
    turns = {id(call): event.turn for event in history.events if event.type == "assistant" for call in event.calls}
    return [call for call in calls if (turns[id(call)], call.id) in run]


def was_submitted(history: "History") -> bool:
    """Whether the last turn ended the episode."""
    last = [event for event in _answers(history.events) if event.turn == history.turn]
    return any(event.facts.get("submitted") for event in last)


def _answers(events: Iterable[Event]) -> Iterable[ToolFinished]:
    return (event for event in events if event.type == "tool")


def count_used(account: "Account", history: "History") -> None:
    """Charges the account with the turns that are kept, and with the tokens and seconds of all that was done."""
    charge(account, history.used)
    for event in history.used:
        if event.type == "assistant":
            account.model_seconds += event.duration
        elif event.type == "episode_finished":  # it has also the call that was ended without an answer
            account.model_seconds = event.model_seconds
    account.tool_seconds += sum(event.duration for event in _answers(history.used))
    account.go_on(history.turn, max(event.elapsed for event in history.used))


def _assistant(event: AssistantTurn) -> Message:
    return Message(
        "assistant",
        event.content,
        reasoning=event.reasoning,
        tool_calls=tuple(ToolCall(call.id, call.name, call.arguments) for call in event.calls),
        provider=event.provider,
    )


def _answer(event: ToolFinished) -> Message:
    import base64

    message = Message("tool", event.observation, tool_call_id=event.call_id, is_error=event.is_error)
    if not event.images:
        return message
    return replace(message, images=tuple(Image(p.media_type, base64.b64decode(p.data)) for p in event.images))


def _usage(usage: "TokenUsage") -> Usage:
    return Usage(usage.prompt, usage.completion, usage.cached, usage.reasoning)
