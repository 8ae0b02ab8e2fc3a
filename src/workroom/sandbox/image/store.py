"""Where images lie on this host, and how one is put in place, found and thrown away.

$XDG_CACHE_HOME/workroom/images/       ~/.cache/workroom/images
    <digest>/root/                     the root file system; <digest> is the sha256 of what is in it
    <digest>/manifest.json             what it was made from
    <digest>/files.jsonl               every file with its mode, size and sha256
    default -> <digest>                a name; replaced atomically
    .work/<name>-<recipe>/             a build under way; kept after a kill and continued by the next build
    .trash/                            deleted in the background: deleting a tree can take half a minute
    .lock-<name>                       held while the image of that name is built
"""

import contextlib
import fcntl
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox.image.manifest import Manifest, owner, problems

DEFAULT = "default"
HOST = "host"

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system, read-only and shared by all sandboxes made from it.

    `root`: its directory. `digest`: sha256 (hex) of the recipe and of everything in it. `size` in bytes on disk.
    `is_host`: no image of ours but a skeleton over the host's own programs; `notice` then says so in one sentence,
    and `binds` are what to mount into it: (path on the host, path in the sandbox, read-only).
    """

    name: str
    root: Path
    digest: str
    is_host: bool = False
    notice: str | None = None
    binds: tuple[tuple[Path, str, bool], ...] = ()
    size: int = 0


def store_dir() -> Path:
    """The directory of all images; made when missing."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named and Path(named).is_absolute() else Path.home() / ".cache"
    path = base / "workroom" / "images"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxUnavailable(
            f"images cannot be kept in {path} ({error.strerror}): name another directory in XDG_CACHE_HOME"
        ) from error
    return path


def check_name(name: str) -> str:
    """The name, if it is one. Raises ConfigError."""
    if not _NAME.fullmatch(name) or _DIGEST.fullmatch(name):
        raise ConfigError(f"{name!r} is no image name: use lower-case letters, digits, '-', '_' and '.', letter first")
    return name


def find(name: str) -> Image | None:
    """The image of that name, None where there is none that this user can use."""
    pointer = store_dir() / check_name(name)
    try:
        place = store_dir() / pointer.readlink()
        manifest = Manifest.load(place)
        usable = (place / "root").stat().st_uid == owner()
    except (OSError, ValueError):
        return None
    return Image(name, place / "root", manifest.digest, size=manifest.size) if usable else None


def list_images() -> list[Image]:
    """All images that have a name, sorted by it."""
    names = sorted(path.name for path in store_dir().iterdir() if path.is_symlink() and _NAME.fullmatch(path.name))
    return [image for name in names if (image := find(name))]


def publish(stage: Path, name: str, digest: str) -> Image:
    """Puts a finished build in place under its digest and lets the name point to it, each by one rename."""
    place = store_dir() / digest
    if place.exists() and not problems(place, full=True):
        throw_away(stage)  # the same again
    else:
        throw_away(place)
        stage.rename(place)
    point(name, digest)
    image = find(name)
    if image is None:
        raise SandboxUnavailable(f"the image in {place} vanished while it was put in place: build it again")
    return image


def point(name: str, digest: str) -> None:
    """Lets a name point to an image, atomically."""
    new = store_dir() / f".new-{uuid.uuid4().hex}"
    new.symlink_to(digest)
    new.replace(store_dir() / check_name(name))


@contextlib.contextmanager
def locked(name: str, progress: Progress) -> Iterator[bool]:
    """Holds the right to build an image of that name; yields whether somebody else held it before us."""
    with (store_dir() / f".lock-{check_name(name)}").open("a") as file:
        waited = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    progress(f"image {name}: another process is building it; waiting for its result")
                waited = True
                time.sleep(0.2)
        yield waited


def throw_away(path: Path) -> None:
    """Makes a file or tree vanish at once; `sweep` deletes it later."""
    trash = store_dir() / ".trash"
    trash.mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.rename(trash / uuid.uuid4().hex)


def sweep() -> None:
    """Deletes what was thrown away, in a background process that outlives this one."""
    trash = store_dir() / ".trash"
    doomed = [str(path) for path in trash.iterdir()] if trash.is_dir() else []
    if doomed:
        subprocess.Popen(  # its end is of no interest; `init` reaps it
            ["setsid", "--fork", "nice", "-n", "19", "rm", "-rf", "--one-file-system", "--", *doomed],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ).wait()  # fmt: skip


def collect_garbage(min_age: float = 86400.0) -> int:
    """Throws away images without a name that are older than `min_age` seconds, and what dead builds left.

    Returns how many. The age spares an image that running sandboxes still use after a new one took its name.
    """
    store = store_dir()
    named = {str(path.readlink()) for path in store.iterdir() if path.is_symlink()}
    old = time.time() - min_age
    doomed = [
        path
        for path in [*store.iterdir(), *(store / ".work").glob("*")]
        if (_DIGEST.fullmatch(path.name) or path.parent.name == ".work") and path.name not in named
        if path.lstat().st_ctime < old
    ]
    for path in doomed:
        throw_away(path)
    sweep()
    return len(doomed)
