"""Control groups: the only means that bounds the memory, processes and CPU of a whole sandbox.

Version 1 (a directory per controller) and version 2 (one directory) are used where this user may make directories
there: root, or a user with a delegated group. Elsewhere there is no `Cgroup`, and the sandbox says so.

A directory is named after its owner (pid and start time), so that what a killed owner left behind is found and removed.
"""

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workroom.sandbox.ledger import start_time

MOUNT = Path("/sys/fs/cgroup")
PARENT = "workroom"
PERIOD = 100_000  # microseconds


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made on this host. `parents`: controller → directory; equal directories in version 2."""

    version: int
    parents: dict[str, Path]


@lru_cache(maxsize=1)
def hierarchy() -> Hierarchy | None:
    """Finds, once a process, where groups can be made, and removes what dead owners left there."""
    found = _version_2() if (MOUNT / "cgroup.controllers").exists() else _version_1()
    if found is not None:
        for parent in set(found.parents.values()):
            sweep(parent)
    return found


def _version_1() -> Hierarchy | None:
    parents = {}
    for controller in ("memory", "pids", "cpu"):
        parent = MOUNT / controller / PARENT
        try:
            parent.mkdir(exist_ok=True)
            if os.access(parent, os.W_OK):
                parents[controller] = parent
        except OSError:
            continue
    return Hierarchy(1, parents) if parents else None


def _version_2() -> Hierarchy | None:
    own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
    for base in dict.fromkeys((MOUNT, MOUNT / own)):
        parent = base / PARENT
        try:
            parent.mkdir(exist_ok=True)
            wanted = {"memory", "pids", "cpu"} & set((base / "cgroup.controllers").read_text().split())
            for directory in (base, parent):
                _enable(directory, wanted)
        except OSError:
            continue
        return Hierarchy(2, dict.fromkeys(wanted, parent))
    return None


def _enable(directory: Path, wanted: set[str]) -> None:
    """Lets the groups below `directory` have the controllers."""
    control = directory / "cgroup.subtree_control"
    for controller in wanted - set(control.read_text().split()):
        try:
            control.write_text(f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # A group may have processes or groups with controllers below it, not both. Of a group that was delegated
            # to us, as `systemd-run --scope -p Delegate=yes` does, we are those processes: they move one down.
            leaf = directory / f"{PARENT}-main"
            leaf.mkdir(exist_ok=True)
            for pid in (directory / "cgroup.procs").read_text().split():
                (leaf / "cgroup.procs").write_text(pid)
            control.write_text(f"+{controller}")


class Cgroup:
    """The group (or one per controller) of one sandbox. Processes enter it by writing to `procs`."""

    def __init__(self, name: str, where: Hierarchy, *, memory: int, pids: int, cpus: float | None) -> None:
        self.version = where.version
        self._directories = {controller: parent / name for controller, parent in where.parents.items()}
        try:
            for directory in set(self._directories.values()):
                directory.mkdir()
            self._bound(memory, pids, cpus)
        except OSError:
            self.remove_now()
            raise

    @property
    def procs(self) -> list[str]:
        return sorted({str(directory / "cgroup.procs") for directory in self._directories.values()})

    @property
    def controllers(self) -> set[str]:
        return set(self._directories)

    def _bound(self, memory: int, pids: int, cpus: float | None) -> None:
        if memory_group := self._directories.get("memory"):
            if self.version == 1:
                (memory_group / "memory.limit_in_bytes").write_text(str(memory))
                with contextlib.suppress(FileNotFoundError):  # no swap accounting on this host
                    (memory_group / "memory.memsw.limit_in_bytes").write_text(str(memory))
                self.bound_sockets(memory)
            else:
                (memory_group / "memory.max").write_text(str(memory))
                with contextlib.suppress(FileNotFoundError):
                    (memory_group / "memory.swap.max").write_text("0")
        if pids_group := self._directories.get("pids"):
            (pids_group / "pids.max").write_text(str(pids))
        if cpus is not None and (cpu_group := self._directories.get("cpu")):
            quota = max(1000, int(cpus * PERIOD))
            if self.version == 1:
                (cpu_group / "cpu.cfs_period_us").write_text(str(PERIOD))
                (cpu_group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (cpu_group / "cpu.max").write_text(f"{quota} {PERIOD}")

    def bound_sockets(self, memory: int) -> None:
        """Bounds the memory of socket buffers, which version 1 counts only then. Of no effect without write access."""
        if self.version == 1 and (directory := self._directories.get("memory")):
            with contextlib.suppress(OSError):
                (directory / "memory.kmem.tcp.limit_in_bytes").write_text(str(max(16 << 20, memory // 8)))

    def oom_kills(self) -> int:
        """How many processes of the sandbox the kernel has ended for lack of memory so far."""
        return self._counter("memory", "memory.oom_control" if self.version == 1 else "memory.events", "oom_kill ")

    def refused_starts(self) -> int:
        """How many starts of processes the kernel has refused in the sandbox so far."""
        return self._counter("pids", "pids.events", "max ")

    def _counter(self, controller: str, file: str, key: str) -> int:
        directory = self._directories.get(controller)
        if directory is not None:
            with contextlib.suppress(OSError):
                for line in _read(f"{directory}/{file}").splitlines():
                    if line.startswith(key):
                        return int(line.split()[1])
        return 0

    def memory(self) -> int | None:
        """Bytes that are charged to the sandbox now, files on its memory-backed disk included."""
        return self._bytes("memory.usage_in_bytes" if self.version == 1 else "memory.current")

    def memory_peak(self) -> int | None:
        """The most bytes that were charged to it at one time. Version 2 tells it from Linux 5.19 on."""
        return self._bytes("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")

    def _bytes(self, file: str) -> int | None:
        directory = self._directories.get("memory")
        if directory is None:
            return None
        try:
            return int((directory / file).read_text())
        except OSError:  # it died, or the kernel is older than the file
            return None

    def remove_now(self) -> bool:
        """Removes the directories; False while a process is still in one (try again a little later)."""
        left = [directory for directory in set(self._directories.values()) if not _remove(directory)]
        return not left


class ForeignCgroup(Cgroup):
    """The group that a process is in and that somebody else made. No controllers where it is not seen."""

    def __init__(self, pid: int) -> None:
        self.version = 1
        self._directories = {}
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                _, controllers, path = line.split(":", 2)
                for controller in {"memory", "pids", "cpu", "cpuacct"} & set(controllers.split(",")):
                    self._directories[controller] = MOUNT / controller / path.lstrip("/")
                if not controllers and (MOUNT / "cgroup.controllers").exists():
                    self.version = 2
                    self._directories = dict.fromkeys(("memory", "pids", "cpu"), MOUNT / path.lstrip("/"))
        self._directories = {name: place for name, place in self._directories.items() if place.exists()}

    def cpu_used(self) -> int | None:
        """Processor time so far, in some unit: where it stands still, nothing runs. None where it is not told."""
        if self.version == 2:
            return self._counter("cpu", "cpu.stat", "usage_usec ") or None
        try:
            return int((self._directories["cpuacct"] / "cpuacct.usage").read_text())
        except (OSError, KeyError, ValueError):
            return None

    def bounds(self, controller: str) -> int | None:
        """The limit in force: bytes of `memory` or number of `pids`; None where there is none."""
        file = "memory.limit_in_bytes" if (self.version, controller) == (1, "memory") else f"{controller}.max"
        try:
            return int((self._directories[controller] / file).read_text())
        except (OSError, KeyError, ValueError):  # no limit is the word `max`
            return None


def _read(path: str) -> str:
    """A small file of the kernel's, at a fifth of what Python's own files cost: two are read around every command."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096).decode()
    finally:
        os.close(descriptor)


def _remove(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def sweep(parent: Path, name: str = "") -> int:
    """Ends and removes what dead owners left below `parent`, or all of the sandbox `name`; returns how many."""
    removed = 0
    for directory in parent.iterdir():
        owner, _, rest = directory.name.partition("-")
        born = rest.partition("-")[0]
        asked_for = bool(name) and (directory.name == name or directory.name.startswith(f"{name}-"))
        owned = not owner.isdigit() or start_time(int(owner)) == int(born or 0)
        if not directory.is_dir() or (owned and not asked_for):
            continue
        for _ in range(50):
            with contextlib.suppress(OSError):
                for pid in (directory / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            if _remove(directory):
                removed += 1
                break
            time.sleep(0.01)
    return removed
