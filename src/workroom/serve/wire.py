"""HTTP as the routes use it: bodies bounded while they come in, answers that notice when the client goes away."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from workroom.serve.errors import ApiError, bad_request, busy, client_gone, too_large
from workroom.serve.exchange import Exchange
from workroom.serve.service import Service
from workroom.serve.settings import Key

KEEP_ALIVE = 15.0  # seconds of silence after which a stream says that it is still there
_BODIES = 16  # times the limit of one body that all bodies may take of the memory
_LATER = 10  # seconds after which to try again where they do
_LARGE = 1 << 20  # bytes of a body that is read in a thread, so that others need not wait
_SLOWEST = 60.0  # seconds that a client may take for the next piece of its body
_DRAIN = 8  # times the limit of a body that are read in order to tell that it is too large


def service_of(request: Request) -> Service:
    service: Service = request.scope["workroom.service"]
    return service


def key_of(request: Request) -> Key:
    key: Key = request.scope["workroom.key"]
    return key


def note(request: Request, **facts: Any) -> None:
    """More for the log line of the request. Never what anybody said."""
    request.scope["workroom.facts"] |= facts


def base_url(request: Request) -> str:
    """What links begin with."""
    return service_of(request).settings.public_url or f"{request.url.scheme}://{request.url.netloc}"


async def read_json(request: Request, limit: int, *, empty: bool = False) -> dict[str, Any]:
    """The body as a JSON object of at most `limit` bytes; `empty`: it may be missing. Raises ApiError."""
    service, pieces = service_of(request), []
    async for piece in limited(request, limit):
        service.held += len(piece)
        request.scope["workroom.held"] += len(piece)
        if service.held > _BODIES * limit:
            raise busy("the server holds too many large requests: try again later", _LATER)
        pieces.append(piece)
    data = b"".join(pieces) or (b"{}" if empty else b"")
    try:
        value = _read(data) if len(data) < _LARGE else await asyncio.to_thread(_read, data)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body is no JSON: {error}" if data else "the body is empty") from None
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object")
    return value


def _read(data: bytes) -> Any:
    return json.loads(data, parse_constant=_no_number, parse_float=_finite)


def _finite(text: str) -> float:
    """JSON has no infinite numbers, and an answer that repeats one could not be sent."""
    found = float(text)
    if not math.isfinite(found):
        _no_number(text)
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no number")


async def limited(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The pieces of the body. Raises ApiError: 413 where it is larger than `limit`, 408 where the client stops sending.

    Of a body that is too large the rest is read and dropped: most clients read no answer before they have sent all.
    """
    receive = bounded_receive(request.receive, limit, request.headers.get("content-length"))
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise client_gone()
        yield message.get("body", b"")
        more = message.get("more_body", False)


def bounded_receive(receive: Receive, limit: int, told: str | None = None, larger: ApiError | None = None) -> Receive:
    """`receive` that raises ApiError as `limited` does. `told`: the header Content-Length. `larger`: what is raised
    where the body is too large, if the limit is not to be told as one of the body."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        if told is not None and told.isdigit() and int(told) > limit:
            await _drain(receive, int(told), limit)
            raise larger or too_large(f"the body has {int(told):,} bytes, more than the {limit:,} that are taken")
        message = await _patient(receive)
        seen += len(message.get("body", b""))
        if seen > limit:
            await _drain(receive, _DRAIN * limit - seen, limit)
            raise larger or too_large(f"the body has more than the {limit:,} bytes that are taken")
        return message

    return bounded


async def _drain(receive: Receive, left: int, limit: int) -> None:
    left = min(left, _DRAIN * limit)
    while left > 0:
        message = await _patient(receive)
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


async def _patient(receive: Receive) -> Message:
    try:
        async with asyncio.timeout(_SLOWEST):
            return await receive()
    except TimeoutError:
        raise ApiError(408, f"nothing of the body came for {_SLOWEST:.0f} s", code="request_timeout") from None


class Answer:
    """The answer of an exchange, sent whole once it is there. `render` makes the body of the outcome.

    A client that goes away meanwhile ends the exchange.
    """

    def __init__(self, exchange: Exchange, render: Callable[[Any], dict[str, Any]], headers: dict[str, str]) -> None:
        exchange.mute()
        self._exchange = exchange
        self._render = render
        self._headers = headers

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        async with listening(receive, self._exchange):
            outcome = await self._exchange.outcome()
        await send_json(send, 200, self._render(outcome), self._headers)


class EventStream:
    """Server-sent events, with a comment now and then while nothing happens.

    `events` gets a function that sends one event. Errors of it are sent as an event of their own, which `on_error`
    makes. A client that goes away ends the exchange.
    """

    def __init__(
        self,
        exchange: Exchange,
        events: Callable[["Sender"], Awaitable[None]],
        on_error: Callable[["Sender", ApiError], Awaitable[None]],
        headers: dict[str, str],
    ) -> None:
        self._exchange = exchange
        self._events = events
        self._on_error = on_error
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",  # nginx would hold it back
            **self._headers,
        }
        await send({"type": "http.response.start", "status": 200, "headers": _raw(headers)})
        sender = Sender(send)
        ticker = asyncio.create_task(sender.keep_alive())
        try:
            async with listening(receive, self._exchange):
                try:
                    await self._events(sender)
                except ApiError as error:
                    scope["workroom.facts"]["error"] = error.told
                    await self._on_error(sender, error)
        finally:
            ticker.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Sender:
    """Sends events of a stream, one at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._alone = asyncio.Lock()
        self._last = asyncio.get_running_loop().time()

    async def event(self, data: dict[str, Any] | str, name: str | None = None) -> None:
        """One event with `data` as JSON, or as it is where it is text."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=True, allow_nan=False)
        head = f"event: {name}\n" if name else ""
        await self._write(f"{head}data: {text}\n\n")

    async def keep_alive(self) -> None:
        """Sends comments for as long as it is not cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(KEEP_ALIVE - (loop.time() - self._last), 0.05))
            if loop.time() - self._last >= KEEP_ALIVE:
                await self._write(": still there\n\n")

    async def _write(self, text: str) -> None:
        async with self._alone:
            await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            self._last = asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def listening(receive: Receive, exchange: Exchange) -> AsyncIterator[None]:
    """Ends the exchange, and the block, when the client goes away meanwhile. Raises ApiError (499) then."""
    block = asyncio.current_task()
    assert block is not None
    gone = False

    async def listen() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        exchange.abandon()
        block.cancel()

    listener = asyncio.create_task(listen())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            exchange.abandon()  # the server itself ends the connection
            raise
        block.uncancel()
        raise client_gone() from None
    except OSError:
        exchange.abandon()
        raise
    finally:
        listener.cancel()


async def send_json(send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """A whole JSON answer."""
    data = json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
    head = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": _raw(head)})
    await send({"type": "http.response.body", "body": data, "more_body": False})


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
