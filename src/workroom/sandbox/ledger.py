"""The sandboxes of this user on this host: one small file each, written before anything of it is started.

Whatever a backend makes for a sandbox (a control group, a container, a socket) bears its name, so that what a killed
process left behind can be found by the files whose owner is dead. A process id alone does not say that: it is told
apart by its start time, its boot and its pid namespace.
"""

import contextlib
import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from workroom.errors import SandboxUnavailable

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One sandbox. `name` is unique on this host; `started` in clock ticks since boot; `created` in Unix time.

    `place` is what its backend goes by to find it again, see `Backend.place`.
    """

    name: str
    backend: str
    image: str
    network: str
    pid: int
    started: int
    boot: str
    namespace: str
    created: float
    place: str = ""

    @property
    def abandoned(self) -> bool:
        """Whether its owner is known to be dead. In another pid namespace nobody here can know."""
        if self.boot != _boot():
            return True
        return self.namespace == _namespace() and start_time(self.pid) != self.started


def register(backend: str, image: str, network: str, place: str = "") -> Entry:
    """Writes down a new sandbox of this process. Raises SandboxUnavailable where that cannot be done."""
    pid = os.getpid()
    started = start_time(pid) or 0
    name = f"{pid}-{started}-{next(_numbers)}"
    entry = Entry(name, backend, image, network, pid, started, _boot(), _namespace(), time.time(), place)
    path = _folder() / f"{name}.json"
    try:
        path.write_text(json.dumps(asdict(entry)), encoding="utf-8")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SandboxUnavailable(f"the sandbox could not be written down in {path.parent}: {error.strerror}") from error
    return entry


def forget(name: str) -> None:
    """Removes the file of a sandbox of which nothing is left."""
    with contextlib.suppress(OSError):
        (_folder() / f"{name}.json").unlink()


def entries() -> Iterator[Entry]:
    """All sandboxes that are written down, oldest first."""
    found = []
    for path in _folder().glob("*.json"):
        try:
            found.append(Entry(**json.loads(path.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            continue  # closed meanwhile
        except (OSError, ValueError, TypeError):
            _drop_half_written(path)
    yield from sorted(found, key=lambda entry: entry.created)


def _drop_half_written(path: Path) -> None:
    """Removes the file of a process that was killed while it wrote it; nothing of that sandbox had been made."""
    pid, _, rest = path.stem.partition("-")
    started = rest.partition("-")[0]
    if pid.isdigit() and started.isdigit() and start_time(int(pid)) != int(started):
        path.unlink(missing_ok=True)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the pid a unique name. None where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def state_dir() -> Path:
    """A folder for sockets and the like that only this user can enter, made on first use."""
    folder = _place()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise SandboxUnavailable(
            f"{folder}, where sandboxes are written down, could not be made: {error.strerror}"
        ) from error
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise SandboxUnavailable(f"{folder} must belong to you and nobody else may enter it: chmod 700, or remove it")
    return folder


def _folder() -> Path:
    folder = state_dir() / "sandboxes"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SandboxUnavailable(f"{folder} could not be made: {error.strerror}") from error
    return folder


def _place() -> Path:
    """In memory where there is such a place of this user's own, else in the cache."""
    if os.geteuid() == 0:  # whatever XDG_RUNTIME_DIR says: it may be that of the user who became root
        return Path("/run/workroom")
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    if named and os.access(named, os.W_OK):
        return Path(named) / "workroom"
    own = Path(f"/run/user/{os.geteuid()}")
    if os.access(own, os.W_OK):
        return own / "workroom"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "workroom" / "run"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
