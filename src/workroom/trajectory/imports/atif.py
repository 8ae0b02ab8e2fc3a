"""ATIF v1.x: the trajectory format of Harbor and others, and what our own runs leave as `trajectory.json`."""

import base64
import re
from pathlib import Path
from typing import Any, get_args

from workroom.trajectory.events import (
    AssistantTurn,
    ContextTrimmed,
    Egress,
    EpisodeFinished,
    EpisodeResumed,
    EpisodeStarted,
    ModelWaiting,
    Picture,
    Reminder,
    StopReason,
    Tokens,
    TokenUsage,
    ToolFinished,
)
from workroom.trajectory.imports.base import (
    Imported,
    Log,
    Malformed,
    call,
    moment,
    number,
    record,
    records,
    text,
    whole,
)

_REMINDERS = frozenset(get_args(Reminder.model_fields["reason"].annotation))
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_LARGEST_PICTURE = 32 << 20  # bytes
_DATA_URL = re.compile(r"data:(image/(?:png|jpeg));base64,(.*)")


def from_atif(document: dict[str, Any], folder: Path) -> Imported:
    """The run of a document; `folder` is where its pictures are. Raises Malformed."""
    version = document["schema_version"]
    if not isinstance(version, str) or not re.match(r"ATIF-v1\.\d", version):
        raise Malformed(f"its schema_version is {str(version)[:40]!r}; ATIF-v1.0 and later 1.x can be read")
    agent, extra = record(document.get("agent"), "agent"), record(document.get("extra"), "extra")
    steps = records(document.get("steps"), "steps")
    if not steps:
        raise Malformed("it has no steps")
    log = Log()
    model = text(agent.get("model_name")) or "unknown"
    opening = _opening(steps)
    log.add(_started(document, agent, extra, steps[:opening], model), moment(steps[0].get("timestamp")))
    for place, step in enumerate(steps[opening:], opening):
        _step(log, step, f"steps[{place}]", folder)
    _add_rest(log, extra)
    if "final_metrics" in document or "stop_reason" in extra:
        log.add(_finished(log, record(document.get("final_metrics"), "final_metrics"), extra), log.events[-1].time)
    names = {key: text(agent.get(key)) or "unknown" for key in ("name", "version")}
    return Imported(log.events, {"format": version, "agent": names}, model)


def _opening(steps: list[dict[str, Any]]) -> int:
    """How many steps there are before the agent's first."""
    for place, step in enumerate(steps):
        if step.get("source") == "agent" or step.get("observation") is not None or _reminder(step) != "user":
            return place
    return len(steps)


def _started(
    document: dict[str, Any], agent: dict[str, Any], extra: dict[str, Any], opening: list[dict[str, Any]], model: str
) -> EpisodeStarted:
    about = record(agent.get("extra"), "agent.extra")
    documents = extra.get("documents")
    sandbox = extra.get("sandbox")
    return EpisodeStarted(
        episode=text(document.get("trajectory_id") or document.get("session_id")) or "imported",
        task=text(extra.get("task")) or "imported",
        mode="llm" if about.get("mode") == "llm" else "sandbox",
        model=model,
        protocol=text(about.get("protocol")) or "native",
        messages=[
            {"role": "system" if step.get("source") == "system" else "user", "content": text(step.get("message"))}
            for step in opening
        ],
        tools=records(agent.get("tool_definitions"), "agent.tool_definitions"),
        documents=[text(name) for name in documents] if isinstance(documents, list) else [],
        sandbox=sandbox if isinstance(sandbox, dict) else None,
    )


def _step(log: Log, step: dict[str, Any], where: str, folder: Path) -> None:
    time = moment(step.get("timestamp"))
    results = records(record(step.get("observation"), f"{where}.observation").get("results"), f"{where}.results")
    if step.get("source") != "agent":
        log.add(Reminder(turn=log.turn, reason=_reminder(step), text=text(step.get("message"))), time)  # type: ignore[arg-type] # one of its values
        calls = []
    else:
        calls = _turn(log, step, time, where)
    waiting = {made.id: made.name for made in calls}
    for result in results:
        given = result.get("source_call_id")
        identifier = given if isinstance(given, str) and given in waiting else next(iter(waiting), None)
        content = text(result.get("content"))
        if identifier is None:  # of no call: something that the harness told
            log.add(Reminder(turn=log.turn, reason="user", text=content), time)
            continue
        about = record(result.get("extra"), f"{where}.extra")
        facts = about.get("facts")
        log.add(
            ToolFinished(
                turn=log.turn,
                call_id=identifier,
                name=waiting.pop(identifier),
                observation=_without_pictures(result.get("content"), folder),
                is_error=about.get("is_error") is True,
                duration=number(about.get("seconds")),
                facts=facts if isinstance(facts, dict) else {},
                images=_pictures(result.get("content"), folder),
            ),
            time,
        )


def _turn(log: Log, step: dict[str, Any], time: float, where: str) -> list[Any]:
    extra = record(step.get("extra"), f"{where}.extra")
    metrics = record(step.get("metrics"), f"{where}.metrics")
    told = record(metrics.get("extra"), f"{where}.metrics.extra")
    turn = log.begin_turn(time, extra["turn"] if type(extra.get("turn")) is int else None)
    calls = []
    for index, made in enumerate(records(step.get("tool_calls"), f"{where}.tool_calls")):
        raw = record(made.get("extra"), f"{where}.tool_calls.extra").get("malformed_arguments")
        identifier = text(made.get("tool_call_id")) or f"call_{turn}_{index}"
        calls.append(call(identifier, made.get("function_name"), made.get("arguments") if raw is None else text(raw)))
    reasoning = step.get("reasoning_content")
    log.add(
        AssistantTurn(
            turn=turn,
            content=text(step.get("message")),
            reasoning=None if reasoning is None else text(reasoning),
            calls=calls,
            finish_reason=text(extra.get("finish_reason")) or ("tool_calls" if calls else "stop"),
            usage=TokenUsage(
                prompt=whole(metrics.get("prompt_tokens")),
                completion=whole(metrics.get("completion_tokens")),
                cached=whole(metrics.get("cached_tokens")),
                reasoning=whole(told.get("reasoning", told.get("reasoning_tokens"))),
                environment=whole(told.get("environment")),
                estimated=told.get("estimated") is True or not metrics,
            ),
            duration=number(extra.get("seconds")),
            tokens=_tokens(metrics),
        ),
        time,
    )
    return calls


def _tokens(metrics: dict[str, Any]) -> Tokens | None:
    prompt, completion = (_numbers(metrics.get(f"{name}_token_ids"), int) for name in ("prompt", "completion"))
    if prompt is None or completion is None:
        return None
    logprobs = _numbers(metrics.get("logprobs"), int | float) or []
    return Tokens(prompt=prompt, completion=completion, logprobs=logprobs)


def _numbers(values: Any, kind: Any) -> list[Any] | None:
    """The list, None where it is none or holds anything else."""
    fits = isinstance(values, list) and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)
    return values if fits else None


def _reminder(step: dict[str, Any]) -> str:
    reason = step["extra"].get("reminder") if isinstance(step.get("extra"), dict) else None
    return reason if isinstance(reason, str) and reason in _REMINDERS else "user"


def _pictures(content: Any, folder: Path) -> list[Picture]:
    found = (_picture(part, folder) for part in content) if isinstance(content, list) else ()
    return [picture for picture in found if picture is not None]


def _picture(part: Any, folder: Path) -> Picture | None:
    """The picture of a part: in the document itself, or in a file beside it. No other file of the host is read."""
    source = part.get("source") if isinstance(part, dict) else None
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str):
        return None
    try:
        if match := _DATA_URL.fullmatch(path):
            base64.b64decode(match[2], validate=True)
            return Picture(media_type=match[1], data=match[2])
        file = (folder / path).resolve(strict=True)
        inside = file.is_relative_to(folder.resolve()) and file.is_file() and file.stat().st_size <= _LARGEST_PICTURE
        data = file.read_bytes() if inside else b""
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name, no base64
        return None
    media_type = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
    return Picture(media_type=media_type, data=base64.b64encode(data).decode()) if media_type else None


def _without_pictures(content: Any, folder: Path) -> str:
    """The text; the pictures that were found stand beside it."""
    if not _pictures(content, folder):
        return text(content)
    return text([part for part in content if _picture(part, folder) is None])


def _add_rest(log: Log, extra: dict[str, Any]) -> None:
    """What our own documents tell of the whole run and not of a step."""
    time = log.events[-1].time
    for item in records(extra.get("trimmed"), "extra.trimmed"):
        count = whole(item.get("observations"))
        log.add(ContextTrimmed(turn=whole(item.get("turn")), observations=count), time)
    for item in records(extra.get("waits"), "extra.waits"):
        seconds, attempt = number(item.get("seconds")), whole(item.get("attempt"))
        log.add(ModelWaiting(turn=whole(item.get("turn")), attempt=attempt, seconds=seconds, error=""), time)
    for item in records(extra.get("egress"), "extra.egress"):
        port, sent, received = (whole(item.get(key)) for key in ("port", "sent", "received"))
        request = Egress(
            host=text(item.get("host")), port=port, verdict=text(item.get("verdict")), sent=sent, received=received
        )
        log.add(request, time)
    for item in records(extra.get("resumed"), "extra.resumed"):
        replayed, after = whole(item.get("replayed")), len(log.events) - 1  # nothing before it is void
        log.add(EpisodeResumed(turn=whole(item.get("turn")), after=after, replayed=replayed), time)


def _finished(log: Log, metrics: dict[str, Any], extra: dict[str, Any]) -> EpisodeFinished:
    told = record(metrics.get("extra"), "final_metrics.extra")
    reason: Any = extra.get("stop_reason")
    if reason not in get_args(StopReason):
        reason = "submitted" if log.submitted else "max_turns"
    cost = metrics.get("total_cost_usd")
    model_seconds, tool_seconds = log.seconds
    answer, error = extra.get("answer"), extra.get("error")
    return EpisodeFinished(
        stop_reason=reason,
        answer=None if answer is None else text(answer),
        error=None if error is None else text(error),
        turns=whole(told.get("turns")) or log.turn,
        usage=TokenUsage(
            prompt=whole(metrics.get("total_prompt_tokens")),
            completion=whole(metrics.get("total_completion_tokens")),
            cached=whole(metrics.get("total_cached_tokens")),
            reasoning=whole(told.get("reasoning")),
            environment=whole(told.get("environment")),
            estimated=told.get("estimated") is True,
        ),
        cost=None if cost is None else number(cost),
        duration=number(told.get("seconds")),
        model_seconds=model_seconds,
        tool_seconds=tool_seconds,
    )
