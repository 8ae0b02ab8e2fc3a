"""What bounds a sandbox of bubblewrap on this host: user ids, control group, disk; and what is told of it."""

import os
import subprocess
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.backend import GuestFacts
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.bwrap_command import Files, Plan, bwrap_version
from workroom.sandbox.cgroup import Cgroup, hierarchy
from workroom.sandbox.guest import guest_binary
from workroom.sandbox.ids import IdRange, root_has_ranges, subordinate_ids
from workroom.sandbox.image import SANDBOX_UID, Image


def new_ids(image: Image) -> "IdRange | nullcontext[None]":
    """A range of ids, where this user may have one and the image's file system can show files as another user's."""
    if os.geteuid() == 0 and root_has_ranges() and _can_map(image.root):
        return IdRange()
    return nullcontext()


@lru_cache(maxsize=8)
def _can_map(root: Path) -> bool:
    command = [str(guest_binary()), "idmap", str(root), str(SANDBOX_UID)]
    return subprocess.run(command, env={}, capture_output=True, check=False).returncode == 0


def empty_files(limits: Limits) -> Files:
    """The files of a new sandbox."""
    memory, disk = parse_size(limits.memory), parse_size(limits.disk)
    where = hierarchy()
    # The disk is memory: it must fill up before the memory limit ends the sandbox's processes instead.
    bounded = where is not None and "memory" in where.parents
    ceiling = memory * 3 // 4 if bounded else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    size = min(disk, ceiling)
    return Files(size, inodes=min(1 << 20, max(16384, size // 8192)))


def bounds(name: str, plan: Plan) -> tuple[GuestFacts, Cgroup | None]:
    """Makes the control group; returns it and what is in force."""
    limits, where = plan.limits, hierarchy()
    memory, disk = parse_size(limits.memory), parse_size(limits.disk)
    cgroup = None
    if where is not None:
        try:
            cgroup = Cgroup(name, where, memory=memory, pids=limits.pids, cpus=limits.cpus)
        except OSError as error:
            raise SandboxUnavailable(f"the control group of the sandbox could not be made: {error}") from error
    has = cgroup.controllers if cgroup else set()
    by = f"cgroup v{cgroup.version}" if cgroup else ""
    lowered = f", lowered from {disk} bytes to fit into memory" if empty_files(limits).size < disk else ""
    best_effort = "not enforced: no control group can be made by this user"
    facts = GuestFacts(
        limits={
            "memory": memory,
            "pids": limits.pids,
            "disk": plan.files.size,
            "cpus": limits.cpus,
            "command_timeout": limits.command_timeout,
            "output": parse_size(limits.output),
        },
        enforcement={
            "memory": by
            if "memory" in has
            else "best effort: RLIMIT_DATA of each process, and a look at all every 0.5 s",
            "pids": by if "pids" in has else "RLIMIT_NPROC",
            "cpus": "no limit asked for" if limits.cpus is None else by if "cpu" in has else best_effort,
            "disk": f"tmpfs size{lowered}",
            "time": "agent in the sandbox, watched from outside",
            "network": "network namespace",
            "users": _users(plan),
        },
        versions={"bwrap": bwrap_version(), "kernel": os.uname().release},
    )
    return facts, cgroup


def _users(plan: Plan) -> str:
    if plan.ids is not None:
        return "65536 host user ids of its own"
    if os.geteuid() == 0:
        return f"host user {SANDBOX_UID}, shared by all sandboxes; one user inside"
    lent = subordinate_ids()
    return "your user and " + (f"{lent[2]} subordinate ids of it" if lent else "no other: one user inside")
