"""What every request passes: its id, who it is from, its log line and its metrics, and how errors are told."""

import hmac
import json
import logging
import time
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workroom.serve import errors
from workroom.serve.errors import ApiError, client_gone
from workroom.serve.names import new_id
from workroom.serve.settings import ANONYMOUS, Key, digest, is_local
from workroom.serve.wire import send_json

if TYPE_CHECKING:
    from workroom.serve.exchange import Exchange
    from workroom.serve.service import Service

_logger = logging.getLogger("workroom.serve")
_REQUESTS = logging.getLogger("workroom.serve.requests")
_PROBES = ("/health", "/metrics")  # asked every few seconds: not worth a line
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")  # a client may make up others
_OPEN = ("/health", "/files/")  # links are signed, and say by themselves who may follow them


class Gate:
    """The outermost layer. `routes`: the path of each endpoint, for the metrics."""

    def __init__(self, app: ASGIApp, service: "Service", routes: Mapping[Any, str]) -> None:
        self._app = app
        self._service = service
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.monotonic()
        request = new_id("req_")
        facts: dict[str, Any] = {}
        scope.update({"workroom.service": self._service, "workroom.facts": facts, "workroom.held": 0, "app": self})
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request.encode())]
            await send(message)

        try:
            scope["workroom.key"] = self._admitted(scope["path"], scope["method"], Headers(scope=scope), facts)
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the client gets an error object and the log a line
            refusal = _refusal(error, request, facts)
            facts.setdefault("error", refusal.told)
            if not status and refusal.status != 499:
                await self._refuse(sending, refusal)
            status = status or refusal.status
        finally:
            self._service.held -= scope["workroom.held"]
            self._tell(scope, request, status, time.monotonic() - began, facts)

    def _admitted(self, path: str, method: str, headers: Headers, facts: dict[str, Any]) -> Key:
        """Who the request is from. Raises ApiError where that is nobody."""
        keys = self._service.settings.keys
        if not keys:
            self._check_origin(method, headers)
            return ANONYMOUS
        if path.startswith(_OPEN):
            return ANONYMOUS
        scheme, _, given = headers.get("authorization", "").partition(" ")
        wanted = digest(given.strip()) if scheme.lower() == "bearer" else b""
        found = [key for key in keys if hmac.compare_digest(key.digest, wanted)]
        if not found:
            missing = "no key was given: send it as Authorization: Bearer KEY" if not given else "the key is wrong"
            raise ApiError(401, missing, code="invalid_api_key")
        facts["key"] = found[0].name
        return found[0]

    def _check_origin(self, method: str, headers: Headers) -> None:
        """Without keys the server must not be used by web pages: neither by one whose host's address was made that of
        this machine, nor by one that just sends."""
        host = _host(headers.get("host", ""))
        if not is_local(host) and host != self._service.settings.host:
            raise ApiError(403, "this server answers to the name of this machine only", code="invalid_host")
        origin = headers.get("origin")
        if origin in (None, *self._service.settings.cors) or method in ("GET", "HEAD"):
            return
        if urlsplit(origin or "").netloc != headers.get("host"):
            raise ApiError(403, "pages of other origins may not use this server", code="invalid_origin")

    async def _refuse(self, send: Send, error: ApiError) -> None:
        headers = dict(error.headers)
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        if error.status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        if error.status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
            headers["connection"] = "close"
        await send_json(send, error.status, error.body, headers)

    def _tell(self, scope: Scope, request: str, status: int, seconds: float, facts: dict[str, Any]) -> None:
        route = self._routes.get(scope.get("endpoint"), "other")
        metrics = self._service.metrics
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics.requests.labels(route, method if route != "other" else "other", str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        line = {"time": round(time.time(), 3), "request": request, "method": method, "route": route}
        line |= {"status": status, "duration": round(seconds, 4)}
        exchange: Exchange | None = facts.pop("exchange", None)
        if exchange is not None:  # it may go on for a while after its client is gone, and use more
            exchange.when_over(lambda: _log(line | facts | _used(exchange)))
        elif route not in _PROBES or status != HTTPStatus.OK:
            _log(line | facts)


def _used(exchange: "Exchange") -> dict[str, Any]:
    """What the log has of an exchange that is over."""
    used = exchange.usage
    found = {"conversation": exchange.conversation.id, "stop_reason": exchange.stop_reason}
    return {**found, "prompt_tokens": used.prompt, "completion_tokens": used.completion}


def _log(line: dict[str, Any]) -> None:
    _REQUESTS.info("%s", json.dumps(line, ensure_ascii=True))


def _refusal(error: Exception, request: str, facts: dict[str, Any]) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ClientDisconnect):
        return client_gone()
    if isinstance(error, HTTPException):
        words = {404: "there is no such route", 405: "the route has no such method"}
        code = {404: "unknown_route", 405: "method_not_allowed"}.get(error.status_code)
        refusal = ApiError(error.status_code, words.get(error.status_code, error.detail), code=code)
        refusal.headers = dict(error.headers or {})
        return refusal
    facts["error"] = type(error).__name__
    frames = "".join(traceback.format_tb(error.__traceback__))
    _logger.error("internal error in %s: %s\n%s", request, type(error).__name__, frames)
    return errors.internal(request)


def _host(header: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
