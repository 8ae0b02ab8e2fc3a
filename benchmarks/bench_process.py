"""One `workroom bench run` as a process of its own, watched from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK = 0.02  # seconds between two looks at the index
_TASKS = 100
SMALL = ("--memory", "256m", "--disk", "64m", "--pids", "64")  # so that 256 sandboxes cannot fill this machine
Look = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seconds` from start to exit, `span` from the start of the first of these attempts to the end of the last one.

    `cpu` in seconds, of the process and what it waited for; `peak` bytes of resident memory of the largest of these.
    """

    attempts: int
    seconds: float
    span: float
    cpu: float
    peak: int


def write_inputs(folder: Path) -> None:
    """The tasks and, for each mode, a script of right answers."""
    tasks = [
        {"id": f"t{number}", "domain": "math", "question": f"What is {number} + 4 - {number}?", "answer": "4"}
        for number in range(_TASKS)
    ]
    calls = [("execute_bash", {"command": "echo '\\boxed{4}' > /testbed/answer.txt"}), ("submit", {})]
    turns = [
        {
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": name, "arguments": json.dumps(given)}}],
        }
        for name, given in calls
    ]
    _write(folder / "tasks.jsonl", tasks)
    _write(
        folder / "llm.jsonl", [{"content": "It is \\boxed{4}.", "usage": {"prompt_tokens": 90, "completion_tokens": 9}}]
    )
    _write(folder / "sandbox.jsonl", turns)


def command(tree: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """`workroom bench` of a checkout: arguments and environment."""
    return [sys.executable, "-m", "workroom", "bench", *arguments], {**os.environ, "PYTHONPATH": str(tree / "src")}


def run_bench(
    folder: Path, name: str, mode: str, attempts: int, level: int, tree: Path, look: Look | None = None
) -> Outcome:
    """A bench of about so many attempts, `level` at a time, in `folder/name`.

    `look` is called with the number of finished attempts and the bytes of resident memory of the process while it runs.
    """
    tasks = min(attempts, _TASKS)
    arguments, environment = command(
        tree, "run", "math", "--data", str(folder / "tasks.jsonl"), "--limit", str(tasks),
        "--repeats", str(max(round(attempts / tasks), 1)), "-m", f"scripted/{folder}/{mode}.jsonl", "--mode", mode,
        "--network", "none", "--concurrency", str(level), "--quiet", "-o", str(folder / name), *SMALL,
    )  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
        done = _watch(process, folder / name / "index.jsonl", look) if look is not None else None
        status, used = (done or os.wait4(process.pid, 0))[-2:]
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / f"{name}.log").read_text()
    lines = [json.loads(line) for line in (folder / name / "index.jsonl").read_text().splitlines()]
    span = max(line["finished"] for line in lines) - min(line["started"] for line in lines)
    return Outcome(len(lines), seconds, span, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def _watch(process: "subprocess.Popen[bytes]", index: Path, look: Look) -> "tuple[int, int, resource.struct_rusage]":
    """What `wait4` gives at the end."""
    done, at = 0, 0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        if index.exists():
            with index.open("rb") as file:
                file.seek(at)
                new = file.read()
            at += len(new)
            done += new.count(b"\n")
            resident = Path(f"/proc/{process.pid}/statm").read_text().split()
            if new and resident:
                look(done, int(resident[1]) * _PAGE)
        time.sleep(_LOOK)
    return ended


def _write(path: Path, lines: Iterable[object]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
