"""What goes over the socket, in terms of the sandbox: requests packed, replies made results or exceptions."""

import errno
import os
from collections.abc import Sequence

from workroom.errors import TransferError
from workroom.sandbox.connection import Reply

MAX_TIMEOUT = 0xFFFF_FFFF / 1000
TIMED_OUT = 1
DISK_FULL = 2
RUNNING = 4
WAITED = 8


def exec_request(
    argv: Sequence[str],
    environment: Sequence[str],
    cwd: str,
    *,
    has_input: bool,
    timeout: float | None = None,
    cap: int = 0xFFFF_FFFF,
) -> bytes:
    """The payload of a request to run a command; `timeout` in seconds, `cap` in bytes of each stream.

    Raises ValueError for a NUL character, which no argument can hold.
    """
    words = [cwd, *argv, *environment]
    text = "\0".join(words) + "\0"
    if text.count("\0") != len(words):
        raise ValueError("a command cannot hold a NUL character")
    milliseconds = 0 if timeout is None else max(1, int(min(timeout, MAX_TIMEOUT) * 1000))
    numbers = (milliseconds, min(cap, 0xFFFF_FFFF), len(argv), len(environment))
    head = b"".join(number.to_bytes(4, "little") for number in numbers)
    return head + bytes([has_input]) + os.fsencode(text)


def cstring(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL character")
    return os.fsencode(text) + b"\0"


def with_gap(kept: bytearray, cap: int, total: int) -> bytes:
    """What was kept of a stream, with a line where the middle is missing."""
    if len(kept) >= total:
        return bytes(kept)
    notice = f"\n[... {total - len(kept):,} bytes of output were not kept ...]\n"
    return b"".join((bytes(kept[:cap]), notice.encode(), bytes(kept[cap:])))


def check(reply: Reply, path: str, limit: int) -> None:
    """Raises what the file operation's errno means."""
    code = reply.code
    if code == 0:
        return
    if code == errno.EFBIG:
        raise TransferError(f"{path} is larger than the limit of {limit:,}")
    if code == errno.ENODEV:
        raise TransferError(f"{path} is no regular file")
    if code not in errno.errorcode:
        detail = bytes(reply.err[:200]).decode("utf-8", "replace").strip()
        raise TransferError(f"the operation on {path} was ended inside the sandbox (status {code}) {detail}".rstrip())
    raise OSError(code, os.strerror(code), path)
