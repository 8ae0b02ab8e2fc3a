"""The client's side of a local server: attach to the running one, or start it through its keeper."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError, ModelError
from workroom.models.local.catalog import PREFIX, LocalEntry
from workroom.models.local.paths import Cancelled, Progress, cache_dir, locked, run_dir, try_lock

# What the keeper and the server need of the environment. Keys of model providers are not among it.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
_GPU = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_PROMPT_CACHE_MIB = 1024
_NO_NAME = re.compile(r"[^\w.-]+")  # what is no part of the name of a state folder
_LONGEST_NAME = 60


@dataclass(slots=True)
class Lease:
    """The right to use a running server for one call: it does not stop for idleness before `release`."""

    url: str
    key: str
    descriptor: int

    def release(self) -> None:
        """Gives the right back and notes the time. Safe to call twice."""
        if self.descriptor >= 0:
            os.utime(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs. `parallel`: requests worked on at a time; `idle`: seconds without a call until it stops."""

    parallel: int
    idle: float
    threads: int

    @staticmethod
    def of_environment(environment: Mapping[str, str] = os.environ) -> "Settings":
        """Reads `WORKROOM_LOCAL_PARALLEL`, `WORKROOM_LOCAL_IDLE` and `WORKROOM_LOCAL_THREADS`."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Settings(
            parallel=int(_number(environment, "WORKROOM_LOCAL_PARALLEL", 1)),
            idle=_number(environment, "WORKROOM_LOCAL_IDLE", 300),
            threads=int(_number(environment, "WORKROOM_LOCAL_THREADS", cores)),
        )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value >= 1:
        raise ConfigError(f"{name} must be a number of at least 1, not {text!r}.")
    return value


def command_of(entry: LocalEntry, settings: Settings, binary: Path, weights: Path) -> list[str]:
    """The command line of the server, without address and key."""
    threads = str(settings.threads)
    template = entry.template_file
    return [
        *(str(binary), "--model", str(weights), "--alias", entry.full_name),
        *("--ctx-size", str(entry.context * settings.parallel), "--parallel", str(settings.parallel)),
        *("--threads", threads, "--threads-batch", threads, "--cache-ram", str(_PROMPT_CACHE_MIB)),
        *("--jinja", *(("--chat-template-file", str(template)) if template else ()), "--no-webui", "--offline"),
    ]


def state_folder(entry: LocalEntry, command: list[str]) -> Path:
    """The state folder of the server with this very command, so that other versions and settings get their own."""
    template = entry.template_file
    parts = [*command, template.read_text("utf-8") if template else ""]
    if entry.file is not None:
        parts.append(entry.sha256)  # a file that has changed under its name is another model
    name = _NO_NAME.sub("-", entry.name)[-_LONGEST_NAME:].strip("-.") or "model"
    folder = run_dir() / f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def attach(folder: Path) -> Lease | None:
    """A lease on the server of a state folder, or None where none is running or it is about to end."""
    descriptor = os.open(folder / "clients.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    facts = _facts(folder) if try_lock(descriptor, fcntl.LOCK_SH) else None
    if facts is None:
        os.close(descriptor)
        return None
    os.utime(descriptor)
    return Lease(facts["url"], facts["key"], descriptor)


def start(
    entry: LocalEntry, settings: Settings, command: list[str], progress: Progress, cancelled: Callable[[], bool]
) -> Lease:
    """Attaches to the server, after starting it where it does not run; waits until it answers.

    Raises `ModelError` when it does not start; the message names the log.
    """
    folder = state_folder(entry, command)
    log = cache_dir() / "logs" / f"{folder.name}.log"
    waiting = f"{entry.full_name}: another process is starting the server; waiting"
    with locked(folder / "start.lock", lambda: progress(waiting), cancelled):
        told = False
        while (lease := attach(folder)) is None and _keeper_lives(folder):
            # It is still loading the model for somebody who gave up, or just ending.
            if cancelled():
                raise Cancelled
            if not told:
                progress(waiting)
                told = True
            time.sleep(0.1)
        if lease is not None:
            return lease
        (folder / "server.json").unlink(missing_ok=True)  # of a keeper that was killed
        progress(f"{entry.full_name}: starting the server")
        began = time.monotonic()
        error = _start_keeper(
            {
                "name": entry.full_name,
                "folder": str(folder),
                "command": command,
                "log": str(log),
                "idle": settings.idle,
            },
            cancelled,
        )
        lease = None if error else attach(folder)
        if lease is None:
            raise ModelError(
                f"{entry.full_name} could not be started: {error or 'its server ended at once'}; log: {log}"
            )
        progress(f"{entry.full_name}: ready after {time.monotonic() - began:.1f} s")
        return lease


def _start_keeper(specification: dict[str, Any], cancelled: Callable[[], bool]) -> str | None:
    """Starts a keeper and waits until its server answers. Returns what went wrong, or None."""
    log = Path(specification["log"])
    log.parent.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    environment = {name: value for name, value in os.environ.items() if name in (*_ENVIRONMENT, *_GPU)}
    environment.setdefault("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    with os.fdopen(reading, "rb") as ready:
        try:
            with log.open("wb") as output:
                keeper = subprocess.Popen(
                    [sys.executable, "-m", "workroom.models.local.keeper"],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    pass_fds=(writing,),
                    start_new_session=True,
                    cwd="/",
                    env=environment,
                )
        finally:
            os.close(writing)
        keeper.communicate(json.dumps({**specification, "ready": writing}).encode())
        while not select.select([ready], [], [], 0.2)[0]:
            if cancelled():
                raise Cancelled
        answer = ready.read()
    if not answer:
        return "its keeper died"
    error = json.loads(answer).get("error")
    return str(error) if error else None


def _keeper_lives(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _facts(folder: Path) -> dict[str, Any] | None:
    """What the keeper of this folder has published, or None where no keeper lives or its server is not ready."""
    if not _keeper_lives(folder):
        return None  # what may be written there is of a dead one
    try:
        facts: dict[str, Any] = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return facts


def running() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every running local server of this user: the full name of its model, and what its keeper published."""
    for folder in sorted(run_dir().iterdir()):
        if facts := _facts(folder):
            yield facts.get("name") or PREFIX + folder.name.rpartition("-")[0], facts


def stop(timeout: float = 10.0) -> int:
    """Stops every running local server of this user and returns how many there were. `timeout`: seconds to wait."""
    keepers = [facts["keeper"] for _, facts in running()]
    for keeper in keepers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and any(True for _ in running()):
        time.sleep(0.05)
    return len(keepers)
