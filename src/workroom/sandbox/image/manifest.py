"""What is in an image, file by file, and whether it is still so."""

import functools
import hashlib
import json
import os
import random
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_SAMPLE = 300  # files whose content a fast check reads
_SHOWN = 20  # problems that are told one by one

Entry = list[Any]  # path, type (f, d or l), mode or 0, size or 0, sha256 or link target or ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """How an image was made and what it weighs. `size` in bytes on disk, `created` in seconds since the epoch."""

    digest: str
    recipe: str
    name: str
    owner: int
    files: int
    size: int
    created: float
    packages: dict[str, str]
    python: dict[str, str]

    def save(self, place: Path) -> None:
        (place / "manifest.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, place: Path) -> "Manifest":
        """Raises OSError or ValueError where there is none or it is damaged."""
        path = place / "manifest.json"
        facts = path.stat()
        return _read(path, facts.st_ino, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=16)  # asked for every sandbox; a file that was written anew is read anew
def _read(path: Path, _number: int, _size: int, _modified: int) -> Manifest:
    try:
        return Manifest(**json.loads(path.read_text()))
    except TypeError as error:
        raise ValueError(str(error)) from error


SANDBOX_UID = 64100  # unprivileged, and of nobody: the owner of the images that root builds


def owner() -> int:
    """The user id that has to own an image built here.

    A sandbox maps one id only: files of any other would be unwritable in it, although it runs as "root".
    """
    return os.getuid() or SANDBOX_UID


def seal(place: Path) -> int:
    """Writes the list of all files of `place/root`; returns how many.

    On the way root gives everything to the unprivileged owner, and set-id bits, devices, sockets and pipes go.
    """
    os.chown(place / "root", owner(), -1)
    lines = [json.dumps(entry, separators=(",", ":")) + "\n" for entry in _sealed(place / "root", owner())]
    (place / "files.jsonl").write_text("".join(lines))
    return len(lines)


def _sealed(root: Path, uid: int) -> Iterator[Entry]:
    for path in sorted(_walk(root)):
        full = root / path
        facts = full.lstat()
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode) or stat.S_ISLNK(facts.st_mode)):
            full.unlink()
            continue
        if facts.st_uid != uid:  # only root can meet this
            os.chown(full, uid, uid, follow_symlinks=False)
        if not stat.S_ISLNK(facts.st_mode):
            mode = stat.S_IMODE(facts.st_mode) & ~(stat.S_ISUID | stat.S_ISGID)
            full.chmod(mode | (0o700 if stat.S_ISDIR(facts.st_mode) else 0o400))
        yield [*_facts(root, path), content_of(full)]


def digest_of(recipe: str, files: Path) -> str:
    """The address of an image: sha256 over the digest of its recipe and the list of its files."""
    return hashlib.sha256(recipe.encode() + b"\n" + files.read_bytes()).hexdigest()


def disk_usage(root: Path) -> int:
    """Bytes on disk below a directory, each inode once, as `du` counts."""
    seen: dict[tuple[int, int], int] = {}
    for path in [".", *_walk(root)]:
        facts = (root / path).lstat()
        seen[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return sum(seen.values())


def problems(place: Path, *, full: bool, address: bool = True) -> list[str]:
    """How an image differs from what was sealed: all names, modes and sizes, and the content of some or all files.

    `address`: whether its directory has to bear its digest.
    """
    try:
        manifest = Manifest.load(place)
        lines = (place / "files.jsonl").read_text().splitlines()
        listed: dict[str, Entry] = {entry[0]: entry for entry in map(json.loads, lines)}
    except (OSError, ValueError) as error:
        return [f"the manifest cannot be read: {error}"]
    if digest_of(manifest.recipe, place / "files.jsonl") != manifest.digest or (
        address and place.name != manifest.digest
    ):
        return ["the list of files is not the one that the image was sealed with"]
    root = place / "root"
    there = set(_walk(root))
    found = [f"/{path} is missing" for path in sorted(listed.keys() - there)]
    found += [f"/{path} does not belong to the image" for path in sorted(there - listed.keys())]
    sound: list[str] = []
    for path in sorted(listed.keys() & there):
        if _facts(root, path) != listed[path][:4]:
            found.append(f"/{path} has another type, mode or size")
        elif (root / path).lstat().st_uid != manifest.owner:
            found.append(f"/{path} belongs to another user")
        else:
            sound.append(path)
    for path in sound if full else random.sample(sound, min(_SAMPLE, len(sound))):
        if content_of(root / path) != listed[path][4]:
            found.append(f"/{path} has another content")
    return [*found[:_SHOWN], f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else found


def content_of(path: Path) -> str:
    """The sha256 of a file, the target of a link, nothing for a directory."""
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return str(path.readlink())
    if stat.S_ISDIR(facts.st_mode):
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(root: Path, path: str) -> Entry:
    facts = (root / path).lstat()
    if stat.S_ISLNK(facts.st_mode):
        return [path, "l", 0, 0]
    if stat.S_ISDIR(facts.st_mode):
        return [path, "d", stat.S_IMODE(facts.st_mode), 0]
    return [path, "f", stat.S_IMODE(facts.st_mode), facts.st_size]


def _walk(root: Path) -> Iterator[str]:
    """Paths below a directory, relative to it, links not followed."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(root / below) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}" if below else entry.name
                yield path
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
