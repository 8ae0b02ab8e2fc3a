"""A look before a run begins: a model server that is not there is told at once.

Later failures of a server are waited out and tried again; at the start that would only hide a forgotten step.
"""

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from workroom.errors import ConfigError, ModelError
from workroom.models.address import is_loopback

_TIMEOUT = 5.0
_VARIABLES = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}


def check_server(model: str, base_url: str | None) -> None:
    """Raises ModelError where the server that was named takes no connection. One behind a proxy is not looked at."""
    url = base_url or os.environ.get(_VARIABLES.get(model.partition("/")[0], ""), "")
    parts = urlsplit(url)
    if not parts.hostname or (not is_loopback(parts.hostname) and getproxies()):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), _TIMEOUT).close()
    except UnicodeError:
        raise ConfigError(f"the base URL's host {parts.hostname!r} is no host name") from None
    except OSError as error:
        raise ModelError(
            f"no model server answers at {parts.hostname}:{port} ({error.strerror or error}): start it, or give "
            "another --base-url"
        ) from None
