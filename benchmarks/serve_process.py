"""`workroom serve` as a process of its own, and what it holds of the machine, looked at from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.bench_process import SMALL
from workroom.sandbox.ledger import entries, state_dir

_PAGE = os.sysconf("SC_PAGE_SIZE")
_START = 120  # seconds that the server may take to start, and to stop
_READY = "workroom serve: http"
_WARM = 0.4  # the share of the time in which the load is still coming up, and that does not count
SLACK = {"processes": 8, "memory": 8 << 20, "files": 16, "sandboxes": 4, "directories": 32}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server holds at one moment: processes with all below it, bytes of memory of its own process, its open
    files, its sandboxes, and the directories below its state directory and where sandboxes are written down."""

    processes: int
    memory: int
    files: int
    sandboxes: int
    directories: int


class ServerProcess:
    """A server in `folder`, that plays the script and can work on `level` requests at once."""

    def __init__(self, folder: Path, script: Path, level: int) -> None:
        self._folder = folder
        self._flags = [
            "-m", f"scripted/{script}", "--port", "0", "--state", str(folder / "state"), "--network", "none",
            "--concurrency", str(level), "--queue", str(level), *SMALL,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "workroom", "serve", *self._flags]
        environment = {name: value for name, value in os.environ.items() if name != "WORKROOM_API_KEY"}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, env=environment)
        end = time.monotonic() + _START
        while not self.url:
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {self.log.read_text()}")
            time.sleep(0.05)
            line = next((line for line in self.log.read_text().splitlines() if line.startswith(_READY)), "")
            self.url = line.split()[2] if line else ""
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> Path:
        """All that it says, a line of JSON for each request among it."""
        return self._folder / "serve.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def sandboxes(self) -> int:
        """How many of its are written down, also when it has ended."""
        return sum(entry.pid == self.pid for entry in entries())

    def stop(self) -> int:
        """Ends it as a service manager would; gives the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_START)

    def sample(self) -> Sample:
        """What it holds now."""
        folders = (self._folder / "state", state_dir())
        return Sample(
            processes=len(descendants(self.pid)) + 1,
            memory=int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE,
            files=len(list(Path(f"/proc/{self.pid}/fd").iterdir())),
            sandboxes=self.sandboxes,
            directories=sum(len(names) for folder in folders for _, names, _ in os.walk(folder)),
        )


def flatness(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """For each figure the medians of the early and the late third of the time after the load has come up, and whether
    the late one is at most a twentieth (and some slack for what comes and goes) above the early one."""
    counted = samples[int(len(samples) * _WARM) :]
    third = max(len(counted) // 3, 1)
    found = {}
    for field in fields(Sample):
        early, late = (
            median(getattr(sample, field.name) for sample in some) for some in (counted[:third], counted[-third:])
        )
        most = max(getattr(sample, field.name) for sample in samples)
        flat = late <= early * 1.05 + SLACK[field.name]
        found[field.name] = {"early": early, "late": late, "most": most, "flat": flat}
    return found


def descendants(pid: int) -> list[int]:
    """All processes below one, those that end meanwhile left out."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    children = [int(word) for text in texts for word in text.split()]
    return [*children, *(below for child in children for below in descendants(child))]
