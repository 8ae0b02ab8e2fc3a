"""The command that makes the Debian base: mmdebstrap, as root or as an ordinary user with subordinate ids."""

import contextlib
import getpass
import os
import pwd
import shutil
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.image import registries
from workroom.sandbox.image.recipe import Recipe

_EXCLUDED = ("doc", "info", "lintian", "locale", "man")


def check_host() -> None:
    """Raises SandboxUnavailable where this host lacks what the first step needs."""
    if shutil.which("mmdebstrap") is None:
        sudo = "" if os.getuid() == 0 else "sudo "
        raise SandboxUnavailable(
            f"mmdebstrap is missing, which makes the image: install it with `{sudo}apt-get install mmdebstrap`"
        )
    if os.getuid() != 0 and not has_subordinate_ids():
        user = getpass.getuser()
        raise SandboxUnavailable(
            f"user {user} has no subordinate ids, which an ordinary user needs to build the image: run `sudo apt-get "
            f"install uidmap` and `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
        )


def has_subordinate_ids(etc: Path = Path("/etc")) -> bool:
    """Whether this user may map a range of ids (`newuidmap` and entries in /etc/subuid and /etc/subgid)."""
    names = {str(os.getuid())}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    for name in ("subuid", "subgid"):
        try:
            owners = {line.split(":")[0] for line in (etc / name).read_text().splitlines()}
        except OSError:
            return False
        if not owners & names:
            return False
    return shutil.which("newuidmap") is not None


def bootstrap_command(recipe: Recipe, target: Path, tmp: Path, *, from_stdin: bool) -> tuple[list[str], dict[str, str]]:
    """The command that writes the base as a tar archive to `target`, and its environment.

    With `from_stdin` the archives come as deb822 text on its standard input, else mmdebstrap takes its own default.
    """
    options = [f'{key} "{value}"' for key, value in registries.apt_options().items()]
    dpkg = ["force-unsafe-io", *(f"path-exclude=/usr/share/{name}/*" for name in _EXCLUDED)]
    # What the host's archives need (credentials, proxies) is for the build alone and must not stay in the result.
    scrub = 'rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap'
    if from_stdin:
        scrub += ' "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*'
    command = [
        "mmdebstrap", "--variant=minbase", "--format=tar", f"--mode={'root' if os.getuid() == 0 else 'unshare'}",
        f"--include={','.join(recipe.packages)}",
        *(f"--aptopt={option}" for option in options),
        *(f"--dpkgopt={option}" for option in [*dpkg, "path-include=/usr/share/doc/*/copyright"]),
        f"--customize-hook={scrub}",
        "--customize-hook=echo debconf debconf/frontend select Noninteractive | chroot \"$1\" debconf-set-selections",
        recipe.suite, str(target), *["-"] * from_stdin,
    ]  # fmt: skip
    kept = ("HOME", "LOGNAME", "PATH", "TMPDIR", "USER", "http_proxy", "https_proxy", "no_proxy")
    environment = {key: os.environ[key] for key in kept if key in os.environ} | {"LC_ALL": "C.UTF-8"}
    if os.getuid() == 0:
        # What it mounts into the new root must end with it, however it ends: else the mounts stay on this host.
        command = ["unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child", *command]
        environment["TMPDIR"] = str(tmp)  # an ordinary user's must be open to the subordinate ids, so /tmp as usual
    return command, environment
