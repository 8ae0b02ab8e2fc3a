"""Finds the tool calls that a model wrote into its text."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workroom.models.base import ToolSpec
from workroom.models.messages import encodable
from workroom.sandbox.base import ANSWER_FILE

_JSON_OPENING = re.compile(
    r"(?:`{3,}|~{3,})[ \t]*(?:json\w?|tool_calls?|tool_code|tool)?\s*(?=[\[{])"
    r"|<(?:tool_call|function_call)>\s*(?=[\[{])|<\|python_tag\|>\s*(?=[\[{])"
)
_JSON_CLOSING = re.compile(r"(?:`{3,}|~{3,})(?!\w)|</(?:tool_call|function_call)>")
_SPACE = re.compile(r"\s*")
_BASH_FENCE = re.compile(
    r"^[ \t]*(?P<ticks>`{3,}|~{3,})[ \t]*(?P<language>\w*)[ \t]*\n(?P<body>.*?)"
    r"(?:^[ \t]*(?P=ticks)[`~]*[ \t]*$|(?P<open>\Z))",
    re.MULTILINE | re.DOTALL,
)
_SUBMIT = re.compile(r"submit(?:\(\))?(?:[ \t]+(?P<answer>\S.*))?")
_EXPANDS = re.compile(r"\$[A-Za-z_({]|`")
_OBSERVATION = re.compile(r"^\W*observation\b[^\n]*:", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r'"(?:name|tool)"\s*:\s*"([^"\n]+)"')
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input")
_NAME_KEYS = ("name", "tool", "tool_name", "function")
_BARE_TRIES = 40
_decoder = json.JSONDecoder(strict=False)  # small models leave line breaks inside a text as they are


@dataclass(frozen=True, slots=True)
class Found:
    """A call at `start:end` of a text. `arguments` is JSON, or what the model wrote where that is no JSON."""

    name: str
    arguments: str
    start: int
    end: int


def find_json(text: str, tools: Sequence[ToolSpec]) -> list[Found]:
    """Calls as JSON objects: fenced, in `<tool_call>` tags, or bare at the end of the text.

    JSON of another shape is no call. A fence that was meant as a call but is no valid JSON is one, with the raw text as
    its arguments.
    """
    known = {tool.name for tool in tools}
    begin = _visible(text)
    found = list(_marked(text, begin, known)) or _bare(text, begin, known)
    return _before_invented_observations(text, begin, found)


def find_certain_json(text: str, tools: Sequence[ToolSpec]) -> list[Found]:
    """The calls of `find_json`, if they all are calls of known tools with arguments that fit; else none."""
    found = find_json(text, tools)
    schemas = {tool.name: tool.parameters for tool in tools}
    return found if all(call.name in schemas and _fits(call.arguments, schemas[call.name]) for call in found) else []


def find_bash(text: str, *, cut: bool = False) -> list[Found]:
    """Calls as fenced bash blocks; a line `submit` or `submit ANSWER` at the end of one submits.

    `cut`: the text may lack its end.
    """
    begin = _visible(text)
    if text[begin:].strip().strip("`") in ("submit", "submit()"):
        return [Found("submit", "{}", begin, len(text))]
    found: list[Found] = []
    for match in _BASH_FENCE.finditer(text, begin):
        body, language = match["body"].rstrip(), match["language"].lower()
        if match["open"] is not None and cut:
            break  # half a script is worse than none
        *before, last = body.split("\n")
        submit = _SUBMIT.fullmatch(last.strip())
        if language not in ("bash", "sh", "shell") and not (submit and not before):
            continue
        answer = (submit["answer"] or "") if submit else ""
        if _EXPANDS.search(answer):  # for the shell to work out
            before.append(f"echo {answer} > {ANSWER_FILE}")
            answer = ""
        script = "\n".join(before) if submit else body
        if script.strip():
            found.append(Found("execute_bash", _dump({"command": script}), match.start(), match.end()))
        if submit:
            given = {"answer": _unquoted(answer)} if answer else {}
            found.append(Found("submit", _dump(given), match.start(), match.end()))
    return _before_invented_observations(text, begin, found)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def last_word(text: str, found: Sequence[Found]) -> str:
    """The text up to where the model begins to invent what its last call gives."""
    end = found[-1].end if found else 0
    invented = _OBSERVATION.search(text, end)
    return text[: invented.start()].rstrip() if found and invented else text


def is_invented(text: str) -> bool:
    """Whether the text begins as what `last_word` cuts off, blanks aside."""
    return _OBSERVATION.match(text.lstrip()) is not None


def without(text: str, found: Sequence[Found]) -> str:
    """The text with the calls taken out of it."""
    pieces, position = [], 0
    for call in found:
        pieces.append(text[position : call.start])
        position = max(position, call.end)
    return "".join([*pieces, text[position:]]).strip()


def _visible(text: str) -> int:
    """Where the text begins that is no thinking aloud: a call that is only thought about is none."""
    end = text.rfind("</think>")
    if end >= 0:
        return end + len("</think>")
    return len(text) if text.lstrip().startswith("<think>") else 0


def _before_invented_observations(text: str, begin: int, found: list[Found]) -> list[Found]:
    """Drops the calls that follow on an observation that the model made up."""
    position = begin
    for index, call in enumerate(found):
        if index and _OBSERVATION.search(text, position, call.start):
            return found[:index]
        position = call.end
    return found


def _marked(text: str, begin: int, known: set[str]) -> Iterator[Found]:
    position = begin
    while opening := _JSON_OPENING.search(text, position):
        start, position = opening.span()
        values = []
        while text[position : position + 1] in ("{", "["):  # several objects may stand in one fence
            try:
                value, end = _decoder.raw_decode(text, position)
            except (ValueError, RecursionError):
                break
            values.append(value)
            position = _space_after(text, end)
        if not values:
            closing = _JSON_CLOSING.search(text, position)
            body = text[position : closing.start() if closing else len(text)]
            position = closing.end() if closing else len(text)
            if name := _meant(body):
                yield Found(name, encodable(body.strip()), start, position)
            continue
        if closing := _JSON_CLOSING.match(text, position):
            position = closing.end()
        for value in values:
            for name, arguments in _calls(value, known):
                yield Found(name, arguments, start, position)


def _space_after(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _bare(text: str, begin: int, known: set[str]) -> list[Found]:
    """A call that ends the text with nothing around it."""
    stop = len(text.rstrip())
    if stop <= begin or text[stop - 1] not in "}]":
        return []
    starts = [match.start() for match in re.finditer(r"^[ \t]*(?=[\[{])", text[:stop], re.MULTILINE)]
    for start in [place for place in starts if place >= begin][:_BARE_TRIES]:
        body = _space_after(text, start)
        try:
            value, end = _decoder.raw_decode(text, body)
        except (ValueError, RecursionError):
            if not text[begin:start].strip() and (name := _meant(text[body:stop])):
                return [Found(name, encodable(text[body:stop]), start, len(text))]
            continue
        if end == stop and (calls := _calls(value, known)):
            return [Found(name, arguments, start, len(text)) for name, arguments in calls]
    return []


def _meant(body: str) -> str | None:
    """The name in malformed JSON that was meant to be a call."""
    name = _NAME.search(body)
    return name[1] if name and any(f'"{key}"' in body for key in _ARGUMENT_KEYS) else None


def _calls(value: Any, known: set[str]) -> list[tuple[str, str]]:
    """The calls of a JSON value, none if it is of no known shape."""
    if isinstance(value, list):
        each = [_calls(item, known) for item in value]
        return [call for calls in each for call in calls] if all(each) else []
    if not isinstance(value, dict):
        return []
    if isinstance(inner := value.get("tool_calls"), list):
        return _calls(inner, known)
    if isinstance(inner := value.get("function"), dict):
        return _calls(inner, known)
    if len(value) == 1 and isinstance(inner := value.get(name := next(iter(value))), dict) and name in known:
        return [(name, _dump(inner))]
    key = next((key for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if key is None:
        return []
    name = value[key]
    for argument_key in _ARGUMENT_KEYS:
        if argument_key in value and (name in known or argument_key == "arguments"):
            return [(encodable(name), _arguments(value[argument_key]))]
    return [(name, _dump({k: v for k, v in value.items() if k != key}))] if name in known else []


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        try:
            inner = json.loads(value, strict=False)
        except (ValueError, RecursionError):
            return encodable(value)
        return _dump(inner)
    return _dump({} if value is None else value)


def _dump(value: Any) -> str:
    return encodable(json.dumps(value, ensure_ascii=False))


def _fits(arguments: str, schema: Mapping[str, Any]) -> bool:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    return value.keys() <= schema.get("properties", {}).keys() and set(schema.get("required", ())) <= value.keys()
