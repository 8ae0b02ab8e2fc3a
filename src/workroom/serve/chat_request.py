"""The body of a chat completion, read and checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workroom.models.base import Sampling
from workroom.serve.ask import Ask, Attachment, Said, attached
from workroom.serve.errors import ApiError, bad_request, unsupported
from workroom.serve.filestore import FileStore
from workroom.serve.names import FreeNames, is_name, safe_name
from workroom.serve.parts import from_data, from_upload
from workroom.serve.settings import Key

_INSTRUCTING = ("system", "developer")
_PICTURES = ("image_url", "input_image")
LEFT_OUT = object()  # stands for a message that is passed over, so that the others keep their numbers


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a chat completion asks for. `usage`: whether a stream is to end with a chunk that tells it."""

    ask: Ask
    stream: bool
    usage: bool


def read_chat(body: Mapping[str, Any], headers: Mapping[str, str], key: Key, files: FileStore) -> ChatRequest:
    """Raises ApiError (400, 404) that names the field at fault."""
    _refuse_unsupported(body)
    said, instructions, attachments = Messages(key, files).read(body.get("messages"))
    options = optional(body, "stream_options", dict, "an object") or {}
    name, by_field = conversation_name(body, headers)
    ask = Ask(
        prompt=said[-1].text,
        files=said[-1].files,
        history=tuple(said[:-1]),
        instructions=instructions,
        attachments=tuple(attachments),
        sampling=read_sampling(body, "max_completion_tokens", "max_tokens"),
        conversation=name,
        goes_on=by_field and all(one.role == "user" for one in said),  # answers among them: it is all that was said
        user=user_name(body, headers),
    )
    return ChatRequest(ask, bool(optional(body, "stream", bool, "true or false")), bool(options.get("include_usage")))


def conversation_name(body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str | None, bool]:
    """The conversation that the request names, None where it names none, and whether the field `conversation` does:
    only who knows that field leaves it to the server what was said so far. Raises ApiError (400) for what is no name.
    """
    field, metadata = body.get("conversation"), body.get("metadata")
    places = {
        "conversation": field.get("id") if isinstance(field, Mapping) else field,
        "metadata.conversation_id": metadata.get("conversation_id") if isinstance(metadata, Mapping) else None,
        "X-Conversation-Id": headers.get("x-conversation-id") or None,
    }
    place, given = next(((place, given) for place, given in places.items() if given is not None), ("", None))
    if given is None:
        return None, False
    if not isinstance(given, str) or not given:
        what = "the id of a conversation" + (", or an object with one" if place == "conversation" else "")
        raise bad_request(f"{place} must be {what}", place)
    if not is_name(given):
        raise bad_request(
            "a conversation's name has 1 to 128 letters, digits or _.:@+-, the first a letter or digit", place
        )
    return given, place == "conversation"


def user_name(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Whom the request is for, as the client says; empty where it does not. Raises ApiError (400) for what is no text:
    who would not be told apart would meet others in their sandboxes."""
    names = [optional(body, name, str, "text") for name in ("safety_identifier", "user")]
    return next(filter(None, names), headers.get("x-openwebui-user-id", ""))


def read_sampling(body: Mapping[str, Any], *bounds: str) -> Sampling:
    """How the request wants each model call sampled. `bounds`: the names of the bound on tokens, the first counting."""
    asked = [_number(body, name, 1, math.inf, whole=True) for name in bounds]
    most = next((value for value in asked if value is not None), None)
    seed = _number(body, "seed", -math.inf, math.inf, whole=True)
    return Sampling(
        temperature=_number(body, "temperature", 0, 2),
        top_p=_number(body, "top_p", 0, 1),
        seed=None if seed is None else int(seed),
        max_tokens=None if most is None else int(most),
    )


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    if body.get("n") not in (None, 1):
        raise unsupported("n", "n must be 1: this server gives one answer")
    refuse_tools(body)
    if body.get("logprobs") or body.get("top_logprobs"):
        raise unsupported("logprobs", "logprobs are not supported: an answer comes of many model calls")
    form = body.get("response_format")
    if form is not None and (not isinstance(form, Mapping) or form.get("type") != "text"):
        raise unsupported(
            "response_format", "response_format must be of type text: ask for a file of that form instead"
        )
    if body.get("audio") or body.get("modalities") not in (None, [], ["text"]):
        raise unsupported("modalities", "answers are text: ask for an audio file instead")
    for name in ("stop", "logit_bias", "presence_penalty", "frequency_penalty", "prediction", "web_search_options"):
        if body.get(name):
            raise unsupported(name, f"{name} is not supported")


def refuse_tools(body: Mapping[str, Any]) -> None:
    """Raises ApiError (400) where the model is offered tools of the client's, or told to call some."""
    for name in ("tools", "functions"):
        if body.get(name):
            raise unsupported(name, f"{name} are not supported: the model has the tools of its sandbox")
    for name in ("tool_choice", "function_call"):
        if body.get(name) not in (None, "auto", "none"):
            raise unsupported(name, f"{name} must be auto or none: the model calls the tools of its sandbox only")


class Messages:
    """Reads the messages of one request."""

    field = "messages"
    texts: tuple[str, ...] = ("text", "refusal")  # types of parts
    kinds: tuple[str, ...] = ("image_url", "file", "input_audio")  # of those that are files
    told: tuple[tuple[str, ...], tuple[str, ...]] = (("text",), kinds)  # which of both an error names

    def __init__(self, key: Key, files: FileStore) -> None:
        self._key = key
        self._files = files
        self._attachments: list[Attachment] = []
        self._names: dict[str, str] = {}  # by identity
        self._free = FreeNames(())

    def read(self, messages: Any) -> tuple[list[Said], str | None, list[Attachment]]:
        """What was said, the last of it by the user; the system messages in one; all files, the earliest first."""
        if not isinstance(messages, list) or not messages:
            raise bad_request(f"{self.field} must be a list of at least one message", self.field)
        said: list[Said] = []
        instructions: list[str] = []
        earlier = 0
        for number, message in enumerate(messages):
            if message is LEFT_OUT:
                continue
            where, earlier = f"{self.field}[{number}]", len(self._attachments)
            if not isinstance(message, Mapping):
                raise bad_request(f"{where} must be an object with role and content", where)
            role = message.get("role")
            if role in _INSTRUCTING:
                instructions.append(self._content(message, where, plain=True))
            elif role == "user":
                text, came = self._content(message, where), self._attachments[earlier:]
                bare = text == attached(one.name for one in came)
                said.append(Said("user", text, tuple(one.identity for one in came) if bare else ()))
            elif role == "assistant":
                if message.get("tool_calls") or message.get("function_call"):
                    raise unsupported(f"{where}.tool_calls", f"{where}: tool calls of the client's are not supported")
                said.append(Said("assistant", self._content(_without_pictures(message), where, plain=True)))
            elif role in ("tool", "function"):
                raise unsupported(f"{where}.role", f"{where}: messages of the role {role} are not supported")
            else:
                raise bad_request(
                    f"{where}.role must be system, developer, user or assistant, not {str(role)[:40]!r}",
                    f"{where}.role",
                )
        if not said or said[-1].role != "user":
            raise bad_request("the last message must be of the user", self.field)
        found = [replace(file, latest=number >= earlier) for number, file in enumerate(self._attachments)]
        return said, "\n\n".join(filter(str.strip, instructions)) or None, found

    def _content(self, message: Mapping[str, Any], where: str, *, plain: bool = False) -> str:
        """The text of a message; files go to the attachments."""
        content, where = message.get("content"), f"{where}.content"
        if isinstance(content, str):
            texts, before = [content], len(self._attachments)
        elif content in (None, []) and message.get("role") == "assistant":
            return str(message.get("refusal") or "")
        elif isinstance(content, list) and content:
            before = len(self._attachments)
            texts = [self._part(part, f"{where}[{number}]", plain) for number, part in enumerate(content)]
        else:
            raise bad_request(f"{where} must be text or a list of parts", where)
        text = "\n\n".join(filter(None, texts))
        if not text.strip() and message.get("role") == "user":
            names = [attachment.name for attachment in self._attachments[before:]]
            if not names:
                raise bad_request(f"{where} is empty", where)
            return attached(names)
        return text

    def _part(self, part: Any, where: str, plain: bool) -> str:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in self.texts:
            field = "refusal" if kind == "refusal" else "text"
            text = part.get(field)
            if not isinstance(text, str):
                raise bad_request(f"{where}.{field} must be text", f"{where}.{field}")
            return text
        if plain or kind not in self.kinds:
            allowed = ", ".join(self.told[0] if plain else (*self.told[0], *self.told[1]))
            raise bad_request(f"{where}.type must be one of: {allowed}, not {str(kind)[:40]!r}", f"{where}.type")
        found = self._attachment(part, where, len(self._attachments) + 1)
        if found.identity not in self._names:
            self._names[found.identity] = self._free.take(safe_name(found.name))
        self._attachments.append(replace(found, name=self._names[found.identity]))
        return ""

    def _attachment(self, part: Mapping[str, Any], where: str, number: int) -> Attachment:
        """The file of a part, the request's file of that number."""
        kind = part["type"]
        held, where = part.get(kind), f"{where}.{kind}"
        if not isinstance(held, Mapping):
            held = {"url": held} if kind == "image_url" else {}
        if kind == "image_url":
            return from_data(held.get("url"), None, f"{where}.url", f"image-{number}")
        if kind == "input_audio":
            form = held.get("format")
            name = f"audio-{number}.{form}" if isinstance(form, str) and form.isalnum() else None
            return from_data(held.get("data"), name, f"{where}.data", f"audio-{number}")
        return self._file(held, where, "file_data", f"file-{number}")

    def _file(self, held: Mapping[str, Any], where: str, data: str, stem: str) -> Attachment:
        """An upload, or else what the field `data` of `held` has."""
        if held.get("file_id") is not None:
            return from_upload(self._files, self._key, held["file_id"], f"{where}.file_id")
        return from_data(held.get(data), held.get("filename"), f"{where}.{data}", stem)


def _without_pictures(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer without the pictures that a front end shows as the model's own: they are files of its sandbox."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [part for part in content if not (isinstance(part, Mapping) and part.get("type") in _PICTURES)]
    return {**message, "content": kept}


def optional(body: Mapping[str, Any], name: str, kind: type, words: str) -> Any:
    """The field, None where it is not there. Raises ApiError where it is something else."""
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise _wrong(name, words)
    return value


def _number(body: Mapping[str, Any], name: str, low: float, high: float, *, whole: bool = False) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        bounds = f" of at least {low:g}" if high == math.inf else f" from {low:g} to {high:g}"
        bounds = "" if low == -math.inf else bounds
        raise _wrong(name, f"a {'whole number' if whole else 'number'}{bounds}")
    return value  # type: ignore[no-any-return]


def _wrong(name: str, words: str) -> ApiError:
    return bad_request(f"{name} must be {words}", name, "invalid_value")
