"""How a context lies in a sandbox: documents in files with safe names, long ones in parts, with others between."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from random import Random
from typing import Final

from workroom.errors import ConfigError
from workroom.train.data.splits import Content, mark

_LONGEST_NAME: Final = 50  # characters of up to 4 bytes, without what numbers it
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Document:
    """A document in its parts, of which each becomes a file. `marks`: of the parts, for what is alike."""

    name: str
    parts: tuple[str | bytes, ...]
    marks: frozenset[str]

    @property
    def text(self) -> str:
        """All of it with single spaces; nothing where it is no text."""
        return " ".join("".join(part for part in self.parts if isinstance(part, str)).split())


def document(name: str, content: Content, limit: int, where: str) -> Document:
    """The document in parts of at most `limit` characters.

    Raises ConfigError, which begins with `where`, for what cannot be split.
    """
    parts = _parts(_text(content), limit, f"{where}: the document {name!r}")
    return Document(name, parts, frozenset(found for part in parts if (found := mark(part))))


def files(documents: Sequence[Document]) -> dict[str, str | bytes]:
    """The files of these documents by name. Names that would be alike are all numbered, so that none stands out."""
    names = [_safe(document.name) for document in documents]
    found: dict[str, str | bytes] = {}
    taken: set[str] = set()
    for number, (name, entry) in enumerate(zip(names, documents, strict=True), 1):
        same = [other for other, name_ in enumerate(names, 1) if name_.casefold() == name.casefold()]
        chosen = name if len(same) == 1 else _numbered(name, f"-{same.index(number) + 1}")
        while any(part.casefold() in taken for part in _part_names(chosen, len(entry.parts))):
            chosen = _numbered(chosen, "-x")
        for part, content in zip(_part_names(chosen, len(entry.parts)), entry.parts, strict=True):
            taken.add(part.casefold())
            found[part] = content
    return found


def mixed(own: Document, pool: Sequence[Document], count: int, most: int, random: Random) -> list[Document]:
    """The document among `count` others of the pool, in a drawn order: none that has its text, or a part of it, in it.

    No more than `most` files altogether; fewer others where there are not so many.
    """
    text = own.text
    chosen, used = [own], own.marks
    room = most - len(own.parts)
    for other in _drawn(pool, random):
        if len(chosen) > count or room < 1:
            break
        if len(other.parts) <= room and other.marks and not other.marks & used and not _is_within(text, other.text):
            chosen.append(other)
            used |= other.marks
            room -= len(other.parts)
    random.shuffle(chosen)
    return chosen


def _drawn(pool: Sequence[Document], random: Random) -> Iterator[Document]:
    """All of the pool in a drawn order; of a large one no more is drawn than is asked for."""
    seen: set[int] = set()
    while len(seen) < len(pool):
        index = random.randrange(len(pool))
        if index not in seen:
            seen.add(index)
            yield pool[index]


def _is_within(one: str, other: str) -> bool:
    return bool(one and other) and (one in other or other in one)


def _text(content: Content) -> str | bytes:
    """As text where it is text in UTF-8."""
    if isinstance(content, Path):
        content = content.read_bytes()
    if isinstance(content, bytes) and b"\0" not in content:
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content
    return content


def _parts(content: str | bytes, limit: int, where: str) -> tuple[str | bytes, ...]:
    if len(content) <= limit:
        return (content,)
    if isinstance(content, bytes):
        raise ConfigError(
            f"{where} has {len(content):,} bytes that are no text and cannot be split: raise `max_document` of "
            f"{limit:,}, or leave it out"
        )
    parts = [""]
    for number, line in enumerate(_LINE.findall(content), 1):
        if len(line) > limit:
            raise ConfigError(
                f"{where} cannot be split, its line {number} has {len(line):,} characters: raise `max_document` of "
                f"{limit:,}, or break the line"
            )
        if len(parts[-1]) + len(line) > limit:
            parts.append("")
        parts[-1] += line
    return tuple(parts)


def _safe(name: str) -> str:
    """A name that no shell and no file system minds: no folders, no spaces, nothing hidden, no option."""
    path = PurePosixPath("_".join(part for part in name.split("/") if part))
    suffix = path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", path.suffix) else ""
    stem = re.sub(r"[^\w.-]+", "_", path.stem).strip("._-")
    return (stem[:_LONGEST_NAME].rstrip("._-") or "document") + suffix


def _numbered(name: str, mark_: str) -> str:
    path = PurePosixPath(name)
    return f"{path.stem}{mark_}{path.suffix}"


def _part_names(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [_numbered(name, f".part-{number}") for number in range(1, count + 1)]
