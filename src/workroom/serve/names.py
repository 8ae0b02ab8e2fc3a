"""Names and ids: of files as they are safe in a sandbox and in a link, of what clients are given to refer to."""

import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

_LONGEST = 120  # bytes of a file's name; file systems take 255
_FOLDERS = re.compile(r"[/\\]+")
_CLIENTS_OWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}")


def new_id(kind: str) -> str:
    """An id that cannot be guessed, such as `file-...`."""
    return f"{kind}{secrets.token_hex(12)}"


def is_name(text: str) -> bool:
    """Whether a client may call a conversation so."""
    return _CLIENTS_OWN.fullmatch(text) is not None


def safe_name(given: str) -> str:
    """A file's name without folders, control and invisible characters, not hidden, and not too long."""
    base = _FOLDERS.split(given.strip().rstrip("/\\"))[-1]
    text = "".join(char for char in base if unicodedata.category(char)[0] != "C").strip().lstrip(". ")
    text = text.encode("utf-8", "ignore").decode()
    stem, suffix = PurePosixPath(text).stem[:_LONGEST], PurePosixPath(text).suffix[:20]
    while len((stem + suffix).encode()) > _LONGEST:
        stem = stem[:-1]
    return stem + suffix or "file"


class FreeNames:
    """Names for files in one folder, each given out once. `taken`: those that are there."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._last: Counter[str] = Counter()  # the number that the last file of a name was given

    def take(self, name: str) -> str:
        """The name, with a number where it is taken."""
        path, found = PurePosixPath(name), name
        number = max(self._last[name], 1)
        while found in self._taken:
            number += 1
            found = f"{path.stem}-{number}{path.suffix}"
        self._last[name] = number
        self._taken.add(found)
        return found
