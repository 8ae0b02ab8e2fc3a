"""User ids of the host for the insides of sandboxes.

Started by root, each sandbox gets a range of its own, so that no two share what the kernel counts or permits by user:
inotify instances, pending signals, keyrings. An ordinary user has one id, and more where /etc/subuid lends some.
"""

import fcntl
import os
import struct
import threading
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from workroom.errors import SandboxUnavailable
from workroom.sandbox.ledger import state_dir

SIZE = 65_536
FIRST = 0x7000_0000  # to 0x7FFD_FFFF: assigned to nothing, https://systemd.io/UIDS-GIDS
SLOTS = 4093
_FLOCK = "hhqqi4x"  # struct flock; native alignment pads it

_file: tuple[int, int] | None = None  # (process, descriptor): a forked process must not share the locks
_held: dict[int, int] = {}  # slot → users of it
_guard = threading.Lock()  # one open file holds all the locks, so between threads they say nothing


class IdRange:
    """The ids `base` to `base + 65535`, for one sandbox and its forks: free again once all who hold them let go.

    As a context it is held for the time of the block. A process that dies lets go of all it held.
    """

    def __init__(self) -> None:
        with _guard:
            self._take()

    def _take(self) -> None:
        descriptor = _lock_file()
        for number in range(SLOTS):
            slot = (os.getpid() + number) % SLOTS
            if slot not in _held and _locks(descriptor, fcntl.F_WRLCK, slot):
                self._slot = slot
                self.base = FIRST + slot * SIZE
                _held[slot] = 0
                return
        raise SandboxUnavailable(f"all {SLOTS:,} ranges of user ids are in use by sandboxes: close some first")

    def hold(self) -> Self:
        with _guard:
            _held[self._slot] = _held.get(self._slot, 0) + 1
        return self

    def let_go(self) -> None:
        with _guard:
            _held[self._slot] = _held.get(self._slot, 1) - 1
            if _held[self._slot] <= 0:
                del _held[self._slot]
                _locks(_lock_file(), fcntl.F_UNLCK, self._slot)

    def __enter__(self) -> Self:
        return self.hold()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.let_go()


def _locks(descriptor: int, kind: int, slot: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, slot, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _lock_file() -> int:
    global _file
    if _file is None or _file[0] != os.getpid():
        _held.clear()
        path = state_dir() / "ids"
        try:
            _file = (os.getpid(), os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise SandboxUnavailable(f"{path} could not be opened: {error.strerror}") from error
    return _file[1]


@lru_cache(maxsize=1)
def root_has_ranges() -> bool:
    """Whether the ids exist in this user namespace: they do not in one that has only some ids itself."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _, count = map(int, line.split())
        if inside <= FIRST and inside + count >= FIRST + SLOTS * SIZE:
            return True
    return False


@lru_cache(maxsize=1)
def subordinate_ids() -> tuple[int, int, int] | None:
    """(first uid, first gid, how many) that this ordinary user may give away; None without any."""
    if not all(Path(f"/usr/bin/{program}").exists() for program in ("newuidmap", "newgidmap")):
        return None
    users, groups = _lent(Path("/etc/subuid")), _lent(Path("/etc/subgid"))
    if users is None or groups is None:
        return None
    return users[0], groups[0], min(users[1], groups[1], SIZE - 1)


def _lent(file: Path) -> tuple[int, int] | None:
    import pwd

    names = {str(os.getuid())}
    try:
        names.add(pwd.getpwuid(os.getuid()).pw_name)
        lines = file.read_text().splitlines()
    except (KeyError, OSError):
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if name in names and first.isdigit() and count.isdigit():
            return int(first), int(count)
    return None
