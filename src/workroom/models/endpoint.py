"""One HTTP endpoint of a provider, spoken to through the provider's own SDK.

The SDK does connections, headers and event streams; its own retries are off, and bodies are plain JSON values, so that
a server's extra fields survive and a strange reply is classed here rather than half parsed there.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

from workroom.errors import BadRequest, ConfigError, ModelError, Overloaded
from workroom.models.address import host_of, is_loopback
from workroom.models.base import CHARACTERS_PER_TOKEN, Delta, Usage
from workroom.models.failures import Provider, classify
from workroom.models.waiting import queueing
from workroom.redaction import remember, remember_url

if TYPE_CHECKING:
    import ssl

    import httpx2

    from workroom.models.watch import Watch

CONNECT_TIMEOUT = 10.0
IDLE_TIMEOUT = 600.0
_END = object()
_UNREADABLE = (ValueError, RecursionError, OverflowError)
_MALFORMED = (*_UNREADABLE, LookupError, TypeError, AttributeError)


class Answer(Protocol):
    """What collects an answer: fed events, or once a whole reply. It raises one of `_MALFORMED` for what is neither."""

    @property
    def complete(self) -> bool: ...

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, event: Any) -> list[Delta]: ...


@dataclass
class Timing:
    """Seconds of one request, without those that it queued for: in all, and to the first piece of a stream."""

    duration: float = 0.0
    first: float | None = None


@cache
def loading(sdk: str) -> threading.Thread:
    """The thread that loads an SDK; to be asked for as soon as it is known that one will be needed."""
    thread = threading.Thread(target=import_module, args=(sdk,), name=f"load {sdk}")
    thread.start()
    return thread


class Endpoint:
    """POSTs JSON. `timeout`: seconds for a whole answer, in which a model may think in silence.

    `first`: seconds of silence before the first piece of a stream, None for the whole `timeout`; `idle`: of silence
    after it. Comments of a stream that keep it alive end a silence. What a call waits for its turn is no part of these.
    Raises ConfigError for a base URL that is none, or a key that no HTTP header can hold.
    """

    def __init__(
        self,
        sdk: Literal["openai", "anthropic"],
        model: str,
        *,
        base_url: str,
        api_key: str,
        timeout: float,
        first: float | None = None,
        idle: float = IDLE_TIMEOUT,
    ) -> None:
        hostname, host = host_of(base_url)
        key_name = f"{sdk.upper()}_API_KEY"
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError(f"{key_name} holds characters that no key has; set it again")
        self.provider = Provider(model, host, key_name, api_key)
        self._sdk_name = sdk
        self._base_url = base_url
        self._api_key = api_key
        remember(api_key)
        remember_url(base_url)
        self._timeout = timeout
        self._first = timeout if first is None else first
        self._idle = idle
        self._direct = is_loopback(hostname)
        self._client: Any = None
        self._loop: Any = None

    async def prepare(self) -> None:
        """Waits until the SDK is loaded, off the event loop: that takes up to seconds, in which a sandbox may start.

        To who asks the model that is a wait like one for a place: nothing is asked of the provider yet.
        """
        thread = loading(self._sdk_name)
        if thread.is_alive():
            from anyio import to_thread

            with queueing():
                await to_thread.run_sync(thread.join)

    async def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        answer: Answer,
        on_delta: Callable[[Delta], None] | None,
        timing: Timing,
    ) -> None:
        """Fills `answer`, as a stream where the body asks for one, and `timing`.

        An answer that was cut before its end raises Overloaded; one that was cut after it is taken as it is. An error
        tells in `usage` what the server had reported or sent until then. Raises ModelError classes only.
        """
        from workroom.models.throttle import FEW, MANY, throttle_of

        throttle = throttle_of(self.provider.host, self._api_key, MANY if self._direct else FEW)
        async with throttle.place() as taken:
            exchange = _Exchange(answer, on_delta, timing, bool(body.get("stream")), time.monotonic())
            try:
                await self._post(path, body, exchange, taken)
                if not answer.complete:
                    raise self._nonsense("an answer that ends before it is complete")
            except ModelError as error:
                if not answer.complete:
                    error.usage = exchange.used()
                    raise
            finally:
                timing.duration = time.monotonic() - exchange.started

    async def aclose(self) -> None:
        """Frees the connections; safe to call twice, and in another event loop than the one of the calls."""
        import anyio.lowlevel

        client, self._client = self._client, None
        if client is not None and self._loop == anyio.lowlevel.current_token():
            await client.close()

    async def _post(self, path: str, body: Mapping[str, Any], exchange: "_Exchange", taken: Callable[[], None]) -> None:
        """A server that answers a streaming request with one JSON body is served too."""
        from workroom.models.watch import Watch

        client = self._connected()
        first = self._first if exchange.streamed else self._timeout
        watch = Watch(first=first, idle=self._idle, total=self._timeout)
        with watch.scope:
            if exchange.streamed:
                await self._stream(client, path, body, exchange, watch, taken)
            else:
                await self._whole(client, path, body, exchange)
                taken()
            return
        raise Overloaded(f"{self.provider.model}: {watch.reason()}")

    async def _whole(self, client: Any, path: str, body: Mapping[str, Any], exchange: "_Exchange") -> None:
        import httpx2

        with self._classed(body):
            response = await client.post(path, cast_to=httpx2.Response, body=body)
            reply = self._decoded(response)
        self._take(exchange, reply)

    async def _stream(
        self,
        client: Any,
        path: str,
        body: Mapping[str, Any],
        exchange: "_Exchange",
        watch: "Watch",
        taken: Callable[[], None],
    ) -> None:
        from workroom.models.watch import WatchedStream

        with self._classed(body):
            stream_class = self._sdk.AsyncStream[object]
            stream = await client.post(path, cast_to=object, body=body, stream=True, stream_cls=stream_class)
        taken()
        watch.alive()
        async with stream:
            response = stream.response
            response.stream = WatchedStream(response.stream, watch.alive)
            if "event-stream" not in response.headers.get("content-type", ""):
                with self._classed():
                    await response.aread()
                    reply = self._decoded(response)
                self._take(exchange, reply)
                return
            events = aiter(stream)
            while True:
                with self._classed():
                    event = await anext(events, _END)
                if event is _END:
                    return
                if self._take(exchange, event):
                    watch.begun()

    def _take(self, exchange: "_Exchange", event: Any) -> bool:
        """Whether a piece of the answer was in it. An error of the listener passes as it is."""
        try:
            deltas = exchange.answer.feed(event)
        except _MALFORMED as error:
            raise self._nonsense(f"a reply of a wrong form ({error})") from None
        exchange.tell(deltas)
        return bool(deltas)

    def _decoded(self, response: "httpx2.Response") -> Any:
        if not response.content.strip():
            raise self._nonsense("an empty reply")
        body = json.loads(response.content)
        if isinstance(body, dict) and body.get("error"):  # some gateways report errors with status 200
            raise classify(self.provider, response.status_code, body, response.headers)
        return body

    @property
    def _sdk(self) -> Any:
        return import_module(self._sdk_name)

    def _connected(self) -> Any:
        """The SDK's client of the running event loop: connections of an earlier, closed loop are of no use."""
        import anyio.lowlevel
        import httpx2

        from workroom.models.transport import bound_body

        loop = anyio.lowlevel.current_token()
        if self._client is None or self._loop != loop:
            sdk = self._sdk
            client_class = sdk.AsyncOpenAI if self._sdk_name == "openai" else sdk.AsyncAnthropic
            # A silence is ended by the watch, which knows whether the answer has begun.
            timeout = httpx2.Timeout(self._timeout, connect=CONNECT_TIMEOUT)
            # openai 2, which is what verifiers wants, is on httpx unless it is given a client of httpx2.
            client_of = getattr(sdk, "DefaultAsyncHttpx2Client", sdk.DefaultAsyncHttpxClient)
            # No proxy reaches this machine's own servers, whatever the environment says.
            direct = {"trust_env": False, "verify": _certificates()} if self._direct else {}
            try:
                self._client = client_class(
                    base_url=self._base_url,
                    api_key=self._api_key,
                    timeout=timeout,
                    max_retries=0,
                    http_client=client_of(**direct, timeout=timeout, event_hooks={"response": [bound_body]}),
                )
            except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
                raise BadRequest(
                    f"{self.provider.model}: no connection to {self.provider.host} can be set up "
                    f"({self.provider.words(str(error))}); look at HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
                ) from None
            self._loop = loop
        return self._client

    @contextmanager
    def _classed(self, body: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Turns whatever the SDK raises into a ModelError, without a chain: the SDK's own texts may hold the key.

        `body`: what is sent meanwhile, which may be at fault itself.
        """
        import httpx2

        from workroom.models.transport import can_be_sent, model_error

        try:
            yield
        except (self._sdk.APIError, httpx2.HTTPError, httpx2.StreamError, *_UNREADABLE) as error:
            if isinstance(error, _UNREADABLE) and not can_be_sent(body):
                raise BadRequest(f"{self.provider.model}: the request holds what JSON has no form for") from None
            try:
                failure = model_error(self.provider, self._sdk, error, CONNECT_TIMEOUT)
            except _MALFORMED as odd:  # no error of a server, however odd, ends the run as a fault of ours
                failure = self._nonsense(f"an error of a wrong form ({type(odd).__name__})")
            raise failure from None

    def _nonsense(self, what: str) -> Overloaded:
        from workroom.models.transport import nonsense

        return nonsense(self.provider, what)


@dataclass
class _Exchange:
    """One request under way: what it was answered, and when."""

    answer: Answer
    on_delta: Callable[[Delta], None] | None
    timing: Timing
    streamed: bool
    started: float
    received: int = 0  # characters

    def tell(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if self.streamed and self.timing.first is None:
                self.timing.first = time.monotonic() - self.started
            self.received += len(delta.text)
            if self.on_delta is not None:
                self.on_delta(delta)

    def used(self) -> Usage | None:
        """What a call that failed has used; its prompt is 0 where the server did not tell it."""
        reported = self.answer.usage
        if reported is None and not self.received:
            return None
        usage = reported or Usage()
        # A server that tells the prompt first has counted next to nothing of the completion by then.
        return replace(usage, completion=max(usage.completion, self.received // CHARACTERS_PER_TOKEN))


@cache
def _certificates() -> "ssl.SSLContext":
    """Made once: it takes longer than all else that a new client needs."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)
