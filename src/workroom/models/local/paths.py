"""Where the local model keeps its things: weights, builds and logs in the cache, running servers in the run folder."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workroom.errors import ConfigError

Progress = Callable[[str], None]


class Cancelled(Exception):
    """The caller gave up on a long step; never reaches the user."""


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/workroom`, by default `~/.cache/workroom`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "workroom"


def run_dir() -> Path:
    """The folder of running servers, made on first use and readable by its owner alone: it holds their keys.

    Raises `ConfigError` where somebody else owns it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    root = Path(base) / "workroom" if base and os.access(base, os.W_OK) else cache_dir() / "run"
    folder = root / "local"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid():
        raise ConfigError(f"{folder} belongs to another user; set XDG_RUNTIME_DIR to a folder of your own.")
    if facts.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


@contextmanager
def locked(path: Path, waiting: Callable[[], None], cancelled: Callable[[], bool]) -> Iterator[int]:
    """Holds an exclusive lock on `path` and yields its descriptor.

    `waiting` is called once when another process has it. Raises `Cancelled` once `cancelled()` is true.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        told = False
        while not try_lock(descriptor, fcntl.LOCK_EX):
            if not told:
                waiting()
                told = True
            if cancelled():
                raise Cancelled
            time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    """Takes a lock of `kind` (`fcntl.LOCK_SH` or `LOCK_EX`) if that is possible now."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
