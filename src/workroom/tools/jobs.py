"""Jobs: commands that go on after the call that started them, and what else runs on in a sandbox.

The programs behind it are in `sandbox/guest/job.c` and `keeper.c`. All that is known of a job lies in the sandbox.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from workroom.sandbox.base import STATE_DIR, ExecResult, parse_size
from workroom.sandbox.guest import PROGRAM
from workroom.tools.arguments import shorten
from workroom.tools.truncate import readable

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox

Kind = Literal["look", "input", "end", "interrupt"]

_GRACE = 10.0  # seconds that a call may take longer than it waits
_LONGEST = 4_000_000.0  # seconds; milliseconds travel as 32 bits
_TITLE = 60
_SHOWN = 6  # that still run, in one observation
_FACT = re.compile(rb"\b([a-z_]+)=(\d{1,18})\b")


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a job, or of a process that is none (`job` 0), at the end of a call.

    `code` counts once it does not run any more. `waiting`: 1 it is blocked in reading input, 2 it looks like that.
    `unread`: bytes of input that it has not read; `closed`: it reads none any more; `busy`: input of an earlier call
    stands in the way. `lost`: bytes of output that were not kept. `gone`: all its processes are, nobody knows how.
    """

    job: int = 0
    running: int = 1
    code: int = 0
    timed_out: int = 0
    waiting: int = 0
    pid: int = 0
    unread: int = 0
    closed: int = 0
    busy: int = 0
    lost: int = 0
    gone: int = 0
    unknown: int = 0
    title: str = ""

    @property
    def name(self) -> str:
        """As the model reads it."""
        title = f"{self.title}, waits for input" if self.running and self.waiting == 1 else self.title
        return f"job {self.job} ({title})" if self.job else f"pid {self.pid} ({title})"


async def start(
    sandbox: "Sandbox", argv: Sequence[str], title: str, *, wait: float, timeout: float | None, env: dict[str, str]
) -> tuple[ExecResult, Report | None]:
    """Starts a command as a job and waits for its end, or until it waits for input; `wait` and `timeout` in seconds.

    The directory of the job is added to the command as its last argument. No report: the job could not be started.
    """
    cap = max(parse_size(sandbox.limits.output) // 2, 1)
    numbers = [_milliseconds(wait), _milliseconds(timeout or 0), str(cap)]
    words = [PROGRAM, "job", "start", STATE_DIR, *numbers, _title(title), *argv]
    return _split(await sandbox.exec(words, timeout=wait + _GRACE, cwd="/", env=env))


async def talk(
    sandbox: "Sandbox", job: int, kind: Kind, text: bytes, *, wait: float, quiet: float
) -> tuple[ExecResult, Report | None]:
    """What is new of a job, after passing on input. It waits as `start` does, or until no more output comes for `quiet`
    seconds (0: that does not count)."""
    words = [PROGRAM, "job", "talk", STATE_DIR, str(job), kind[0] if kind != "interrupt" else "c"]
    words += [_milliseconds(wait), _milliseconds(quiet)]
    return _split(await sandbox.exec(words, timeout=wait + _GRACE, cwd="/", stdin=text))


async def running(sandbox: "Sandbox") -> list[Report] | None:
    """Jobs, also those whose end was not told yet, and other processes; None where they could not be listed."""
    result = await sandbox.exec([PROGRAM, "job", "list", STATE_DIR], timeout=_GRACE, cwd="/")
    if result.exit_code != 0:
        return None
    found = [_report(line) for line in result.stdout_bytes.split(b"\n") if line]
    return sorted(found, key=lambda one: (one.job == 0, one.job, one.pid))


def said(found: list[Report] | None, shown: int | None) -> list[str]:
    """What the model is told of `running`, but of the job that the call was about: `shown`."""
    if found is None:
        return ["[processes are still running in the sandbox; they could not be listed]"]
    lines = [
        f"[job {one.job} ({one.title}) has ended with exit code {one.code}; its last output: job {one.job}, or "
        f"the files in {directory(one.job)}]"
        for one in found
        if not one.running and one.job != shown
    ]
    names = [one.name for one in found if one.running and not (one.job and one.job == shown)]
    if len(names) > _SHOWN:
        names[_SHOWN:] = [f"{len(names) - _SHOWN} more"]
    return lines + ([f"[still running: {', '.join(names)}]"] if names else [])


def directory(job: int) -> str:
    """Where the files `stdout` and `stderr` of a job are, inside."""
    return f"{STATE_DIR}/jobs/{job}"


def _milliseconds(seconds: float) -> str:
    return str(round(min(seconds, _LONGEST) * 1000))


def _title(command: str) -> str:
    return shorten(" ".join(readable(command.encode()).split()), _TITLE) or "nothing"


def _split(result: ExecResult) -> tuple[ExecResult, Report | None]:
    """The result of the job itself, without the line of facts at the end of its standard error."""
    stderr, mark, facts = result.stderr_bytes.rpartition(b"\0")
    if not mark or result.exit_code != 0:
        return result, None
    report = _report(facts)
    return replace(result, exit_code=report.code, timed_out=bool(report.timed_out), stderr_bytes=stderr), report


def _report(line: bytes) -> Report:
    facts, _, title = line.partition(b"title=")
    known = {key.decode(): int(value) for key, value in _FACT.findall(facts)}
    words = title.rstrip(b"\x1f").decode("utf-8", "replace").split("\x1f")
    if len(words) > 6 and words[4].startswith("__workroom_command="):
        words = [words[6]]  # a part of an earlier call that runs on: its command, without what surrounds it
    fields = {key: value for key, value in known.items() if key in Report.__dataclass_fields__}
    return Report(**fields, title=_title(" ".join(words)))
