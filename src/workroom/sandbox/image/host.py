"""The fallback without an image of ours: a small skeleton with the host's own /usr mounted into it, read-only."""

import contextlib
import hashlib
import json
import shutil
import time
import uuid
from pathlib import Path

from workroom.sandbox.image import manifest, registries, store
from workroom.sandbox.image.configure import configure, put
from workroom.sandbox.image.manifest import Manifest
from workroom.sandbox.image.recipe import files_digest
from workroom.sandbox.image.store import HOST, Image

_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, or directories on older systems
# Of /etc, what programs of /usr look up; nothing that tells of this host's users, network or services.
_COPIED = (
    "alternatives", "debian_version", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "os-release",
    "protocols", "python3", "python3.*", "services", "ssl/openssl.cnf",
)  # fmt: skip
_WRITTEN = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
}


def host_image(reason: str, etc: Path = Path("/etc")) -> Image:
    """The skeleton, made when it is missing or the host's /etc changed. `reason`: why no built image is used."""
    key = _key(etc)
    image = store.find(HOST)
    if image is None or Manifest.load(image.root.parent).recipe != key:
        with store.locked(HOST, lambda _: None):
            image = _make(key, etc)
    notice = (
        f"using this host's own /usr as the image ({reason}): its programs are whatever is installed here, and /usr "
        f"can be read in the sandbox; `workroom sandbox build` makes the real image"
    )
    real = [(Path("/") / name, f"/{name}", True) for name in _TOP if _is_real_directory(Path("/") / name)]
    return Image(HOST, image.root, image.digest, True, notice, ((Path("/usr"), "/usr", True), *real), image.size)


def _make(key: str, etc: Path) -> Image:
    stage = store.store_dir() / ".work" / f"{HOST}-{uuid.uuid4().hex}"
    root = stage / "root"
    root.mkdir(parents=True)
    try:
        for name in ("usr", "opt", "srv", "var/lib", "var/log", "var/cache", "etc/ssl/certs"):
            (root / name).mkdir(parents=True)
        for name in _TOP:
            there = Path("/") / name
            if there.is_symlink():
                (root / name).symlink_to(there.readlink())
            elif there.is_dir():
                (root / name).mkdir()
        for pattern in _COPIED:
            for path in etc.glob(pattern):
                _copy(path, root / "etc" / path.relative_to(etc))
        for name, text in _WRITTEN.items():
            put(root, name, text.encode())
        configure(root, programs=False)
        count = manifest.seal(stage)
        digest = manifest.digest_of(key, stage / "files.jsonl")
        size = manifest.disk_usage(root)
        Manifest(digest, key, HOST, manifest.owner(), count, size, time.time(), {}, {}).save(stage)
        return store.publish(stage, HOST, digest)
    finally:
        if stage.exists():
            store.throw_away(stage)


def _copy(source: Path, target: Path) -> None:
    """Copies a file or tree; links stay links where they lead into /usr or to a neighbour, what is private is left."""
    with contextlib.suppress(PermissionError):
        if source.is_symlink() and source.is_file() and source.name == "os-release":
            shutil.copyfile(source, target)
        elif source.is_dir() and not source.is_symlink():
            target.mkdir()
            for path in source.iterdir():
                _copy(path, target / path.name)
        elif source.is_symlink() or source.stat().st_mode & 0o004:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _key(etc: Path) -> str:
    """Changes when the skeleton would."""
    facts = [files_digest(), json.dumps(registries.npm_settings())]
    bundle = registries.ca_bundle()
    paths = [path for pattern in _COPIED for path in sorted(etc.glob(pattern))] + ([bundle] if bundle else [])
    for path in paths:
        with contextlib.suppress(OSError):
            facts.append(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _is_real_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
