"""`scripted/PATH`: a model that plays a file of assistant messages; for tests, demos and benchmarks of the harness.

A line of the file is an assistant message in OpenAI form: `content`, `tool_calls`, and optionally `reasoning_content`
and `usage` (as a Chat Completions server reports it). Empty lines are skipped. The message to play next is told from
the conversation alone, by the number of assistant messages in it (but those said before the episode began), so that
one model serves any number of episodes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from workroom.errors import BadRequest, ConfigError
from workroom.models.base import Completion, Delta, Message, ModelHints, Sampling, ToolCall, ToolSpec, Usage
from workroom.models.messages import unique_ids
from workroom.models.openai_wire import read_usage

PREFIX = "scripted/"


class ScriptedModel:
    """Plays `path`, a script or a folder of scripts `<task id>.jsonl` and `default.jsonl`.

    Raises ConfigError, at once for a script and in `for_task` for a folder, where a file is missing or malformed.
    """

    def __init__(self, path: str | Path, *, hints: ModelHints | None = None) -> None:
        self.name = f"{PREFIX}{path}"
        self.window: int | None = None
        self.hints = hints or ModelHints()
        self._path = Path(path)
        self._script: tuple[Completion, ...] | None = None
        if not self._path.is_dir():
            self._script = _load(self._path)

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),  # noqa: ARG002
        *,
        sampling: Sampling | None = None,  # noqa: ARG002
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """The next message of the script. Raises BadRequest where there is none."""
        script = self._script if self._script is not None else _load(self._path / "default.jsonl")
        turn = sum(message.role == "assistant" and not message.prior for message in messages)
        if turn >= len(script):
            raise BadRequest(f"{self.name}: the script has {len(script)} messages and is asked for one more")
        completion = script[turn]
        if on_delta is not None:
            _stream(completion.message, on_delta)
        return completion

    def for_task(self, task_id: str) -> "ScriptedModel":
        """The script of the task, where this is a folder of scripts; else this model."""
        if self._script is not None:
            return self
        own = self._path / f"{task_id}.jsonl"
        try:
            found = own.resolve().is_relative_to(self._path.resolve()) and own.is_file()
        except (OSError, ValueError):  # an id that can be no file's name: too long, with a NUL or half a character
            found = False
        return ScriptedModel(own if found else self._path / "default.jsonl", hints=self.hints)

    async def aclose(self) -> None:
        """Nothing to free."""


def _stream(message: Message, on_delta: Callable[[Delta], None]) -> None:
    if message.reasoning:
        on_delta(Delta("reasoning", message.reasoning))
    if message.content:
        on_delta(Delta("content", message.content))
    for call in message.tool_calls:
        on_delta(Delta("tool_call", call.name))
        on_delta(Delta("tool_call", call.arguments))


def _load(path: Path) -> tuple[Completion, ...]:
    try:
        status = path.stat()
    except OSError:
        raise ConfigError(f"the script {path} does not exist") from None
    return _parse(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _parse(path: Path, _modified: int, _size: int) -> tuple[Completion, ...]:
    """The script's completions; the file's time and size are part of the cache's key."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the script {path} cannot be read: {error}") from None
    script: list[Completion] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                script.append(_completion(json.loads(line), len(script)))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise ConfigError(f"{path}, line {number}: no assistant message in OpenAI form ({error})") from None
    return tuple(script)


def _completion(line: Any, turn: int) -> Completion:
    if not isinstance(line, dict):
        raise TypeError("it is no JSON object")
    if "content" not in line and "tool_calls" not in line:
        raise ValueError("it has neither content nor tool_calls")
    if line.get("role", "assistant") != "assistant":
        raise ValueError(f"its role is {line['role']!r}")
    calls = unique_ids([_call(call) for call in line.get("tool_calls") or ()], turn)
    usage: Usage | None = read_usage(line["usage"]) if line.get("usage") else None
    message = Message(
        role="assistant",
        content=_text(line, "content"),
        reasoning=_text(line, "reasoning_content") or None,
        tool_calls=calls,
    )
    return Completion(message, "tool_calls" if calls else "stop", usage, model="scripted")


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(id=call.get("id") or "", name=_text(function, "name"), arguments=text)


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value or ""
