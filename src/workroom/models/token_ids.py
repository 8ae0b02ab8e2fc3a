"""The token ids of a call, as the servers of Chat Completions tell them.

vLLM and SGLang take `return_token_ids` and answer with `token_ids` in the choice and `prompt_token_ids` beside it or in
it. llama.cpp puts an `id` into each entry of `logprobs`, and has the prompt's ids from `/apply-template` and
`/tokenize`, which is what it does itself before it samples.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workroom.errors import ModelError
from workroom.models.base import Delta, TokenIds, Usage

# One alternative, since llama.cpp gives none without and 20 by default.
REQUEST = {"return_token_ids": True, "logprobs": True, "top_logprobs": 1}

Post = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer tells. `prompt` and `completion` are None where it does not."""

    prompt: tuple[int, ...] | None
    completion: tuple[int, ...] | None
    logprobs: tuple[float, ...]


def read_told(reply: Mapping[str, Any], choice: Mapping[str, Any]) -> Told:
    """The ids in a whole answer. Log-probabilities that are not one a token, or no numbers, are left out."""
    entries = _entries(choice.get("logprobs"))
    completion = _ids(choice.get("token_ids"))
    if completion is None and entries:
        completion = _ids([entry.get("id") for entry in entries])
    prompt = _ids(reply.get("prompt_token_ids")) or _ids(choice.get("prompt_token_ids"))
    logprobs = [entry.get("logprob") for entry in entries]
    told = all(isinstance(value, int | float) and math.isfinite(value) for value in logprobs)
    fits = told and completion is not None and len(logprobs) == len(completion)
    return Told(prompt, completion, tuple(float(value) for value in logprobs if value is not None) if fits else ())


def _entries(logprobs: Any) -> list[dict[str, Any]]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


class Reply:
    """Any JSON that a server answers, for `Endpoint.ask`."""

    usage: Usage | None = None

    def __init__(self) -> None:
        self.value: Any = None

    @property
    def complete(self) -> bool:
        return self.value is not None

    def feed(self, event: Any) -> list[Delta]:
        self.value = event
        return []


async def whole(told: Told, root: str, body: Mapping[str, Any], usage: Usage | None, post: Post) -> TokenIds | None:
    """The ids of prompt and completion, None where the server does not tell both.

    `root` is the server's address without `/v1`, `body` the request that was answered.
    """
    prompt = told.prompt
    if told.completion is None:
        return None
    if prompt is None:
        prompt = await _tokenized(root, body, post)
        if prompt is None or (usage is not None and usage.prompt != len(prompt)):
            return None
    return TokenIds(prompt, told.completion, told.logprobs)


async def _tokenized(root: str, body: Mapping[str, Any], post: Post) -> tuple[int, ...] | None:
    """The prompt as llama.cpp makes it of the messages; None for a server that is another one."""
    try:
        rendered = await post(f"{root}/apply-template", body)
        content = rendered.get("prompt") if isinstance(rendered, dict) else None
        if not isinstance(content, str):
            return None
        reply = await post(f"{root}/tokenize", {"content": content, "add_special": True, "parse_special": True})
    except ModelError:
        return None
    return _ids(reply.get("tokens")) if isinstance(reply, dict) else None


def _ids(values: Any) -> tuple[int, ...] | None:
    return tuple(values) if isinstance(values, list) and all(type(value) is int for value in values) else None
