"""The configuration that every image gets: our files, this host's registries without credentials, our directories."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.base import DOCUMENTS_DIR, OUTPUT_DIR, STATE_DIR
from workroom.sandbox.image import registries
from workroom.sandbox.image.recipe import FILES
from workroom.sandbox.image.registries import AptSource

INIT = "run/init"  # where the backends mount the program that runs in the sandbox
_LEFT_BY_MMDEBSTRAP = ("etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap")
_TRACES = (
    "var/log",
    "var/cache/apt",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
)  # what lies below is only of the build
_EMPTY = ("tmp", "var/tmp", "dev", "proc", "sys", "run", "root/.cache/pip")


def put(root: Path, name: str, data: bytes, mode: int = 0o644) -> None:
    """Writes a file below `root`, never through a link: a link in an image means a place in the image, not here."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise SandboxUnavailable(f"/{name} of the image would be written outside of it, through a link")
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    path.chmod(mode)


def configure(root: Path, *, programs: bool = True) -> None:
    """Writes all of it; without `programs` nothing below /usr. May be repeated."""
    for name in _LEFT_BY_MMDEBSTRAP:
        (root / name).unlink(missing_ok=True)
    for path in sorted(FILES.rglob("*")):
        name = str(path.relative_to(FILES))
        if path.is_file() and (programs or not name.startswith("usr/")):
            put(root, name, path.read_bytes(), 0o755 if "bin/" in name else 0o644)
    put(root, "etc/pip.conf", pip_conf(registries.pip_settings()).encode())
    put(root, "root/.npmrc", npmrc(as_seen_inside("npm", registries.npm_registries())).encode())
    if (bundle := registries.ca_bundle()) is not None:
        put(root, registries.CA_BUNDLE[1:], bundle.read_bytes())
    make_places(root)


def make_places(root: Path) -> None:
    """Makes the directories of the contract and the empty places that the backends mount something on."""
    for name in (DOCUMENTS_DIR, OUTPUT_DIR, STATE_DIR, "/proc", "/sys", "/dev", "/run/lock", "/root", "/home", "/mnt"):
        (root / name[1:]).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777)
    put(root, INIT, b"", 0o755)


def configure_apt(root: Path, sources: list[AptSource]) -> None:
    """Gives the image the host's archives, and the keys they are signed with where Debian's own do not do."""
    if sources:
        for path in [root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").glob("*")]:
            path.unlink(missing_ok=True)
        uris = as_seen_inside("apt", {source.uri: source.uri for source in sources})
        text = "\n".join(replace(source, uri=uris[source.uri]).stanza() for source in sources)
        put(root, "etc/apt/sources.list.d/host.sources", text.encode())
    for key in {source.signed_by for source in sources if source.signed_by.startswith("/")}:
        if not (root / key[1:]).exists() and Path(key).is_file():
            put(root, key[1:], Path(key).read_bytes())
    options = [(key, value) for key, value in registries.apt_options().items() if "::Check-" in key]
    put(root, "etc/apt/apt.conf.d/61host", "".join(f'{key} "{value}";\n' for key, value in options).encode())


def as_seen_inside(client: str, urls: dict[str, str]) -> dict[str, str]:
    """Registry URLs without credentials; where HTTPS needs some, in the form in which the proxy adds them."""
    from workroom.sandbox.egress.credentials import credentials, inside_url

    return {key: inside_url(url, credentials([(client, url)])) for key, url in urls.items()}


def clean(root: Path) -> None:
    """Removes logs, caches, temporary files and whatever lies at the mount points."""
    for name in _TRACES:
        for path in (root / name).rglob("*"):
            if path.is_symlink() or path.is_file():
                path.unlink()
    for pattern in (*(f"{name}/*" for name in _EMPTY), "var/cache/debconf/*-old", "var/lib/dpkg/*-old", "etc/*-"):
        remove(root, pattern)


def remove(root: Path, pattern: str) -> None:
    """Removes files and trees below `root` that match."""
    for path in list(root.glob(pattern)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def pip_conf(settings: dict[str, list[str]]) -> str:
    """pip's configuration inside: installs into the system, trusts the host's bundle, asks the host's indexes."""
    fixed = {
        "break-system-packages": "true",
        "root-user-action": "ignore",
        "disable-pip-version-check": "true",
        "cert": registries.CA_BUNDLE,
    }
    lines = [f"{key} = {value}" for key, value in fixed.items()]
    lines += [f"{key} =\n    " + "\n    ".join(words) for key, words in settings.items()]
    return "[global]\n" + "\n".join(lines) + "\n"


def npmrc(settings: dict[str, str]) -> str:
    """npm's configuration inside."""
    fixed = {"cafile": registries.CA_BUNDLE, "audit": "false", "fund": "false", "update-notifier": "false"}
    return "".join(f"{key}={value}\n" for key, value in (fixed | settings).items())
