"""One HTTP endpoint of a provider, spoken to through the provider's own SDK.

The SDK does connections, headers and event streams; its own retries are off, and bodies are plain JSON values, so that
a server's extra fields survive and a strange reply is classed here rather than half parsed there.
"""

import ipaddress
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

from workroom.errors import BadRequest, ConfigError, ModelError, Overloaded
from workroom.models.base import Delta
from workroom.models.failures import Provider, classify

if TYPE_CHECKING:
    import ssl

    import httpx2

CONNECT_TIMEOUT = 10.0
IDLE_TIMEOUT = 600.0
_END = object()
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError)


class Answer(Protocol):
    """What collects an answer: fed events, or once a whole reply. It raises one of `_MALFORMED` for what is neither."""

    @property
    def complete(self) -> bool: ...

    def feed(self, event: Any) -> list[Delta]: ...


class Endpoint:
    """POSTs JSON. `timeout`: seconds for a whole answer; `idle`: the longest silence within a stream.

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
        idle: float = IDLE_TIMEOUT,
    ) -> None:
        hostname, host = _host(base_url)
        key_name = f"{sdk.upper()}_API_KEY"
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError(f"{key_name} holds characters that no key has; set it again")
        self.provider = Provider(model, host, key_name, api_key)
        self._sdk_name = sdk
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        self._idle = min(idle, timeout)
        self._direct = _is_loopback(hostname)
        self._client: Any = None
        self._loop: Any = None

    async def prepare(self) -> None:
        """Loads the SDK, off the event loop: it takes up to seconds, which are no part of the model's time."""
        if self._sdk_name not in sys.modules:
            from anyio import to_thread

            await to_thread.run_sync(import_module, self._sdk_name)

    async def ask(
        self, path: str, body: Mapping[str, Any], answer: Answer, on_delta: Callable[[Delta], None] | None
    ) -> float | None:
        """Fills `answer`, as a stream where the body asks for one. The result: seconds to the first piece of a stream.

        An answer that was cut before its end raises Overloaded; one that was cut after it is taken as it is.
        """
        started = time.monotonic()
        first: float | None = None

        def take(event: Any) -> None:
            nonlocal first
            try:
                deltas = answer.feed(event)
            except _MALFORMED as error:
                raise self._nonsense(f"a reply of a wrong form ({error})") from None
            if deltas and first is None:
                first = time.monotonic() - started
            if on_delta is not None:
                for delta in deltas:
                    on_delta(delta)

        streamed = bool(body.get("stream"))
        try:
            whole = await self.post(path, body, take if streamed else None)
            if whole is not None:
                take(whole)
            if not answer.complete:
                raise self._nonsense("an answer that ends before it is complete")
        except ModelError:
            if not answer.complete:
                raise
        return first if streamed else None

    async def post(self, path: str, body: Mapping[str, Any], on_event: Callable[[Any], None] | None = None) -> Any:
        """The reply's JSON. With `on_event` a stream is read, event by event, and the result is None.

        A server that answers a streaming request with one JSON body is served too. Raises ModelError classes only.
        """
        import anyio

        with anyio.move_on_after(self._timeout):
            return await (self._whole(path, body) if on_event is None else self._stream(path, body, on_event))
        raise Overloaded(f"{self.provider.model}: no complete answer within {self._timeout:g} s")

    async def aclose(self) -> None:
        """Frees the connections; safe to call twice, and in another event loop than the one of the calls."""
        import anyio.lowlevel

        client, self._client = self._client, None
        if client is not None and self._loop == anyio.lowlevel.current_token():
            await client.close()

    async def _whole(self, path: str, body: Mapping[str, Any]) -> Any:
        import httpx2

        with self._classed():
            # A model may think for long before the one reply comes: silence is bounded by the whole time alone.
            options = {"timeout": httpx2.Timeout(self._timeout, connect=CONNECT_TIMEOUT)}
            response = await self._connected().post(path, cast_to=httpx2.Response, body=body, options=options)
            return self._decoded(response)

    async def _stream(self, path: str, body: Mapping[str, Any], on_event: Callable[[Any], None]) -> Any:
        with self._classed():
            client = self._connected()
            stream_class = self._sdk.AsyncStream[object]
            stream = await client.post(path, cast_to=object, body=body, stream=True, stream_cls=stream_class)
        async with stream:
            if "event-stream" not in stream.response.headers.get("content-type", ""):
                with self._classed():
                    await stream.response.aread()
                    return self._decoded(stream.response)
            events = aiter(stream)
            while True:
                with self._classed():
                    event = await anext(events, _END)
                if event is _END:
                    return None
                on_event(event)

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

        loop = anyio.lowlevel.current_token()
        if self._client is None or self._loop != loop:
            sdk = self._sdk
            client_class = sdk.AsyncOpenAI if self._sdk_name == "openai" else sdk.AsyncAnthropic
            timeout = httpx2.Timeout(self._idle, connect=CONNECT_TIMEOUT)
            # No proxy reaches this machine's own servers, whatever the environment says.
            http_client = None
            if self._direct:
                http_client = sdk.DefaultAsyncHttpxClient(trust_env=False, verify=_certificates(), timeout=timeout)
            self._client = client_class(
                base_url=self._base_url,
                api_key=self._api_key,
                timeout=timeout,
                max_retries=0,
                http_client=http_client,
            )
            self._loop = loop
        return self._client

    @contextmanager
    def _classed(self) -> Iterator[None]:
        """Turns whatever the SDK raises into a ModelError, without a chain: the SDK's own texts may hold the key."""
        import httpx2

        try:
            yield
        except (self._sdk.APIError, httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
            raise self._model_error(error) from None

    def _model_error(self, error: Exception) -> ModelError:
        import httpx2

        sdk, who, host = self._sdk, self.provider.model, self.provider.host
        if isinstance(error, sdk.APIStatusError):
            response = error.response
            body = _body(response) if response.status_code >= 400 else error.body
            return classify(self.provider, response.status_code, body, response.headers)
        if isinstance(error, (sdk.APITimeoutError, httpx2.TimeoutException)):
            if isinstance(error.__cause__ or error, httpx2.ConnectTimeout):
                return Overloaded(f"{who}: no connection to {host} within {CONNECT_TIMEOUT:g} s")
            return Overloaded(f"{who}: {host} was silent for too long")
        if isinstance(error, (sdk.APIConnectionError, httpx2.HTTPError, httpx2.StreamError)):
            return self._connection_error(error.__cause__ or error)
        if isinstance(error, sdk.APIError):  # an error event within a stream
            return classify(self.provider, 200, error.body or str(error), {})
        return self._nonsense(f"a reply that is no JSON ({self.provider.words(str(error))})")

    def _nonsense(self, what: str) -> Overloaded:
        return Overloaded(f"{self.provider.model}: {self.provider.host} sent {what}")

    def _connection_error(self, cause: BaseException) -> ModelError:
        who, host = self.provider.model, self.provider.host
        words = self.provider.words(str(cause)) or type(cause).__name__
        if "CERTIFICATE_VERIFY_FAILED" in words:
            return BadRequest(f"{who}: the certificate of {host} is not trusted ({words}); set SSL_CERT_FILE")
        if type(cause).__name__ == "ConnectError":
            return Overloaded(f"{who}: no connection to {host} ({words}); is the server running, and --base-url right?")
        return Overloaded(f"{who}: the connection to {host} broke ({words})")


def _host(base_url: str) -> tuple[str, str]:
    """The host's name, and what sentences say of it: never a user or a password that the URL may hold."""
    try:
        parts = urlsplit(base_url)
        name, port = parts.hostname, parts.port
    except ValueError:
        name = None
    if not name or parts.scheme not in ("http", "https"):
        shown = re.sub(r"//[^/]*@", "//***@", base_url)
        raise ConfigError(f"the base URL {shown!r} is no http:// or https:// address")
    return name, name if port is None else f"{name}:{port}"


@cache
def _certificates() -> "ssl.SSLContext":
    """Made once: it takes longer than all else that a new client needs."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


def _body(response: "httpx2.Response") -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return response.text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
