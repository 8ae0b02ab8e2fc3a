"""The first message of a TLS client: read whole, however it is cut into pieces, and searched for its name."""

from collections.abc import Awaitable, Callable

from workroom.sandbox.egress.policy import Refused, is_name, normal_host

MAX_HELLO = 64 << 10
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME = 0
_ENCRYPTED_NAME = (0xFE0D, 0xFFCE)  # ECH and its forerunner: the name in the clear would not be the one that counts


async def read_hello(read: Callable[[int], Awaitable[bytes]]) -> tuple[bytes, bytes]:
    """All bytes of the records that hold the first handshake message, and the message. `read(n)` gives exactly n.

    Raises Refused where that is no TLS, so that nothing of it has gone anywhere.
    """
    raw = message = b""
    while True:
        head = await read(5)
        size = int.from_bytes(head[3:5])
        if head[0] != _HANDSHAKE or head[1] != 3 or not 0 < size <= 1 << 14:
            raise Refused("the tunnel does not begin with TLS")
        body = await read(size)
        raw += head + body
        message += body
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise Refused("the tunnel does not begin with TLS")
            wanted = 4 + int.from_bytes(message[1:4])
            if wanted > MAX_HELLO or len(message) > wanted:
                raise Refused("the first TLS message is too long")
            if len(message) == wanted:
                return raw, message


def check_server_name(message: bytes, host: str) -> None:
    """Raises Refused where a ClientHello is not for this host. One that is known by its address has no name in TLS."""
    named = server_name(message)
    if named != host and (named is not None or is_name(host)):
        raise Refused(f"the server name in TLS is {named or 'missing'}, not {host}")


def server_name(message: bytes) -> str | None:
    """The name in a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3); None without one.

    Raises Refused, and nothing else, where it is malformed, or where the name is not the only one.
    """
    whole = _Cursor(message)
    if whole.number(1) != _CLIENT_HELLO:
        raise Refused("the first TLS message is no ClientHello")
    hello = whole.block(3)
    whole.must_end()
    hello.bytes(2 + 32)  # version and random
    hello.block(1)  # session
    hello.block(2)  # cipher suites
    hello.block(1)  # compression methods
    if not hello.left:
        return None
    extensions = hello.block(2)
    hello.must_end()
    name: str | None = None
    seen = set()
    while extensions.left:
        kind, content = extensions.number(2), extensions.block(2)
        if kind in seen:
            raise Refused("the first TLS message has an extension twice")
        seen.add(kind)
        if kind in _ENCRYPTED_NAME:
            raise Refused("an encrypted server name (ECH) cannot be checked; switch it off")
        if kind == _SERVER_NAME:
            name = _only_name(content)
    return name


def _only_name(content: "_Cursor") -> str:
    names = content.block(2)
    content.must_end()
    kind, text = names.number(1), names.block(2)
    names.must_end()
    name = text.bytes(text.left)
    if kind != 0 or not name.isascii():
        raise Refused("the server name in TLS is malformed")
    return normal_host(name.decode("ascii"))


class _Cursor:
    """Reads big-endian numbers and length-prefixed blocks; never beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise Refused("the first TLS message is malformed")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.bytes(size))

    def block(self, size: int) -> "_Cursor":
        return _Cursor(self.bytes(self.number(size)))

    def must_end(self) -> None:
        if self.left:
            raise Refused("the first TLS message is malformed")
