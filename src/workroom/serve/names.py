"""Names and ids: of files as they are safe in a sandbox and in a link, of what clients are given to refer to."""

import re
import secrets
import unicodedata
from collections.abc import Container
from pathlib import PurePosixPath

_LONGEST = 120  # bytes of a file's name; file systems take 255
_BAD = re.compile(r"[\x00-\x1f\x7f/\\]+")
_CLIENTS_OWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}")


def new_id(kind: str) -> str:
    """An id that cannot be guessed, such as `file-...`."""
    return f"{kind}{secrets.token_hex(12)}"


def is_name(text: str) -> bool:
    """Whether a client may call a conversation so."""
    return _CLIENTS_OWN.fullmatch(text) is not None


def safe_name(given: str) -> str:
    """A file's name without folders, control and invisible characters, not hidden, and not too long."""
    base = _BAD.split(given.strip())[-1] if _BAD.search(given) else given
    text = "".join(char for char in base if unicodedata.category(char)[0] != "C").strip().lstrip(".").strip()
    text = text.encode("utf-8", "ignore").decode()
    stem, suffix = PurePosixPath(text).stem, PurePosixPath(text).suffix[:20]
    while len((stem + suffix).encode()) > _LONGEST:
        stem = stem[:-1]
    return stem + suffix or "file"


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with a number where it is taken."""
    path, number, found = PurePosixPath(name), 1, name
    while found in taken:
        number += 1
        found = f"{path.stem}-{number}{path.suffix}"
    return found
