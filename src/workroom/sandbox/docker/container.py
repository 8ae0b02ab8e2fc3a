"""What a sandbox is as a container: its settings, and what of them the daemon has really put in force."""

import os
from pathlib import Path
from typing import Any

from workroom.sandbox.backend import GuestFacts
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.bwrap_command import CAPABILITIES, HIDDEN, MASKED, OPEN_FILES
from workroom.sandbox.cgroup import ForeignCgroup
from workroom.sandbox.guest import PROGRAM, staged_binary

CONTROL = "/run/control"
WATCH_PERIOD = 0.5  # seconds between two looks at what the root file system holds
# File systems of their own with a size: there, a full disk is the ordinary error.
SIZED = {"/testbed": "0755", "/tmp": "1777", "/var/tmp": "1777"}
MASKED_TOO = "asound latency_stats timer_stats interrupts".split()


def settings(
    name: str, image: str, control: Path, limits: Limits, port: int | None, *, seeded: bool, podman: bool
) -> dict[str, Any]:
    """What the container is made with, as the Engine API takes it."""
    memory, disk = parse_size(limits.memory), disk_size(limits)
    agent = ["agent", "--connect", CONTROL]
    agent += ["--port", str(port)] if port is not None else []
    agent += ["--seed", "yes"] if seeded else []
    sized = f"exec,nosuid,nodev,size={disk}"
    if not podman:
        sized += f",nr_inodes={min(1 << 20, max(16384, disk // 8192))}"
    ulimits = {"core": 1, "nofile": OPEN_FILES}  # not 0, see agent.c
    if podman:  # it would raise this one, which not every root may
        ulimits["nproc"] = 4096
    return {
        "Image": image,
        "Entrypoint": [PROGRAM],
        "Cmd": agent,
        "User": "0:0",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "Labels": {"workroom.name": name, "workroom.owner": str(os.getuid())},
        "HostConfig": {
            "AutoRemove": True,
            "CapAdd": [*CAPABILITIES, "SETPCAP"],  # the agent drops the last one
            "CapDrop": ["ALL"],
            "Init": False,
            "CgroupnsMode": "private",
            "IpcMode": "private",
            "LogConfig": {"Type": "none"},
            "MaskedPaths": ["/sys", *(f"/proc/{file}" for file in (*MASKED, *HIDDEN, *MASKED_TOO))],
            "Memory": memory,
            "MemorySwap": memory,
            "Mounts": [
                {"Type": "bind", "Source": str(staged_binary().resolve()), "Target": PROGRAM, "ReadOnly": True},
                {"Type": "bind", "Source": str(control), "Target": CONTROL, "ReadOnly": True},
            ],
            "NanoCpus": int((limits.cpus or 0) * 1e9),
            "NetworkMode": "none",
            "OomScoreAdj": 500,  # where the whole host runs out of memory, its sandboxes go first
            "PidsLimit": limits.pids,
            "ReadonlyPaths": ["/proc"],
            "RestartPolicy": {"Name": "no"},
            "SecurityOpt": ["no-new-privileges"],
            "ShmSize": min(256 << 20, memory // 8),
            "Tmpfs": {path: f"{sized},mode={mode}" for path, mode in SIZED.items()},
            "Ulimits": [{"Name": name, "Soft": value, "Hard": value} for name, value in ulimits.items()],
        },
    }


def is_podman(version: dict[str, Any]) -> bool:
    """Whether the daemon is Podman's service, which differs in details."""
    return any(part["Name"] == "Podman Engine" for part in version.get("Components") or ())


def facts(limits: Limits, pid: int, version: dict[str, Any]) -> GuestFacts:
    """What the started container really has; `version` is the daemon's own answer."""
    memory, disk = parse_size(limits.memory), disk_size(limits)
    cgroup = ForeignCgroup(pid)
    by = f"cgroup v{cgroup.version} of the container"

    def enforced(controller: str, wanted: int) -> str:
        if controller not in cgroup.controllers:
            return "asked of the daemon; cannot be seen from here"
        return by if cgroup.bounds(controller) == wanted else "not enforced: the daemon did not set this limit"

    runtime = {part["Name"]: part["Version"] for part in version.get("Components") or ()}
    return GuestFacts(
        limits={
            "memory": memory,
            "pids": limits.pids,
            "disk": disk,
            "cpus": limits.cpus,
            "command_timeout": limits.command_timeout,
            "output": parse_size(limits.output),
        },
        enforcement={
            "memory": enforced("memory", memory),
            "pids": enforced("pids", limits.pids),
            "cpus": "no limit asked for" if limits.cpus is None else "CPU quota of the container",
            "disk": f"tmpfs size for each of {', '.join(SIZED)}"
            + (", lowered to fit into memory" if disk < parse_size(limits.disk) else "")
            + f"; elsewhere best effort: looked at every {WATCH_PERIOD} s, above the limit all processes are ended, "
            "and the sandbox where it grows on to twice of it; number of files: "
            + ("by memory only" if is_podman(version) else "bounded in the tmpfs only"),
            "time": "agent in the sandbox, watched from outside",
            "network": "network namespace",
            "users": _user(pid),
        },
        versions={"podman" if is_podman(version) else "docker": version["Version"], "kernel": os.uname().release}
        | {name: runtime[name] for name in ("runc", "crun", "containerd") if name in runtime},
    )


def _user(pid: int) -> str:
    """Who root inside is on this host."""
    try:
        first = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    except (OSError, IndexError):
        return "cannot be seen from here"
    if first:
        return f"user namespace: root inside is user {first} outside"
    return (
        "not enforced: root inside is root of the host, held by capabilities, system-call filter and namespaces only; "
        "start Docker's daemon with --userns-remap=default, Podman's as an ordinary user"
    )


def disk_size(limits: Limits) -> int:
    """Bytes of disk: in memory, so that they must fill up before the memory limit ends the processes instead."""
    return min(parse_size(limits.disk), parse_size(limits.memory) * 3 // 4)
