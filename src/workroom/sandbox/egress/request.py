"""The head of a proxy request, read strictly: whatever two programs could read in two ways is refused."""

import re
from dataclasses import dataclass

from workroom.sandbox.egress.policy import Refused, normal_host

MAX_HEADERS = 100
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff])*)?)")
_AUTHORITY = re.compile(rb"([A-Za-z0-9.-]{1,254}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_URL = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?#]*)(/[^#]*|\?[^#]*)?")
_HOP_BY_HOP = frozenset(
    ("connection", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is the path with its query, empty for CONNECT; `headers` are those that may be handed on."""

    method: str
    host: str
    port: int
    target: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    length: int = 0  # bytes of body

    @property
    def is_tunnel(self) -> bool:
        return self.method == "CONNECT"

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL of plain HTTP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


def parse_request(head: bytes) -> Request:
    """The request of a head that ends with an empty line. Raises Refused, and nothing else."""
    if not head.endswith(b"\r\n\r\n"):
        raise Refused("the head of the request is too long")
    first, *lines = head[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise Refused("this is no HTTP request")
    method, target = match[1].decode(), match[2]
    host, port, path = _connect_target(target) if method == "CONNECT" else _url_target(target)
    fields = _fields(lines)
    names = [name for name, _ in fields]
    for only in ("host", "content-length"):
        if names.count(only) > 1:
            raise Refused(f"the request has more than one {only.title()} header")
    values = dict(fields)
    if "host" in values:
        _check_host(values["host"], host, port)
    if "transfer-encoding" in values:
        raise Refused("a body must have a Content-Length; Transfer-Encoding is not taken")
    length = values.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,12}", length, re.ASCII):
        raise Refused("the Content-Length is no number")
    if method in ("CONNECT", "GET", "HEAD") and int(length):
        raise Refused(f"a {method} request has no body")
    named = {word.strip().lower() for name, value in fields if name == "connection" for word in value.split(",")}
    dropped = (_HOP_BY_HOP | named) - {"content-length"}
    kept = tuple(pair for pair in fields if pair[0] not in dropped and not pair[0].startswith("proxy-"))
    return Request(method, host, port, path, kept, int(length))


def _connect_target(target: bytes) -> tuple[str, int, str]:
    host, port = _authority(target)
    if port is None:
        raise Refused("the target of CONNECT must be HOST:PORT")
    return host, port, ""


def _url_target(target: bytes) -> tuple[str, int, str]:
    match = _URL.fullmatch(target)
    if match is None:
        raise Refused("the target must be an http:// URL (https:// goes through CONNECT): this port is a proxy")
    host, port = _authority(match[1])
    path = (match[2] or b"/").decode("ascii")
    return host, 80 if port is None else port, path if path.startswith("/") else f"/{path}"


def _authority(text: bytes) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(text)
    port = int(match[2]) if match and match[2] else None
    if match is None or (port is not None and not 0 < port < 65536):
        raise Refused("the target must name a host, and at most a port from 1 to 65535, without a user name")
    return normal_host(match[1].decode("ascii")), port


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    if len(lines) > MAX_HEADERS:
        raise Refused(f"the request has more than {MAX_HEADERS} headers")
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Refused("a header of the request is malformed")
        fields.append((match[1].decode("ascii").lower(), match[2].decode("latin-1").rstrip(" \t")))
    return fields


def _check_host(value: str, host: str, port: int) -> None:
    try:
        named, number = _authority(value.encode("latin-1"))
    except Refused:
        named, number = "", None
    if named != host or number not in (None, port):
        raise Refused("the Host header names another host than the target")
