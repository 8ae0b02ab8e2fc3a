"""Fingerprints of conversations that are gone: whoever comes back with such a history must not get somebody else's."""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from workroom.errors import WorkroomError
from workroom.trajectory.files import replace_file

_MOST = 100_000  # fingerprints; half of them go when there are more


class Forgotten:
    """Fingerprints by key name, kept in one file, the oldest first.

    Raises OSError where the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = dict.fromkeys(path.read_text().split("\n")[:-1] if path.exists() else ())

    def has(self, key: str, print_: str) -> bool:
        """Whether a conversation with this fingerprint is gone."""
        return _line(key, print_) in self._lines

    def add(self, key: str, prints: Iterable[str]) -> None:
        """Where the disk fails they are known until the end of the server only."""
        new = dict.fromkeys(line for print_ in prints if (line := _line(key, print_)) not in self._lines)
        if not new:
            return
        self._lines |= new
        with contextlib.suppress(OSError, WorkroomError):
            if len(self._lines) > _MOST:
                self._lines = dict.fromkeys(list(self._lines)[-_MOST // 2 :])
                replace_file(self._path, "".join(f"{line}\n" for line in self._lines).encode())
            else:
                with self._path.open("a") as file:
                    file.writelines(f"{line}\n" for line in new)


def _line(key: str, print_: str) -> str:
    return hashlib.sha256(f"{key}\0{print_}".encode()).hexdigest()[:32]
