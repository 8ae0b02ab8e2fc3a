"""Tool calls in plain text, for models and servers without native ones: as JSON objects or as bash blocks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolCall, ToolSpec
from workroom.models.failures import ToolsUnsupported
from workroom.models.messages import arguments_object, encodable, unique_ids
from workroom.models.text_calls import Found, find_bash, find_certain_json, find_json, last_word, without

if TYPE_CHECKING:
    import jinja2

API = "text"
Kind = Literal["json", "bash"]
BASH_TOOLS = ("execute_bash", "submit")


class TextProtocolModel:
    """`inner`, with the tools told in the system prompt and the calls read from the text.

    `json`: one fenced object with `name` and `arguments`; `bash`: one fenced script, and `submit` as its last line.
    """

    def __init__(self, inner: Model, kind: Kind) -> None:
        self.name = inner.name
        self.window = inner.window
        self.hints = replace(inner.hints, protocol=kind, tools=BASH_TOOLS if kind == "bash" else inner.hints.tools)
        self._inner = inner
        self._kind: Kind = kind

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`. Pieces are streamed as the model writes them, calls as content."""
        # The compact prompt for bash blocks says by itself how to act: small models are confused by a second manual.
        told = self._kind == "bash" and self.hints.prompt == "compact"
        rendered = render(messages, tools, self._kind, manual=not told)
        try:
            completion = await self._inner.complete(rendered, sampling=sampling, on_delta=on_delta)
        finally:
            self.window = self._inner.window
            self.hints = replace(self.hints, vision=self._inner.hints.vision)
        return self._parsed(completion, tools, len(messages)) if tools else completion

    def for_task(self, task_id: str) -> "TextProtocolModel":
        inner = self._inner.for_task(task_id)
        return self if inner is self._inner else TextProtocolModel(inner, self._kind)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _parsed(self, completion: Completion, tools: Sequence[ToolSpec], turn: int) -> Completion:
        text = completion.message.content
        cut = completion.finish_reason == "length"
        found = find_json(text, tools) if self._kind == "json" else find_bash(text, cut=cut)
        if not found:
            return completion
        text = last_word(text, found)
        message = with_calls(completion.message, text, found, turn)
        provider: dict[str, Any] = {"api": API}
        if completion.message.provider:
            provider["inner"] = dict(completion.message.provider)
        if _assistant_text(message, self._kind) != text:
            provider["text"] = text  # the model shall see what it wrote, not what was made of it
        message = replace(message, provider=provider if len(provider) > 1 else None)
        return replace(completion, message=message, finish_reason="length" if cut else "tool_calls")


class AutoProtocolModel:
    """`native`, until its server turns out to have no tool calls: from then on the `json` text protocol.

    A call that a model wrote into its text, because the server does not know the model's own form, is recovered.
    """

    def __init__(self, native: Model) -> None:
        self.name = native.name
        self.window = native.window
        self.hints = native.hints
        self._inner = native

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`."""
        try:
            completion = await self._inner.complete(messages, tools, sampling=sampling, on_delta=on_delta)
        except ToolsUnsupported:
            if not tools:
                raise
            if not isinstance(self._inner, TextProtocolModel):
                self._inner = TextProtocolModel(self._inner, "json")
                self.hints = self._inner.hints
            completion = await self._inner.complete(messages, tools, sampling=sampling, on_delta=on_delta)
        finally:
            self.window = self._inner.window
            self.hints = replace(self.hints, vision=self._inner.hints.vision)
        return self._recovered(completion, tools, len(messages))

    def for_task(self, task_id: str) -> "AutoProtocolModel":
        inner = self._inner.for_task(task_id)
        return self if inner is self._inner else AutoProtocolModel(inner)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _recovered(self, completion: Completion, tools: Sequence[ToolSpec], turn: int) -> Completion:
        message = completion.message
        if message.tool_calls or not tools or not (found := find_certain_json(message.content, tools)):
            return completion
        message = with_calls(message, last_word(message.content, found), found, turn)
        return replace(completion, message=message, finish_reason="tool_calls")


def with_calls(message: Message, text: str, found: Sequence[Found], turn: int) -> Message:
    """The message with its calls taken out of the text. `turn` goes into their ids."""
    calls = unique_ids([ToolCall("", call.name, call.arguments) for call in found], turn)
    return replace(message, content=without(text, found), tool_calls=calls)


def render(messages: Sequence[Message], tools: Sequence[ToolSpec], kind: Kind, *, manual: bool = True) -> list[Message]:
    """The conversation as text: tools in the system message, calls in the answers, results as user messages."""
    rendered: list[Message] = []
    for is_result, group in groupby(messages, key=lambda message: message.role == "tool"):
        if is_result:
            results = list(group)
            pictures = tuple(image for result in results for image in result.images)
            rendered.append(Message("user", _observations(results), images=pictures))
        else:
            rendered += [_plain(message, kind) for message in group]
    if not tools or not manual:
        return rendered
    text = _template(f"{kind}.md.j2").render(tools=tools, example=_example(tools)).strip()
    if rendered and rendered[0].role == "system":
        head = rendered[0].content.rstrip()
        return [replace(rendered[0], content=f"{head}\n\n{text}" if head else text), *rendered[1:]]
    return [Message("system", text), *rendered]


def _plain(message: Message, kind: Kind) -> Message:
    provider = message.provider or {}
    inner = provider.get("inner") if provider.get("api") == API else message.provider
    if message.role == "assistant" and (message.tool_calls or provider.get("api") == API):
        text = provider.get("text") if provider.get("api") == API else None
        content = text if text is not None else _assistant_text(message, kind)
        # Another protocol's own form of the message would repeat its calls.
        inner = inner if provider.get("api") == API else None
        return replace(message, content=content, tool_calls=(), provider=inner)
    return message


def _assistant_text(message: Message, kind: Kind) -> str:
    blocks = [_block(call, kind) for call in message.tool_calls]
    return "\n\n".join([message.content, *blocks] if message.content else blocks)


def _block(call: ToolCall, kind: Kind) -> str:
    given = arguments_object(call)
    if kind == "bash" and call.name == "submit":
        return _fenced("bash", f"submit {given.get('answer', '')}".rstrip())
    if kind == "bash" and call.name == "execute_bash" and isinstance(given.get("command"), str):
        return _fenced("bash", given["command"])
    if "invalid_json" in given:
        return _fenced("json", encodable(call.arguments))
    return _fenced("json", json.dumps({"name": call.name, "arguments": given}, ensure_ascii=False))


def _fenced(language: str, text: str) -> str:
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return f"{ticks}{language}\n{text}\n{ticks}"


def _observations(results: Sequence[Message]) -> str:
    template = _template("observation.md.j2")
    return "\n\n".join(
        template.render(number=number, count=len(results), is_error=result.is_error, text=result.content).rstrip("\n")
        for number, result in enumerate(results, 1)
    )


def _example(tools: Sequence[ToolSpec]) -> str:
    tool = next((tool for tool in tools if tool.name == "execute_bash"), tools[0])
    example = {"command": "ls -la"} if tool.name == "execute_bash" else _placeholders(tool.parameters)
    return json.dumps({"name": tool.name, "arguments": example})


def _placeholders(schema: Mapping[str, Any]) -> dict[str, str]:
    return dict.fromkeys(schema.get("required", ()), "...")


@cache
def _template(name: str) -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.get_template(name)
