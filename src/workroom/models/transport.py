"""What an SDK or the connection raised, as a `ModelError`."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from workroom.errors import AuthError, BadRequest, ModelError, Overloaded
from workroom.models.failures import Provider, classify

if TYPE_CHECKING:
    from types import ModuleType


_LARGEST_BODY = 64 * 2**20  # bytes, unpacked


class BodyTooLarge(httpx2.StreamError):
    """A reply of a small size may be unpacked to one that fills the memory."""

    def __init__(self) -> None:
        super().__init__(f"the reply is larger than {_LARGEST_BODY >> 20} MiB")


async def bound_body(response: httpx2.Response) -> None:
    """A hook for a client: ends a reply that grows too large. A stream of events, read piece by piece, may be long."""
    if response.status_code < 400 and "event-stream" in response.headers.get("content-type", ""):
        return
    unpacked = response.aiter_bytes

    async def bounded(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        size = 0
        async for piece in unpacked(chunk_size):
            size += len(piece)
            if size > _LARGEST_BODY:
                await response.aclose()
                raise BodyTooLarge
            yield piece

    response.aiter_bytes = bounded  # type: ignore[method-assign]


def can_be_sent(body: Mapping[str, Any] | None) -> bool:
    """Whether our own request can be written as JSON in UTF-8."""
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False, default=str).encode()
    except (ValueError, RecursionError):
        return False
    return True


def model_error(provider: Provider, sdk: "ModuleType", error: Exception, connect: float) -> ModelError:
    """The error for what `sdk` raised. `connect`: seconds that a connection may take."""
    who, host = provider.model, provider.host
    if isinstance(error, sdk.APIStatusError):
        response = error.response
        body = _body(response) if response.status_code >= 400 else error.body
        return classify(provider, response.status_code, body, response.headers)
    if isinstance(error, (sdk.APITimeoutError, httpx2.TimeoutException)):
        if isinstance(error.__cause__ or error, httpx2.ConnectTimeout):
            return Overloaded(f"{who}: no connection to {host} within {connect:g} s")
        return Overloaded(f"{who}: {host} was silent for too long")
    if isinstance(error, (sdk.APIConnectionError, httpx2.HTTPError, httpx2.StreamError)):
        return _connection_error(provider, error.__cause__ or error)
    if isinstance(error, sdk.APIError):  # an error event within a stream
        return classify(provider, 200, error.body or str(error), {})
    return nonsense(provider, f"a reply that is no JSON ({provider.words(str(error))})")


def nonsense(provider: Provider, what: str) -> Overloaded:
    return Overloaded(f"{provider.model}: {provider.host} sent {what}")


def _connection_error(provider: Provider, cause: BaseException) -> ModelError:
    who, host = provider.model, provider.host
    words = provider.words(str(cause)) or type(cause).__name__
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return BadRequest(f"{who}: the certificate of {host} is not trusted ({words}); set SSL_CERT_FILE")
    if isinstance(cause, httpx2.ProxyError) and "407" in words:
        return AuthError(f"{who}: the proxy on the way to {host} wants a login ({words}); set it in HTTPS_PROXY")
    if isinstance(cause, BodyTooLarge):
        return Overloaded(f"{who}: {host} failed ({words})")
    if isinstance(cause, httpx2.ConnectError):
        return Overloaded(f"{who}: no connection to {host} ({words}); is the server running, and --base-url right?")
    return Overloaded(f"{who}: the connection to {host} broke ({words})")


def _body(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return response.text
