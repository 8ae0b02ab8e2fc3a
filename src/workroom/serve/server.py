"""From settings to a server that listens, until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from workroom._preflight import check_server
from workroom.errors import ConfigError, SandboxUnavailable
from workroom.serve.app import make_app
from workroom.serve.service import Service
from workroom.serve.settings import Settings

if TYPE_CHECKING:
    from workroom.config import Resolved
    from workroom.models.base import Model

Tell = Callable[[str], None]
_BACKLOG = 1024
_IDLE = 75  # seconds that a connection may wait: longer than clients do, whose next request would meet the closing
_SILENT = 90  # seconds after which, at the latest after twice as many, a connection without a request is ended
_LAST = 5  # seconds for the connections after the work is over


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Patient(H11Protocol):
    """Ends connections on which no request comes, be it that it has begun; uvicorn does so only after a first one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch = self.loop.call_later(_SILENT, self._look, None)

    def _look(self, before: RequestResponseCycle | None) -> None:
        if self.transport.is_closing():
            return
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.cycle is before:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(_SILENT, self._look, self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)


class Stopping:
    """What signals ask for: `asked` once, `hurry` twice."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()

    def __call__(self) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()


def open_all(settings: Settings, resolved: "Resolved", tell: Tell) -> "Model":
    """Opens the model and makes the image. Raises ConfigError, ModelError or SandboxError for what is missing."""
    from workroom.agent.prices import ListPrices
    from workroom.models import open_model
    from workroom.models.registry import load_sdk
    from workroom.sandbox.egress import parse_policy
    from workroom.sandbox.image import ensure_image

    config = resolved.config
    for network in (config.network, *(key.settings.get("network", "none") for key in settings.keys)):
        parse_policy(network)
    model = open_model(
        config.model,
        base_url=config.base_url,
        protocol=config.tool_protocol,
        vision=config.vision,
        timeout=config.model_timeout,
        on_progress=tell,
    )
    check_server(model.name, config.base_url)
    bounded = [key.name for key in settings.keys if key.budget_usd is not None or "max_cost" in key.settings]
    priced = config.price is not None or not (bounded or config.max_cost)
    if not priced and not ListPrices(model.name, config.base_url).known():
        what = f"the budget of the key {bounded[0]!r}" if bounded else "max_cost"
        raise ConfigError(
            f"{what} needs to know what {model.name} costs: give price as IN,OUT in US dollars per million tokens "
            "(--price 1.25,10)"
        )
    load_sdk(model.name)
    ensure_image(config.image, progress=tell)
    return model


def listen(settings: Settings) -> socket.socket:
    """A socket that listens. Raises ConfigError where the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another with --host or "
            "--port"
        ) from None
    return sock


def address(sock: socket.socket) -> str:
    """The base URL for clients on this machine."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


async def serve(
    settings: Settings, resolved: "Resolved", model: "Model", sock: socket.socket, stopping: Stopping, ready: Tell
) -> None:
    """Serves until `stopping` is asked for; `ready` is told the base URL once requests are taken.

    Raises SandboxUnavailable where no sandbox can be started, ConfigError where the state directory cannot be used.
    """
    service = Service(settings, resolved, model)
    server: asyncio.Task[None] | None = None
    try:
        await _try_sandbox(resolved)
        await service.start()
        configured = uvicorn.Config(
            make_app(service),
            http=_Patient,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_LAST,
        )
        uvicorn_server = _Uvicorn(configured)
        server = asyncio.create_task(uvicorn_server.serve([sock]))
        ready(address(sock))
        asked = asyncio.create_task(stopping.asked.wait())
        await asyncio.wait((asked, server), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
    finally:
        await service.close(stopping.hurry)
        if server is not None:
            uvicorn_server.should_exit = True
            uvicorn_server.force_exit = stopping.hurry.is_set()
            await server


async def _try_sandbox(resolved: "Resolved") -> None:
    """Raises SandboxUnavailable where a sandbox cannot be started here: better now than at the first request."""
    from workroom.sandbox import Sandbox

    config = resolved.config
    async with Sandbox.open(config.sandbox, image=config.image, network=config.network, limits=config.limits) as box:
        if (await box.exec("true")).exit_code:
            raise SandboxUnavailable("a sandbox was started but runs no command: `workroom doctor` looks for the cause")
