"""What a sandbox is made of, as plain data: limits, specification, results."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from workroom.errors import ConfigError

WORKING_DIR = "/testbed"
DOCUMENTS_DIR = "/testbed/documents"
OUTPUT_DIR = "/testbed/output"
ANSWER_FILE = "/testbed/answer.txt"
ANSWER_LIMIT = 1 << 20  # bytes
STATE_DIR = "/var/lib/workroom"  # inside: shell state and the full text of long outputs

LimitName = Literal["memory", "processes", "disk"]

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str | int) -> int:
    """Bytes of a size such as `512m`, `4g`, `1.5G` or a plain number of bytes; units are powers of 1024."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text)
    if match is None or (size := int(float(match[1]) * _UNITS[match[2].lower()])) <= 0:
        raise ConfigError(f"{text!r} is no size: write a positive number with k, m, g or t, for example 4g")
    return size


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one sandbox. Sizes in bytes or text (`4g`), times in seconds, `cpus` in cores (None: no bound)."""

    memory: str | int = "4g"
    pids: int = 512
    disk: str | int = "4g"
    cpus: float | None = None
    command_timeout: float = 120.0
    output: str | int = "10m"


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command did. `exit_code` is 128 + n where signal n ended it. Output is what was kept, see `truncated`.

    `limits_hit` names what ran out while it ran: a process was ended for lack of memory, the start of one was refused,
    or the disk was full at its end. `duration` in seconds, measured inside the sandbox's agent;
    `cpu_time` in seconds of all that the command started and waited for: far less than `duration` in a command that
    timed out may mean that the host was busy. `left_running`: processes run on in the sandbox, of this command or an
    earlier one. `waited_for_input`: when it timed out, one of its processes was reading from a terminal.
    """

    exit_code: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    timed_out: bool = False
    truncated: bool = False
    limits_hit: tuple[LimitName, ...] = ()
    duration: float = 0.0
    cpu_time: float = 0.0
    left_running: bool = False
    waited_for_input: bool = False

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that was brought out. `path` is relative to the downloaded directory."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SandboxFacts:
    """What this sandbox is and what its host really enforces; goes into `run.json`."""

    backend: str
    image: str
    network: str
    limits: dict[str, Any] = field(default_factory=dict)
    enforcement: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
