"""`POST /v1/chat/completions`, whole and streaming."""

import re
import time
from typing import Any

from starlette.requests import Request

from workroom.serve.chat_request import ChatRequest, read_chat
from workroom.serve.errors import ApiError
from workroom.serve.exchange import Exchange
from workroom.serve.names import new_id
from workroom.serve.outcome import Outcome
from workroom.serve.wire import Answer, EventStream, Sender, service_of
from workroom.serve.work import worked_on

PIECE = 200  # characters of an answer that a chunk has
_LINKS = 20  # files that an answer has links to; all are beside it
_IMAGE = re.compile(r"\.(png|jpe?g|gif|webp)$", re.IGNORECASE)


async def chat_completions(request: Request) -> Answer | EventStream:
    """The route. Raises ApiError for what is refused before the work begins."""
    files = service_of(request).files
    return await worked_on(request, lambda body, key: read_chat(body, request.headers, key, files), _Chat)


def usage_object(outcome: Outcome) -> dict[str, Any]:
    """What all model calls of the request used together, as Chat Completions tells it; `cost` is an extension."""
    usage = outcome.usage
    found: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    return found if outcome.cost is None else {**found, "cost": outcome.cost}


def facts_object(outcome: Outcome) -> dict[str, Any]:
    """More about the work than OpenAI's objects have room for."""
    return {"stop_reason": outcome.stop_reason, "turns": outcome.turns, "duration": round(outcome.duration, 3)}


def linked(outcome: Outcome, exchange: Exchange, base: str) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """The answer with links to its first files, where in it each link is, and all the files."""
    text = outcome.text
    places, files = [], []
    for number, file in enumerate(outcome.files):
        url = base + exchange.link(file)
        files.append({"id": file.id, "filename": file.filename, "path": file.path, "bytes": file.bytes, "url": url})
        if number >= _LINKS:
            continue
        shown = re.sub(r"([\\`*_\[\]<>!#|~&])", r"\\\1", file.path)
        line = f"{'!' if _IMAGE.search(file.filename) else ''}[{shown}]({url})"
        text += ("\n" if number else "\n\n" if text else "") + line
        place = {"start_index": len(text) - len(line), "end_index": len(text), "title": file.filename, "url": url}
        places.append(place)
    if len(files) > _LINKS:
        text += f"\n… and {len(files) - _LINKS} more files"
    return text, places, files


class _Chat:
    """One chat completion as it is told to the client."""

    def __init__(self, exchange: Exchange, asked: ChatRequest, model: str, base: str) -> None:
        self._exchange = exchange
        self._asked = asked
        self._base = base
        self._head = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": model}
        self._conversation = {"conversation": {"id": exchange.conversation.id}}

    def whole(self, outcome: Outcome) -> dict[str, Any]:
        """The completion as one object."""
        content, extras = self._content(outcome)
        message = {"role": "assistant", "content": content, "refusal": None, **extras}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": outcome.finish}],
            "usage": usage_object(outcome),
            **self._conversation,
            "workroom": facts_object(outcome),
        }

    async def stream(self, sender: Sender) -> None:
        """All chunks of a stream. Raises ApiError where the request fails."""
        first = self._chunk({"role": "assistant", "content": ""})
        await sender.event({**first, **self._conversation})
        while (piece := await self._exchange.next_piece()) is not None:
            await sender.event(self._chunk({"reasoning_content": piece}))
        outcome = await self._exchange.outcome()
        content, extras = self._content(outcome)
        for start in range(0, len(content), PIECE):
            await sender.event(self._chunk({"content": content[start : start + PIECE]}))
        last = self._chunk(extras, outcome.finish)
        await sender.event({**last, **self._conversation, "workroom": facts_object(outcome)})
        if self._asked.usage:
            await sender.event({**self._chunk({}), "choices": [], "usage": usage_object(outcome)})
        await sender.event("[DONE]")

    async def failed(self, sender: Sender, error: ApiError) -> None:
        """The error as an event."""
        await sender.event(error.body, "error")

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        return {**chunk, "usage": None} if self._asked.usage else chunk

    def _content(self, outcome: Outcome) -> tuple[str, dict[str, Any]]:
        """The answer with links to its files, and what the message has besides."""
        text, places, files = linked(outcome, self._exchange, self._base)
        annotations = [{"type": "url_citation", "url_citation": place} for place in places]
        return text, {"annotations": annotations, "files": files} if files else {}
