"""A trajectory in the Agent Trajectory Interchange Format (ATIF) v1.8, derived from the events."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import workroom
from workroom.trajectory.pictures import picture_path
from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workroom.trajectory.events import (
        AssistantTurn,
        Call,
        EpisodeFinished,
        EpisodeStarted,
        Event,
        Picture,
        TokenUsage,
        ToolFinished,
    )

VERSION = "ATIF-v1.8"
_SOURCES = {"system": "system", "user": "user", "assistant": "agent"}


def to_atif(
    events: "Iterable[Event]", agent: "Mapping[str, Any] | None" = None, *, inline: bool = False
) -> dict[str, Any]:
    """The ATIF document as JSON values. Works for the events of a run that did not come to its end, too.

    `agent`: name and version of the agent system, where that was not this package. `inline`: pictures stand in the
    document as data URLs; else their paths do, relative to the run's directory.
    """
    document = _Document(agent or {"name": "workroom", "version": workroom.__version__}, inline)
    for event in kept(events):
        document.add(event)
    return document.root()


class _Document:
    """Collects steps. A tool's answer belongs to the step of the turn that called it."""

    def __init__(self, agent: "Mapping[str, Any]", inline: bool) -> None:
        self.agent = dict(agent)
        self.inline = inline
        self.steps: list[dict[str, Any]] = []
        self.started: EpisodeStarted | None = None
        self.finished: EpisodeFinished | None = None
        self.egress: list[dict[str, Any]] = []
        self.trimmed: list[dict[str, Any]] = []
        self.waits: list[dict[str, Any]] = []
        self.resumed: list[dict[str, Any]] = []

    def add(self, event: "Event") -> None:
        if event.type == "episode_started":
            self.started = event
            for message in event.messages:
                self._step(_SOURCES.get(message["role"], "user"), message.get("content", ""), event.time)
        elif event.type == "assistant":
            self._assistant(event)
        elif event.type == "tool":
            self._tool(event)
        elif event.type == "reminder":
            extra = {} if event.reason == "user" else {"extra": {"reminder": event.reason}}
            self._step("user", event.text, event.time, **extra)
        elif event.type == "context_trimmed":
            self.trimmed.append({"turn": event.turn, "observations": event.observations})
        elif event.type == "model_waiting":
            self.waits.append({"turn": event.turn, "attempt": event.attempt, "seconds": event.seconds})
        elif event.type == "egress":
            self.egress.append(event.model_dump(include={"host", "port", "verdict", "sent", "received"}))
        elif event.type == "episode_resumed":
            self.resumed.append({"turn": event.turn, "replayed": event.replayed})
        elif event.type == "episode_finished":
            self.finished = event

    def root(self) -> dict[str, Any]:
        agent = self.agent
        extra: dict[str, Any] = {}
        document: dict[str, Any] = {"schema_version": VERSION}
        if self.started is not None:
            document |= {"session_id": self.started.episode, "trajectory_id": self.started.episode}
            agent["model_name"] = self.started.model
            if self.started.tools:
                agent["tool_definitions"] = self.started.tools
            agent["extra"] = {"mode": self.started.mode, "protocol": self.started.protocol}
            extra |= {
                "task": self.started.task,
                "documents": self.started.documents or None,
                "sandbox": self.started.sandbox,
            }
        document |= {"agent": agent, "steps": self.steps}
        if self.finished is not None:
            end = self.finished
            extra |= {"stop_reason": end.stop_reason, "answer": end.answer, "error": end.error}
            document["final_metrics"] = {
                "total_prompt_tokens": end.usage.prompt,
                "total_completion_tokens": end.usage.completion,
                "total_cached_tokens": end.usage.cached,
                "total_cost_usd": end.cost,
                "total_steps": len(self.steps),
                "extra": _usage_extra(end.usage) | {"turns": end.turns, "seconds": end.duration},
            }
        for name in ("egress", "trimmed", "waits", "resumed"):
            if found := getattr(self, name):
                extra[name] = found
        document["extra"] = extra
        pruned: dict[str, Any] = _without_none(document)
        return pruned

    def _step(self, source: str, message: str, time: float, **rest: Any) -> dict[str, Any]:
        step: dict[str, Any] = {"step_id": len(self.steps) + 1}
        if moment := timestamp(time):
            step["timestamp"] = moment
        step |= {"source": source, "message": message, **rest}
        self.steps.append(step)
        return step

    def _assistant(self, event: "AssistantTurn") -> None:
        usage = event.usage
        step = self._step("agent", event.content, event.time, llm_call_count=1)
        step["reasoning_content"] = event.reasoning
        step["metrics"] = {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "cached_tokens": usage.cached,
            "extra": _usage_extra(usage),
        }
        if event.tokens is not None:
            step["metrics"] |= {
                "prompt_token_ids": event.tokens.prompt,
                "completion_token_ids": event.tokens.completion,
                "logprobs": event.tokens.logprobs or None,
            }
        step["extra"] = {"turn": event.turn, "finish_reason": event.finish_reason, "seconds": event.duration}
        if event.calls:
            step["tool_calls"] = [_call(call) for call in event.calls]
            step["observation"] = {"results": []}

    def _tool(self, event: "ToolFinished") -> None:
        """Into the last step that made this call; a log that begins in the middle may lack it."""
        for step in reversed(self.steps):
            if any(call["tool_call_id"] == event.call_id for call in step.get("tool_calls", ())):
                extra = {"is_error": event.is_error, "seconds": event.duration, "facts": event.facts}
                content = _content(event, self.inline)
                result = {"source_call_id": event.call_id, "content": content, "extra": extra}
                step["observation"]["results"].append(result)
                return


def _call(call: "Call") -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}", parse_constant=str)
    except (ValueError, RecursionError):
        arguments = None
    made: dict[str, Any] = {"tool_call_id": call.id, "function_name": call.name}
    if isinstance(arguments, dict):
        return made | {"arguments": arguments}
    return made | {"arguments": {}, "extra": {"malformed_arguments": call.arguments}}


def timestamp(time: float) -> str | None:
    """The moment in ISO form, None where there is no time, as in some imported runs."""
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds") if time else None
    except (OverflowError, ValueError, OSError):
        return None


def _content(event: "ToolFinished", inline: bool) -> str | list[dict[str, Any]]:
    """The text, with the pictures that came with it."""
    if not event.images:
        return event.observation
    sources = [
        {"media_type": picture.media_type, "path": _data_url(picture) if inline else picture_path(picture)}
        for picture in event.images
    ]
    text = [{"type": "text", "text": event.observation}]
    return [*text, *({"type": "image", "source": source} for source in sources)]


def _data_url(picture: "Picture") -> str:
    return f"data:{picture.media_type};base64,{picture.data}"


def _usage_extra(usage: "TokenUsage") -> dict[str, Any]:
    return usage.model_dump(include={"reasoning", "environment", "estimated"})


def _without_none(value: Any) -> Any:
    """ATIF leaves out what is not known. Arguments of calls stay as they are: null is a value there."""
    if isinstance(value, dict):
        return {
            key: item if key in ("arguments", "facts", "parameters") else _without_none(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
