"""The files of a sandbox kept in a folder as they change: a whole checkpoint, and upon it what has changed since.

`index.json` names the files that count, oldest first, and a mark of what they are of. It is replaced at once, so that a
crash at any moment leaves a journal that can be restored: give its folder to `Sandbox.start` as the checkpoint. What a
running program has written through a memory mapping alone is in it only once the program has closed the file.
"""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.errors import SandboxUnavailable, TransferError
from workroom.sandbox.checkpoints import INDEX, read_index

if TYPE_CHECKING:
    from workroom.sandbox.sandbox import Sandbox

SPARE = 32 << 20  # bytes of changes beyond the size of the whole one, from which on a new whole one is written
MAX_PARTS = 40
LIMIT = 1 << 30  # bytes of one save
FIRST = 0.5  # seconds until the first save: what is over by then needs none
PACE = 5  # times what a save took until the next


class Journal:
    """Saves a sandbox again and again. `saved` is the mark of the last save, None where there is none.

    `limit`: bytes of one save that are too many. Where the folder has a journal already, marks must go on rising.
    """

    def __init__(self, box: "Sandbox", folder: Path, *, limit: int = LIMIT) -> None:
        self._box = box
        self._folder = folder
        self._limit = limit
        self._names: list[str] = []
        self._sizes: list[int] = []
        self._number = 0
        self._alone = asyncio.Lock()
        self._next = time.monotonic() + FIRST
        self.saved: int | None = None
        self.notice = ""  # why nothing is saved any more

    async def save(self, mark: int, *, at_once: bool = False) -> bool:
        """Saves the sandbox under a mark; False where it is too early for the next one (unless `at_once`), or where the
        journal has grown too large, which `notice` says. Raises SandboxUnavailable or TransferError where it fails."""
        async with self._alone:
            return await self._save(mark, at_once)

    async def _save(self, mark: int, at_once: bool) -> bool:
        began = time.monotonic()
        if self.notice or (began < self._next and not at_once):
            return False
        self._folder.mkdir(exist_ok=True)
        self._number += 1
        name = f"{self._number}-{mark}"
        path = self._folder / name
        path.unlink(missing_ok=True)
        whole = not self._names or len(self._names) >= MAX_PARTS or sum(self._sizes[1:]) > self._sizes[0] + SPARE
        try:
            whole = await self._box.save(path, whole=whole)
        except BaseException:
            path.unlink(missing_ok=True)
            self._names, self._sizes = [], []  # what has changed since is not known any more
            raise
        size = path.stat().st_size
        if size > self._limit:
            path.unlink()
            self.notice = f"the sandbox has written more than the {self._limit / (1 << 30):.0f} GiB that are kept of it"
            return False
        self._names, self._sizes = ([], []) if whole else (self._names, self._sizes)
        self._names.append(name)
        self._sizes.append(size)
        self._point(mark)
        self.saved = mark
        now = time.monotonic()
        self._next = now + PACE * (now - began)
        return True

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _point(self, mark: int) -> None:
        temporary = self._folder / f"{INDEX}.tmp"
        try:
            temporary.write_text(
                json.dumps({"mark": mark, "files": self._names, "sizes": self._sizes}), encoding="utf-8"
            )
            temporary.replace(self._folder / INDEX)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise SandboxUnavailable(f"{self._folder} could not be written: {error.strerror}") from error
        for path in self._folder.iterdir():
            if path.name not in (*self._names, INDEX):
                path.unlink()


def saved_mark(folder: Path) -> int | None:
    """The mark of the last save in a folder, None where it is not there whole: a power failure may have cut it."""
    try:
        mark, names, sizes = read_index(folder)
        whole = all((folder / name).stat().st_size == size for name, size in zip(names, sizes, strict=True))
    except (TransferError, OSError, ValueError):
        return None
    return mark if names and whole else None
