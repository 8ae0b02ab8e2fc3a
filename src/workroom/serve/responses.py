"""`POST /v1/responses`, whole and streaming: the same work as a chat completion in the objects of the Responses API."""

import time
from typing import Any

from starlette.requests import Request

from workroom.serve.chat import PIECE, facts_object, linked
from workroom.serve.errors import ApiError
from workroom.serve.exchange import Exchange
from workroom.serve.names import new_id
from workroom.serve.outcome import Outcome
from workroom.serve.responses_request import ResponsesRequest, read_responses
from workroom.serve.wire import Answer, EventStream, Sender, service_of
from workroom.serve.work import worked_on


async def responses(request: Request) -> Answer | EventStream:
    """The route. Raises ApiError for what is refused before the work begins."""
    service, headers = service_of(request), request.headers
    return await worked_on(
        request, lambda body, key: read_responses(body, headers, key, service.files, service.conversations), _Response
    )


class _Response:
    """One response as it is told to the client."""

    def __init__(self, exchange: Exchange, asked: ResponsesRequest, model: str, base: str) -> None:
        self._exchange = exchange
        self._asked = asked
        self._base = base
        self._model = model
        self._created = int(time.time())
        self._reasoning_id = new_id("rs_")
        self._message_id = new_id("msg_")
        self._number = 0  # of the next event
        self._output: list[dict[str, Any]] = []  # what is finished
        exchange.response = new_id("resp_")

    def whole(self, outcome: Outcome) -> dict[str, Any]:
        """The response as one object."""
        self._output.append(self._message(outcome))
        return self._object(_status(outcome), outcome)

    async def stream(self, sender: Sender) -> None:
        """All events of a stream. Raises ApiError where the request fails."""
        await self._send(sender, "response.created", response=self._object("in_progress"))
        await self._send(sender, "response.in_progress", response=self._object("in_progress"))
        await self._stream_reasoning(sender)
        outcome = await self._exchange.outcome()
        await self._stream_message(sender, self._message(outcome))
        status = _status(outcome)
        await self._send(sender, f"response.{status}", response=self._object(status, outcome))

    async def failed(self, sender: Sender, error: ApiError) -> None:
        """The error, as the last event."""
        failed = self._object("failed")
        failed["error"] = {"code": error.code or "server_error", "message": error.message}
        await self._send(sender, "response.failed", response=failed)

    async def _stream_reasoning(self, sender: Sender) -> None:
        place = {"item_id": self._reasoning_id, "output_index": 0, "summary_index": 0}
        empty = {"type": "summary_text", "text": ""}
        text = ""
        while (piece := await self._exchange.next_piece()) is not None:
            if not text:
                item = {**self._reasoning(""), "summary": []}
                await self._send(sender, "response.output_item.added", output_index=0, item=item)
                await self._send(sender, "response.reasoning_summary_part.added", **place, part=empty)
            text += piece
            await self._send(sender, "response.reasoning_summary_text.delta", **place, delta=piece)
        if text:
            await self._send(sender, "response.reasoning_summary_text.done", **place, text=text)
            await self._send(sender, "response.reasoning_summary_part.done", **place, part={**empty, "text": text})
            self._output.append(self._reasoning(text))
            await self._send(sender, "response.output_item.done", output_index=0, item=self._output[-1])

    async def _stream_message(self, sender: Sender, message: dict[str, Any]) -> None:
        index = len(self._output)
        place = {"item_id": self._message_id, "output_index": index, "content_index": 0}
        part = message["content"][0]
        text, notes = part["text"], part["annotations"]
        begun = {**message, "status": "in_progress", "content": []}
        await self._send(sender, "response.output_item.added", output_index=index, item=begun)
        empty = {**part, "text": "", "annotations": []}
        await self._send(sender, "response.content_part.added", **place, part=empty)
        for start in range(0, len(text), PIECE):
            delta = text[start : start + PIECE]
            await self._send(sender, "response.output_text.delta", **place, delta=delta, logprobs=[])
        for number, one in enumerate(notes):
            name = "response.output_text.annotation.added"
            await self._send(sender, name, **place, annotation_index=number, annotation=one)
        await self._send(sender, "response.output_text.done", **place, text=text, logprobs=[])
        await self._send(sender, "response.content_part.done", **place, part=part)
        self._output.append(message)
        await self._send(sender, "response.output_item.done", output_index=index, item=message)

    async def _send(self, sender: Sender, kind: str, **fields: Any) -> None:
        await sender.event({"type": kind, "sequence_number": self._number, **fields}, kind)
        self._number += 1

    def _object(self, status: str, outcome: Outcome | None = None) -> dict[str, Any]:
        why = "content_filter" if outcome is not None and outcome.finish == "content_filter" else "max_output_tokens"
        incomplete = {"reason": why} if status == "incomplete" else None
        found: dict[str, Any] = {
            "id": self._exchange.response,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": incomplete,
            "model": self._model,
            "output": list(self._output),
            "parallel_tool_calls": False,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "truncation": "auto",
            "usage": None if outcome is None else _usage(outcome),
            **self._asked.told,
            "conversation": {"id": self._exchange.conversation.id},
        }
        return found if outcome is None else {**found, "workroom": facts_object(outcome)}

    def _reasoning(self, text: str) -> dict[str, Any]:
        return {"type": "reasoning", "id": self._reasoning_id, "summary": [{"type": "summary_text", "text": text}]}

    def _message(self, outcome: Outcome) -> dict[str, Any]:
        text, places, files = linked(outcome, self._exchange, self._base)
        notes = [{"type": "url_citation", **place} for place in places]
        part = {"type": "output_text", "text": text, "annotations": notes, "logprobs": []}
        status = _status(outcome)
        message = {"type": "message", "id": self._message_id, "status": status, "role": "assistant", "content": [part]}
        return {**message, "files": files} if files else message


def _status(outcome: Outcome) -> str:
    return "completed" if outcome.finish == "stop" else "incomplete"


def _usage(outcome: Outcome) -> dict[str, Any]:
    """What all model calls used together; `cost` is an extension."""
    usage = outcome.usage
    found: dict[str, Any] = {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
    return found if outcome.cost is None else {**found, "cost": outcome.cost}
