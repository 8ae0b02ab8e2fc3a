"""The body of a request to the Responses API, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workroom.serve.ask import Ask, Attachment
from workroom.serve.chat_request import (
    LEFT_OUT,
    Messages,
    conversation_name,
    optional,
    read_sampling,
    refuse_tools,
    user_name,
)
from workroom.serve.conversations import Conversations
from workroom.serve.errors import bad_request, unsupported
from workroom.serve.filestore import FileStore
from workroom.serve.settings import Key

_LEFT_OUT = ("reasoning", "item_reference")  # items of earlier answers that say nothing to the model


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """What is asked for. `told`: fields that the answer repeats, as they were given."""

    ask: Ask
    stream: bool
    told: dict[str, Any]


def read_responses(
    body: Mapping[str, Any], headers: Mapping[str, str], key: Key, files: FileStore, conversations: Conversations
) -> ResponsesRequest:
    """Raises ApiError (400, 404) that names the field at fault."""
    _refuse_unsupported(body)
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not items:
        raise bad_request("input must be text or a list of at least one item", "input")
    messages = [_message(item, f"input[{number}]") for number, item in enumerate(items)]
    said, instructions, attachments = _Items(key, files).read(messages)
    own = optional(body, "instructions", str, "text")
    name, goes_on = conversation_name(body, headers)
    previous = optional(body, "previous_response_id", str, "text")
    if previous is not None:
        if goes_on:
            raise bad_request("give previous_response_id or conversation, not both", "previous_response_id")
        name, goes_on = conversations.of_response(key, previous).id, True
    ask = Ask(
        prompt=said[-1].text,
        files=said[-1].files,
        history=tuple(said[:-1]),
        instructions="\n\n".join(filter(None, (own, instructions))) or None,
        attachments=tuple(attachments),
        sampling=read_sampling(body, "max_output_tokens"),
        conversation=name,
        goes_on=goes_on,
        user=user_name(body, headers),
    )
    names = ("instructions", "max_output_tokens", "metadata", "previous_response_id", "temperature", "top_p", "user")
    told = {name: body.get(name) for name in names} | {"store": body.get("store") is not False}
    return ResponsesRequest(ask, bool(optional(body, "stream", bool, "true or false")), told)


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    refuse_tools(body)
    if body.get("background"):
        raise unsupported("background", "background must be false: wait for the answer, or stream it")
    form = (optional(body, "text", dict, "an object") or {}).get("format")
    if form is not None and (not isinstance(form, Mapping) or form.get("type") != "text"):
        raise unsupported("text.format", "text.format must be of type text: ask for a file of that form instead")
    for name in ("prompt", "top_logprobs"):
        if body.get(name):
            raise unsupported(name, f"{name} is not supported")


def _message(item: Any, where: str) -> Any:
    kind = item.get("type", "message") if isinstance(item, Mapping) else "message"
    if kind in _LEFT_OUT:
        return LEFT_OUT
    if kind != "message":
        raise unsupported(f"{where}.type", f"{where}: items of the type {str(kind)[:40]!r} are not supported")
    return item


class _Items(Messages):
    """Reads the items of one request. Their parts may also be those of Chat Completions."""

    field = "input"
    texts = (*Messages.texts, "input_text", "output_text")
    kinds = (*Messages.kinds, "input_image", "input_file")
    told = (("input_text", "output_text"), ("input_image", "input_file", "input_audio"))

    def _attachment(self, part: Mapping[str, Any], where: str, number: int) -> Attachment:
        if part["type"] == "input_image":
            return self._file(part, where, "image_url", f"image-{number}")
        if part["type"] == "input_file":
            data = "file_url" if part.get("file_url") and not part.get("file_data") else "file_data"
            return self._file(part, where, data, f"file-{number}")
        return super()._attachment(part, where, number)
