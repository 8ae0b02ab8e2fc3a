"""The files that a run left: what they are, which of them go into a page, and what styles the HTML among them has."""

import base64
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

from workroom.trajectory.files import MANIFEST
from workroom.trajectory.reader import open_regular

EACH: Final = 25 << 20  # bytes of a file that goes into a page
ALL: Final = 100 << 20  # bytes of all of them
_MOST = 5000  # files that are listed
_MOST_STYLES = 400  # of all HTML files together; the policy in the head has a hash for each
_LARGEST_STYLED = 4 << 20  # bytes of an HTML file whose styles are looked for
_LARGEST_MANIFEST = 16 << 20  # bytes
_TYPES = {
    "image": {
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        "avif": "image/avif",
        "bmp": "image/bmp",
        "svg": "image/svg+xml",
    },
    "audio": {
        "mp3": "audio/mpeg",
        "wav": "audio/wav",
        "ogg": "audio/ogg",
        "oga": "audio/ogg",
        "opus": "audio/ogg",
        "flac": "audio/flac",
        "m4a": "audio/mp4",
        "aac": "audio/aac",
    },
    "video": {"mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg", "mov": "video/mp4"},
    "html": {"html": "text/html", "htm": "text/html"},
    "table": {"csv": "text/csv", "tsv": "text/tab-separated-values"},
    "pdf": {"pdf": "application/pdf"},
}
_KINDS = {ending: (kind, name) for kind, endings in _TYPES.items() for ending, name in endings.items()}


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file below `files/`. `path` is relative to it, with `/`; `size` in bytes; `sha256` None where unknown.

    `kind`: image, audio, video, html, table, pdf, text or other. `embedded`: whether it goes into the page.
    """

    path: str
    size: int
    sha256: str | None
    kind: str
    media_type: str
    embedded: bool = False


def artefacts(folder: Path, manifest: str = MANIFEST) -> list[Artefact]:
    """The regular files below a folder, by path. Links are not followed, and what is no file is left out.

    `manifest`: the run's own, which has their digests. The model may have left others that look like it.
    """
    listed = _listed(folder, manifest)
    found = []
    for path in _regular_files(folder):
        name = path.relative_to(folder).as_posix()
        if name == manifest and listed is not None:
            continue
        size = path.lstat().st_size
        told = (listed or {}).get(name)
        kind, media_type = _kind(path)
        found.append(Artefact(name, size, told[1] if told and told[0] == size else None, kind, media_type))
        if len(found) == _MOST:
            break
    return found


def within(found: Iterable[Artefact], each: int = EACH, total: int = ALL) -> list[Artefact]:
    """The artefacts, marked as embedded as long as they keep to `each` and `total` bytes."""
    marked = []
    for artefact in found:
        fits = artefact.size <= min(each, total)
        total -= artefact.size if fits else 0
        marked.append(replace(artefact, embedded=fits))
    return marked


def open_artefact(folder: Path, path: str) -> BinaryIO:
    """A file below the folder, opened for reading. Raises OSError where there is none, where a link or anything that
    is no regular file is in the way, or where the path leads out: the folder is whatever its maker wanted it to be."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise FileNotFoundError(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts, 1):
        kind = os.O_NONBLOCK if number == len(parts) else os.O_DIRECTORY
        try:
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(path)
    return file


def media_type(path: str) -> str:
    """What a file is served as, by its name: never as what a browser would have to guess."""
    kind, name = _KINDS.get(PurePosixPath(path).suffix[1:].lower(), ("other", "application/octet-stream"))
    return f"{name}; charset=utf-8" if kind in ("html", "table") else name


def read_artefact(folder: Path, path: str, limit: int) -> bytes | None:
    """The bytes of a file below the folder, None where it is not there any more or larger than `limit`."""
    try:
        with open_artefact(folder, path) as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None


def style_sources(folder: Path, found: Iterable[Artefact]) -> list[str]:
    """Sources for a policy that allow the styles within the embedded HTML files, and no other.

    A page shows such a file in a frame that keeps to the page's own policy: nothing in it runs, nothing is fetched.
    """
    hashes: dict[str, None] = {}
    attributes = False
    for artefact in found:
        if artefact.kind != "html" or not artefact.embedded:
            continue
        data = read_artefact(folder, artefact.path, _LARGEST_STYLED)
        reader = _Styles()
        with suppress(AssertionError, ValueError):  # what the parser makes of markup that is none
            reader.feed(text_of(data or b"").replace("\r\n", "\n").replace("\r", "\n"))
        for text in reader.found:
            digest = base64.b64encode(hashlib.sha256(text.encode("utf-8", "replace")).digest()).decode()
            hashes.setdefault(f"'sha256-{digest}'")
        attributes = attributes or reader.attributes
    sources = list(hashes)[:_MOST_STYLES]
    return ["'unsafe-hashes'", *sources] if attributes and sources else sources


def text_of(data: bytes) -> str:
    """The bytes as text, whatever they are."""
    return data.decode("utf-8-sig", "replace")


class _Styles(HTMLParser):
    """Finds the texts of `<style>` elements and `style` attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.attributes = False
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._text = [] if tag == "style" else None
        for name, value in attrs:
            if name == "style" and value:
                self.found.append(value)
                self.attributes = True

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "style" and self._text is not None:
            self.found.append("".join(self._text))
        self._text = None


def _listed(folder: Path, manifest: str) -> dict[str, tuple[int, str]] | None:
    """What the manifest says: size and SHA-256 by path. None without one."""
    try:
        entries = json.loads(read_artefact(folder, manifest, _LARGEST_MANIFEST) or b"{}")["files"]
        told = [entry for entry in entries if isinstance(entry, dict) and _is_told(entry)]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return {entry["path"]: (entry["size"], entry["sha256"]) for entry in told}


def _is_told(entry: dict[str, Any]) -> bool:
    kinds = {"path": str, "size": int, "sha256": str}
    return all(isinstance(entry.get(name), kind) for name, kind in kinds.items())


def _regular_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def _kind(path: Path) -> tuple[str, str]:
    known = _KINDS.get(path.suffix[1:].lower())
    if known is not None:
        return known
    try:
        with open_regular(path) as file:
            beginning = file.read(4096)
    except OSError:
        return "other", "application/octet-stream"
    try:
        beginning.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 3:  # else a character is cut
            return "other", "application/octet-stream"
    return ("other", "application/octet-stream") if b"\0" in beginning else ("text", "text/plain")
