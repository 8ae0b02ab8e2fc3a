"""Files that clients have uploaded and that models have made, each under an id, each belonging to a key."""

import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workroom.serve.errors import bad_request, not_found, too_large
from workroom.serve.names import new_id, safe_name
from workroom.serve.settings import Key
from workroom.trajectory.files import replace_file, to_json
from workroom.trajectory.reader import read_json

OUTPUT = "assistants_output"
_SECRET_BYTES = 32
_RECORD = "meta.json"
_GONE = 10_000  # removed files whose places in a list are remembered
_logger = logging.getLogger("workroom.serve")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file. `created` in seconds since the epoch; `conversation`: the one that it goes with, None for an upload.

    `path`: where it is below the directory for outputs, empty for an upload.
    """

    id: str
    key: str
    filename: str
    bytes: int
    created: float
    purpose: str
    conversation: str | None = None
    path: str = ""


class FileStore:
    """The files below `folder`, one folder each. `secret` signs links; `quota` is in bytes for each key."""

    def __init__(self, folder: Path, secret: bytes, quota: int) -> None:
        self._folder = folder
        self._secret = secret
        self._quota = quota
        self._files: dict[str, StoredFile] = {}
        self._gone: dict[str, StoredFile] = {}  # removed since the server started
        folder.mkdir(mode=0o700, exist_ok=True)
        for place in folder.iterdir():
            found = _read(place)
            if found is not None:
                self._files[found.id] = found
            elif (place / _RECORD).exists():
                _logger.warning("%s is damaged, or of another version: it is left as it is, and not used", place)
            else:
                shutil.rmtree(place, ignore_errors=True)  # a killed server was about to make or remove it

    def __iter__(self) -> Iterator[StoredFile]:
        return iter(list(self._files.values()))

    def room(self, key: Key) -> int:
        """Bytes that the key may still store."""
        used = sum(file.bytes for file in self if file.key == key.name)
        return max((self._quota if key.quota is None else key.quota) - used, 0)

    def add(self, key: Key, source: Path, filename: str, purpose: str, **more: str) -> StoredFile:
        """Takes a file in, by a hard link where that can be. Raises ApiError (413) where the key's quota is used up."""
        size = source.stat().st_size
        if size > (room := self.room(key)):
            raise too_large(
                f"the file has {size:,} bytes and the quota of this key has room for {room:,}: delete some files"
            )
        file = StoredFile(new_id("file-"), key.name, safe_name(filename), size, time.time(), purpose, **more)
        place = self._folder / file.id
        place.mkdir(mode=0o700)
        try:
            try:
                os.link(source, place / "content")
            except OSError:
                shutil.copyfile(source, place / "content")
            replace_file(place / _RECORD, to_json(asdict(file)).encode())  # last: with it the file is there
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._files[file.id] = file
        return file

    def get(self, key: Key, name: str) -> StoredFile:
        """Raises ApiError (404) where this key has no such file."""
        file = self._files.get(name)
        if file is None or file.key != key.name:
            raise not_found(f"there is no file {name!r} of this key", "file_not_found", "file_id")
        return file

    def listed(self, key: Key) -> list[StoredFile]:
        """The files of the key, the newest first."""
        return sorted((file for file in self if file.key == key.name), key=_place, reverse=True)

    def listed_after(self, key: Key, name: str, files: Iterable[StoredFile], *, older: bool) -> list[StoredFile]:
        """Those of the files that are older, or else newer, than the file `name` of the key: also than one that was
        removed meanwhile, as by who removes each file that a page tells of. Raises ApiError (400) for an unknown one.
        """
        at = self._files.get(name) or self._gone.get(name)
        if at is None or at.key != key.name:
            raise bad_request(f"there is no file {name[:100]!r} in this list", "after")
        return [file for file in files if (_place(file) < _place(at) if older else _place(file) > _place(at))]

    def of_conversation(self, key: str, conversation: str) -> list[StoredFile]:
        """What a conversation of the key of that name has made."""
        return [file for file in self if (file.key, file.conversation) == (key, conversation)]

    def path(self, file: StoredFile) -> Path:
        """Where its bytes are."""
        return self._folder / file.id / "content"

    def remove(self, files: Iterable[StoredFile]) -> None:
        """Removes files for good; where the disk fails they are back when the server starts again."""
        for file in list(files):
            self._files.pop(file.id, None)
            self._gone[file.id] = file
            if len(self._gone) > _GONE:
                del self._gone[next(iter(self._gone))]
            with contextlib.suppress(OSError):
                (self._folder / file.id / _RECORD).unlink(missing_ok=True)
            shutil.rmtree(self._folder / file.id, ignore_errors=True)

    def link(self, file: StoredFile) -> str:
        """The path of a link that whoever has it can follow."""
        return f"/files/{file.id}/{self._signature(file.id)}/{quote(file.filename, safe='')}"

    def linked(self, name: str, signature: str) -> StoredFile:
        """The file that a link leads to. Raises ApiError (404), the same for a wrong signature and a missing file."""
        file = self._files.get(name)
        same = hmac.compare_digest(self._signature(name).encode(), signature.encode("utf-8", "replace"))
        if file is None or not same:
            raise not_found("there is no such file")
        return file

    def _signature(self, name: str) -> str:
        return hmac.new(self._secret, name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:40]


def read_secret(path: Path) -> bytes:
    """The secret in the file, which is made where it is missing."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) != _SECRET_BYTES:
        found = secrets.token_bytes(_SECRET_BYTES)
        replace_file(path, found, durable=True)
        path.chmod(0o600)
    return found


def _place(file: StoredFile) -> tuple[float, str]:
    """What a list is ordered by."""
    return file.created, file.id


def _read(place: Path) -> StoredFile | None:
    meta: dict[str, Any] = read_json(place / _RECORD)
    try:
        file = StoredFile(**{name: value for name, value in meta.items() if name in StoredFile.__slots__})
    except TypeError:
        return None
    whole = file.id == place.name and (place / "content").is_file()
    return file if whole else None
