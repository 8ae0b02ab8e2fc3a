"""What a base URL says: the host, and whether it is this machine."""

import ipaddress
import re
from urllib.parse import urlsplit

from workroom.errors import ConfigError


def host_of(base_url: str) -> tuple[str, str]:
    """The host's name, and what sentences say of it: never a user or a password that the URL may hold.

    Raises ConfigError for what is no http:// or https:// address.
    """
    try:
        parts = urlsplit(base_url)
        name, port = parts.hostname, parts.port
    except ValueError:
        name = None
    if not name or parts.scheme not in ("http", "https"):
        shown = re.sub(r"//[^/]*@", "//***@", base_url)
        raise ConfigError(f"the base URL {shown!r} is no http:// or https:// address")
    return name, name if port is None else f"{name}:{port}"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
