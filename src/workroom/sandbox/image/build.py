"""Builds an image, step by step; what a killed build has finished is not done again."""

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from workroom.errors import SandboxUnavailable
from workroom.sandbox.image import manifest, registries, store
from workroom.sandbox.image.bootstrap import bootstrap_command, check_host
from workroom.sandbox.image.configure import clean, configure, configure_apt, make_places, remove
from workroom.sandbox.image.host import host_image
from workroom.sandbox.image.manifest import Manifest
from workroom.sandbox.image.recipe import Recipe, load_recipe
from workroom.sandbox.image.store import DEFAULT, HOST, Image, Progress

_HEARTBEAT = 10.0  # seconds between signs of life of a step
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WHEELS = "tmp/wheels"
_EPOCH = 1_600_000_000
# In namespaces of its own: no network, no process of the host, one user id. /proc may be refused inside containers.
_ENTER = (
    "mount --no-canonicalize --rbind /dev dev && "
    '{ mount --no-canonicalize -t proc proc proc 2>/dev/null || true; } && exec chroot . "$@"'
)


def build_image(name: str | None = None, *, progress: Progress | None = None, force: bool = False) -> Image:
    """The image of that recipe, built unless it is there and up to date; `force` builds it in any case.

    Raises ConfigError (no such recipe) and SandboxUnavailable (a piece is missing on this host, or a step failed).
    """
    told = progress or _silent
    if name == HOST:
        return host_image("it was asked for")
    recipe = load_recipe(store.check_name(name or DEFAULT))
    with store.locked(recipe.name, told) as waited:
        there = store.find(recipe.name)
        current = there is not None and Manifest.load(there.root.parent).recipe == recipe.digest
        if there is not None and current and (waited or not force):
            return there
        store.sweep()
        return _Build(recipe, told).run()


class _Build:
    """One build in `.work/`, with what its steps share."""

    def __init__(self, recipe: Recipe, progress: Progress) -> None:
        self.recipe = recipe
        self.progress = progress
        self.work = store.store_dir() / ".work" / f"{recipe.name}-{recipe.digest[:16]}"
        self.root = self.work / "stage" / "root"
        self.log = self.work / "build.log"
        self.label = ""
        self.sources = registries.apt_sources(recipe.suite)

    def run(self) -> Image:
        started = time.monotonic()
        check_host()
        steps = self._steps()
        self._prepare()
        for number, (title, key, action) in enumerate(steps, 1):
            self.label = f"image {self.recipe.name}: step {number} of {len(steps)}, {title}"
            done = self.work / "done" / key
            if done.exists():
                self.progress(f"{self.label}: done before")
                continue
            self.progress(f"{self.label} ...")
            begun = time.monotonic()
            result = action()
            done.touch()
            self.progress(f"{self.label}: {time.monotonic() - begun:.0f} s{result and ', ' + result}")
        image = store.publish(self.work / "stage", self.recipe.name, Manifest.load(self.work / "stage").digest)
        store.throw_away(self.work)
        store.sweep()
        files = Manifest.load(image.root.parent).files
        self.progress(
            f"image {image.name}: ready, {image.size / 1e6:.0f} MB in {files} files, {time.monotonic() - started:.0f} s"
        )
        return image

    def _steps(self) -> list[tuple[str, str, Callable[[], str]]]:
        python: list[tuple[str, str, Callable[[], str]]] = [
            ("Python packages, download", "wheels", self._download),
            ("Python packages, installation", "python", self._install),
        ]
        return [
            ("Debian packages", "base", self._bootstrap),
            *python[: 1 if self.recipe.requirements else 0],
            ("root file system", "unpack", self._unpack),
            *python[1 if self.recipe.requirements else 2 :],
            ("configuration", "configure", self._configure),
            ("check of the programs", "verify", self._verify),
            ("manifest", "seal", self._seal),
        ]

    def _prepare(self) -> None:
        """Makes the working directory, and throws away what builds of older recipes and dead processes left."""
        for path in self.work.parent.glob(f"{self.recipe.name}-*"):
            if path != self.work:
                store.throw_away(path)
        for path in [self.work / "tmp", *self.work.glob("*.part")]:
            store.throw_away(path)
        for name in ("done", "stage", "tmp", "wheels"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        self.work.chmod(0o700 if os.getuid() == 0 else 0o711)  # the log may name what an archive refused
        self.log.touch(mode=0o600)

    def _bootstrap(self) -> str:
        part = self.work / f"base-{os.getpid()}.part"  # the mmdebstrap of a killed build may still write its own
        stanzas = "\n".join(source.stanza() for source in self.sources)
        command, environment = bootstrap_command(self.recipe, part, self.work / "tmp", from_stdin=bool(stanzas))
        # An ordinary user's mmdebstrap has to be asked: only it can delete what belongs to the subordinate ids.
        stop = signal.SIGKILL if os.getuid() == 0 else signal.SIGTERM
        with _text_file(stanzas) as stdin:
            self._call(command, stdin=stdin, env=environment, stop=stop)
        part.replace(self.work / "base.tar")
        return _megabytes((self.work / "base.tar").stat().st_size)

    def _download(self) -> str:
        pip = registries.find_pip()
        if pip is None:
            raise SandboxUnavailable("the image needs pip on this host to be built: run `python -m ensurepip`")
        machine = platform.machine()
        platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1))]
        self._call(
            [
                *pip, "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
                "--implementation=cp", f"--python-version={self.recipe.python}",
                *(f"--platform={name}" for name in platforms),
                f"--dest={self.work / 'wheels'}", f"--requirement={self.recipe.requirements}",
            ],
            env=os.environ | {"PIP_REQUIRE_VIRTUALENV": "0"},
        )  # fmt: skip
        return _megabytes(sum(path.stat().st_size for path in (self.work / "wheels").iterdir()))

    def _unpack(self) -> str:
        store.throw_away(self.root)
        self.root.mkdir()
        self.root.chmod(0o755)
        if os.getuid() == 0:
            os.chown(self.root, manifest.SANDBOX_UID, manifest.SANDBOX_UID)
        with (self.work / "base.tar").open("rb") as archive:
            tar = (
                "tar --extract --preserve-permissions --no-same-owner --delay-directory-restore --exclude=./dev/* -f -"
            )
            self._call([*_as_owner(), *tar.split()], stdin=archive, cwd=self.root)
        return ""

    def _install(self) -> str:
        if self.recipe.requirements is None:
            return ""
        remove(self.root, "usr/local/lib/python3*/dist-packages/*")  # half of an installation
        remove(self.root, _WHEELS)
        (self.root / _WHEELS).mkdir(parents=True)
        for wheel in (self.work / "wheels").iterdir():
            wheel.chmod(0o644)
            (self.root / _WHEELS / wheel.name).hardlink_to(wheel)
        shutil.copyfile(self.recipe.requirements, self.root / _WHEELS / "requirements.txt")
        self._inside(
            f"pip install --quiet --no-index --no-deps --no-compile --break-system-packages --root-user-action=ignore "
            f"--find-links=/{_WHEELS} --require-hashes --requirement=/{_WHEELS}/requirements.txt"
        )
        remove(self.root, _WHEELS)
        return ""

    def _configure(self) -> str:
        for pattern in self.recipe.prune:
            remove(self.root, pattern)
        configure(self.root)
        configure_apt(self.root, self.sources)
        if self.recipe.requirements is not None:
            for path in self.root.glob("usr/local/lib/python3*/dist-packages/**/*.py"):
                os.utime(path, (_EPOCH, _EPOCH))  # byte code bears the time of its source: the same in every build
            # Compiled now, or every sandbox would do it again. A few templates of other languages do not compile.
            self._inside("python3 -m compileall -q -j 2 /usr/local/lib/python3*/dist-packages >/dev/null || true")
        return ""

    def _verify(self) -> str:
        for command in (*self.recipe.warm, *self.recipe.verify):
            self._inside(command)
        clean(self.root)
        make_places(self.root)
        return ""

    def _seal(self) -> str:
        place = self.work / "stage"
        count = manifest.seal(place)
        size = manifest.disk_usage(self.root)
        Manifest(
            digest=manifest.digest_of(self.recipe.digest, place / "files.jsonl"),
            recipe=self.recipe.digest,
            name=self.recipe.name,
            owner=manifest.owner(),
            files=count,
            size=size,
            created=time.time(),
            packages=_debian_packages(self.root),
            python=_python_packages(self.root),
        ).save(place)
        if wrong := manifest.problems(place, full=False, address=False):
            raise SandboxUnavailable(f"the new image differs from its manifest ({wrong[0]}): build it again")
        return f"{_megabytes(size)} on disk, {count} files"

    def _inside(self, command: str) -> None:
        """Runs a shell command in the root file system, as its "root" without any right outside."""
        flags = "--user --map-root-user --mount --pid --fork --kill-child --net --ipc --uts"
        environment = {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
        words = ["unshare", *flags.split(), "sh", "-c", _ENTER, "sh", "/bin/sh", "-c", command]
        self._call([*_as_owner(), *words], cwd=self.root, env=environment, stop=signal.SIGKILL)

    def _call(
        self,
        command: Sequence[str],
        *,
        stdin: IO[bytes] | None = None,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Runs a program with its output in the log. It ends with us, by `stop`, also when we are killed."""
        begun = time.monotonic()
        with self.log.open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(
                ["setpriv", f"--pdeathsig={stop.name.removeprefix('SIG')}", *command],
                stdin=stdin or subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd, env=env,
            )  # fmt: skip
            try:
                while process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_HEARTBEAT)
                    if process.returncode is None:
                        self.progress(f"{self.label}: {time.monotonic() - begun:.0f} s ...")
            finally:
                if process.poll() is None:
                    process.send_signal(stop)
                    process.wait()
        if process.returncode != 0:
            raise SandboxUnavailable(f"{self.label} failed: {_reason(self.log, start)}; the log is {self.log}")


def _as_owner() -> list[str]:
    ids = f"--reuid={manifest.SANDBOX_UID} --regid={manifest.SANDBOX_UID} --clear-groups"
    return ["setpriv", *ids.split(), "--pdeathsig=KILL"] if os.getuid() == 0 else []


def _silent(_: str) -> None:
    """Nobody listens."""


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


@contextlib.contextmanager
def _text_file(text: str) -> Iterator[IO[bytes] | None]:
    """Text as the standard input of a process, from memory: it may hold credentials."""
    if not text:
        yield None
        return
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(text.encode())
        file.seek(0)
        yield file


def _reason(log: Path, start: int) -> str:
    """The line of a log that tells most: the first that says error, else the last."""
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(?i)(e:|err|error|.*\berror:)", line)] or lines[-1:]
    return registries.without_credentials(telling[0])[:300] if telling else "it said nothing"


def _debian_packages(root: Path) -> dict[str, str]:
    status = (root / "var/lib/dpkg/status").read_text("utf-8", "replace")
    return dict(re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", status, re.MULTILINE | re.DOTALL))


def _python_packages(root: Path) -> dict[str, str]:
    infos = sorted(root.glob("usr/local/lib/python3*/dist-packages/*.dist-info"))
    return dict(info.name.removesuffix(".dist-info").split("-", 1) for info in infos)
