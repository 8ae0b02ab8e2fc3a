"""`workroom serve`."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.cli.screen import Screen
from workroom.cli.signals import Signals
from workroom.config import resolve
from workroom.errors import ConfigError
from workroom.serve.settings import VARIABLE, Settings, is_local, read_settings

if TYPE_CHECKING:
    import socket

    from workroom.config import Resolved
    from workroom.models.base import Model


def serve_verb(
    run_flags: Mapping[str, Any], serve_flags: Mapping[str, Any], config: Path | None, *, quiet: bool
) -> int:
    """Serves until it is told to stop; gives the exit code."""
    resolved, settings = resolve(run_flags, config), read_settings(serve_flags, config)
    run = resolved.config
    if run.mode != "sandbox" or run.documents != "files" or run.read_only or not run.execution:
        raise ConfigError(
            "the server gives models a sandbox that they can use: leave mode, documents, execution and read_only out "
            "of the configuration"
        )
    from workroom.serve.server import listen, open_all

    signals = Signals()
    signals.take()
    screen = Screen(quiet=quiet)
    try:
        with contextlib.ExitStack() as stack:
            with screen.warnings():
                sock = stack.enter_context(listen(settings))
                model = open_all(settings, resolved, screen.view.progress)
                screen.view.close()
            signals.hold()
            return asyncio.run(_serve(settings, resolved, model, sock, signals, quiet=quiet))
    except KeyboardInterrupt:
        return 130
    finally:
        signals.ignore()
        screen.view.close()


async def _serve(
    settings: Settings, resolved: "Resolved", model: "Model", sock: "socket.socket", signals: Signals, *, quiet: bool
) -> int:
    from workroom.serve.logs import start_logging
    from workroom.serve.server import Stopping, serve

    stopping, loop = Stopping(), asyncio.get_running_loop()
    signals.hand_over(lambda: loop.call_soon_threadsafe(stopping))
    start_logging(quiet=quiet)

    def ready(url: str) -> None:
        _say(f"{url} model {model.name}, state in {settings.folder}")
        if not settings.keys:
            _say(f"no keys are set ({VARIABLE}): only this machine can use it")
        elif not is_local(settings.host):
            _say("keys and contents are sent as they are: put a proxy with TLS before it on a network you do not trust")

    await serve(settings, resolved, model, sock, stopping, ready)
    return 130 if stopping.hurry.is_set() else 0


def _say(text: str) -> None:
    sys.stderr.write(f"workroom serve: {text}\n")
    sys.stderr.flush()
