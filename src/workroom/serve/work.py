"""What both chat routes do with a request, between its body and its answer."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from starlette.requests import Request

from workroom.sandbox.base import parse_size
from workroom.serve.ask import Ask
from workroom.serve.chat_request import LEFT_OUT
from workroom.serve.errors import ApiError, not_found
from workroom.serve.exchange import Exchange
from workroom.serve.outcome import Outcome
from workroom.serve.settings import Key
from workroom.serve.wire import Answer, EventStream, Sender, base_url, key_of, note, read_json, service_of


class Asked(Protocol):
    """A body that was read."""

    @property
    def ask(self) -> Ask: ...

    @property
    def stream(self) -> bool: ...


class Telling(Protocol):
    """How an API tells an answer: as one object, or as a stream that may fail."""

    def whole(self, outcome: Outcome) -> dict[str, Any]: ...

    async def stream(self, sender: Sender) -> None: ...

    async def failed(self, sender: Sender, error: ApiError) -> None: ...


A = TypeVar("A", bound=Asked)


async def worked_on(
    request: Request,
    read: Callable[[dict[str, Any], Key], A],
    telling: Callable[[Exchange, A, str, str], Telling],
) -> Answer | EventStream:
    """The answer to a request whose body `read` reads; `telling` is given the exchange, what was asked, the model's
    name as the client calls it, and what links begin with. Raises ApiError for what is refused before the work begins.
    """
    service, key = service_of(request), key_of(request)
    body = await read_json(request, parse_size(service.settings.max_body))
    if service.settings.ignore_tools:
        body = without_tools(body)
    model = check_model(body.get("model"), service.model_names)
    # In a thread: it may have to decode many megabytes, and others should not wait.
    asked = await asyncio.to_thread(read, body, key)
    exchange = service.begin(key, asked.ask)
    note(request, exchange=exchange)
    told = telling(exchange, asked, model, base_url(request))
    headers = {"x-conversation-id": exchange.conversation.id}
    if asked.stream:
        return EventStream(exchange, told.stream, told.failed, headers)
    return Answer(exchange, told.whole, headers)


def check_model(given: Any, names: tuple[str, ...]) -> str:
    """The name that the client called the model. Raises ApiError: 404 for another one, 400 for none."""
    if not isinstance(given, str) or not given:
        raise ApiError(400, f"model is missing: this server has {names[0]}", param="model")
    if given not in names:
        raise not_found(f"there is no model {given[:100]!r}: this server has {names[0]}", "model_not_found", "model")
    return given


def without_tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without tools that the client only offers, and without what other models did with them; where it wants
    one to be called they stay, to be refused."""
    offer = ("tools", "functions", "tool_choice", "function_call")
    if any(body.get(name) not in (None, "auto", "none") for name in offer[2:]):
        return dict(body)
    kept = {name: value for name, value in body.items() if name not in offer}
    for name in ("messages", "input"):
        if isinstance(kept.get(name), list):
            kept[name] = [LEFT_OUT if _is_of_tool(one) else _without_calls(one) for one in kept[name]]
    return kept


def _is_of_tool(message: Any) -> bool:
    """Whether it says nothing but what was asked of a tool, or what a tool answered."""
    if not isinstance(message, Mapping):
        return False
    if message.get("role") in ("tool", "function") or message.get("type") in ("function_call", "function_call_output"):
        return True
    return bool(message.get("tool_calls") or message.get("function_call")) and not message.get("content")


def _without_calls(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    return {name: value for name, value in message.items() if name not in ("tool_calls", "function_call")}
