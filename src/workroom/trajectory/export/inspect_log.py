"""`inspect`: an evaluation log of Inspect AI, with a sample for each run; `inspect view` shows it.

It is written by Inspect itself, so that it is always of the version that is installed.
"""

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workroom
from workroom.errors import ConfigError
from workroom.nesting import deeper
from workroom.trajectory.atif import timestamp
from workroom.trajectory.export.messages import conversation, text_of
from workroom.trajectory.reader import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessage, ChatMessageAssistant, ModelUsage

    from workroom.trajectory.events import TokenUsage
    from workroom.trajectory.rundir import RunDirectory


_DEEPEST = 100  # levels of a call's arguments; pydantic writes 255, and there are others around them


def write_log(runs: "Iterable[RunDirectory]", stream: "TextIO") -> int:
    """Writes the log of the runs and gives their number. Raises ConfigError where Inspect is not installed."""
    try:
        from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, EvalStats, write_eval_log
    except ImportError as error:
        raise ConfigError(f"the format inspect needs Inspect AI ({error}): pip install 'workroom[inspect]'") from error

    samples: list[EvalSample] = []
    times: Counter[str] = Counter()
    models: dict[str, None] = {}
    for run in runs:
        assert run.started is not None
        times[run.started.task] += 1
        models[run.started.model] = None
        samples.append(_sample(run, times[run.started.task]))
    begin = min((sample.started_at for sample in samples if sample.started_at), default=_moment(0.0))
    end = max((sample.completed_at for sample in samples if sample.completed_at), default=begin)
    log = EvalLog(
        status="success" if all(sample.error is None for sample in samples) else "error",
        eval=EvalSpec(
            created=begin,
            task="workroom",
            model=next(iter(models)) if len(models) == 1 else "several",
            dataset=EvalDataset(name="workroom", samples=len(samples), sample_ids=[sample.id for sample in samples]),
            config=EvalConfig(),
            packages={"workroom": workroom.__version__},
        ),
        stats=EvalStats(started_at=begin, completed_at=end),
        samples=samples,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.json"
        write_eval_log(log, str(path), format="json")
        with path.open(encoding="utf-8") as written:
            shutil.copyfileobj(written, stream)
    stream.write("\n")
    return len(samples)


def _sample(run: "RunDirectory", epoch: int) -> "EvalSample":
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput

    started, end = run.started, run.finished
    assert started is not None
    messages = [_message(message) for message in conversation(run.events)]
    given = len(started.messages)
    last = next((message for message in reversed(messages) if isinstance(message, ChatMessageAssistant)), None)
    usage = _usage(end.usage, end.cost) if end else None
    answer = end.answer if end else None
    metadata: dict[str, Any] = {"run": str(run.path), "episode": started.episode, "mode": started.mode}
    metadata |= {"stop_reason": end.stop_reason, "turns": end.turns, "answer": answer} if end else {}
    return EvalSample(
        id=started.task,
        epoch=epoch,
        input=messages[:given],
        target="",
        messages=messages,
        output=ModelOutput(
            model=started.model,
            choices=[ChatCompletionChoice(message=last)] if last else [],
            completion=answer or "",
            usage=usage,
        ),
        metadata=metadata,
        model_usage={started.model: usage} if usage else {},
        started_at=_moment(run.events[0].time),
        completed_at=_moment(run.events[-1].time),
        total_time=end.duration if end else None,
        uuid=started.episode,
        error=EvalError(message=end.error, traceback="", traceback_ansi="") if end and end.error else None,
    )


def _message(message: dict[str, Any]) -> "ChatMessage":
    from inspect_ai.model import ChatMessageSystem, ChatMessageTool, ChatMessageUser

    content: Any = text_of(message)
    if message["role"] == "tool" and message["content"] != content:
        content = [_part(part) for part in message["content"]]
    match message["role"]:
        case "system":
            return ChatMessageSystem(content=content)
        case "assistant":
            return _assistant(message)
        case "tool":
            return ChatMessageTool(content=content, tool_call_id=message["tool_call_id"], function=message["name"])
    return ChatMessageUser(content=content)


def _part(part: dict[str, Any]) -> Any:
    from inspect_ai.model import ContentImage, ContentText

    if part["type"] == "image_url":
        return ContentImage(image=part["image_url"]["url"])
    return ContentText(text=part["text"])


def _assistant(message: dict[str, Any]) -> "ChatMessageAssistant":
    from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText
    from inspect_ai.tool import ToolCall

    calls = []
    for call in message.get("tool_calls", ()):
        raw = call["function"]["arguments"]
        try:
            arguments, wrong = without_surrogates(json.loads(raw or "{}", parse_constant=str)), None
        except (ValueError, RecursionError) as error:
            arguments, wrong = None, str(error)
        if not isinstance(arguments, dict) or deeper(arguments, _DEEPEST):
            arguments, wrong = {}, f"{wrong or 'no object, or nested too deep'}: {raw}"
        calls.append(ToolCall(call["id"], call["function"]["name"], arguments, wrong))
    content: Any = text_of(message)
    if thought := message.get("reasoning_content"):
        content = [ContentReasoning(reasoning=thought), ContentText(text=content)]
    return ChatMessageAssistant(content=content, tool_calls=calls or None, source="generate")


def _usage(usage: "TokenUsage", cost: float | None) -> "ModelUsage":
    from inspect_ai.model import ModelUsage

    return ModelUsage(
        input_tokens=usage.prompt - usage.cached,
        output_tokens=usage.completion,
        total_tokens=usage.prompt + usage.completion,
        input_tokens_cache_read=usage.cached,
        reasoning_tokens=usage.reasoning,
        total_cost=cost,
    )


def _moment(time: float) -> str:
    return timestamp(time) or timestamp(1.0) or ""  # Inspect wants one; an imported run may have none
