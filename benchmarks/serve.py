"""`workroom serve` under load: does it fail, does it leak, and what does it add to the episodes it serves?

    python -m benchmarks.serve [--conversations 64] [--seconds 300] [--pause 10] [--direct 60] [--json]

A real server, a scripted model that answers at once, and so many conversations at a time through the official client:
a file in (by turns uploaded and as a data URL), six requests of three turns (by turns streamed and whole), files
out, and the conversation removed. Each answer and one file are checked. A conversation pauses about `--pause` seconds
between two requests, so that what is measured is the work of a request and not the length of a line. Then the same
episodes in this process, at the same pace, for `--direct` seconds.

Overhead is what serving adds: the time from sending a request to the end of its answer, less that of its episode (model
calls and commands) as its run has it. It holds HTTP, the wait for a place, opening the sandbox of a new conversation,
taking files in and out, and saving the sandbox so that it outlasts the server.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serve_load import Client, Direct, Tally, keep_up, write_script
from benchmarks.serve_process import Sample, ServerProcess, flatness
from workroom.sandbox.image import ensure_image

_SAMPLES = 60  # at least one a second, and about so many of a longer load


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a load. `after`: what the server held when all conversations were removed; `exit_code`: its own;
    `left`: sandboxes that were still written down when it had ended."""

    served: Tally
    direct: Tally
    samples: list[Sample]
    after: Sample
    exit_code: int
    left: int

    @property
    def ok(self) -> bool:
        """No error, no leak, nothing left."""
        flat = all(row["flat"] for row in flatness(self.samples).values())
        clean = self.exit_code == self.left == self.after.sandboxes == 0
        return flat and clean and not self.served.errors and not self.direct.errors


async def measure(level: int, seconds: float, pause: float, direct: float, folder: Path) -> Report:
    """Loads a server for that long, and then this process."""
    script = write_script(folder / "script.jsonl")
    served, samples = Tally(), []
    with ServerProcess(folder, script, level) as server:
        client = Client(server.url, f"scripted/{script}", pause, served)

        async def look() -> None:
            while True:
                samples.append(await asyncio.to_thread(server.sample))
                await asyncio.sleep(max(seconds / _SAMPLES, 1))

        looking = asyncio.create_task(look())
        await keep_up(level, seconds, pause, served, client.conversation)
        looking.cancel()
        await client.aclose()
        await asyncio.sleep(1)
        after = server.sample()
        code = server.stop()
        left = server.sandboxes
    plain = Tally()
    (folder / "runs").mkdir()
    one = Direct(f"scripted/{script}", pause, plain, folder / "runs")
    await keep_up(level, direct, pause, plain, one.conversation)
    return Report(served, plain, samples, after, code, left)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=64, help="at a time")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--pause", type=float, default=10.0, help="mean seconds between two requests of a conversation")
    parser.add_argument("--direct", type=float, default=60.0, help="seconds of the same in this process")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ensure_image()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        report = asyncio.run(
            measure(options.conversations, options.seconds, options.pause, options.direct, Path(folder))
        )
        took = time.monotonic() - began
    print(json.dumps(as_facts(report)) if options.json else "\n".join(lines(report, options.conversations, took)))
    return 0 if report.ok else 1


def lines(report: Report, level: int, took: float) -> list[str]:
    """The report for people."""
    served, direct = report.served, report.direct
    found = [
        f"{level} conversations at a time, {took:.0f} s in all",
        f"{served.conversations} conversations, {len(served.requests)} requests, {len(served.errors)} errors",
        *(f"  error: {error[:200]}" for error in sorted(set(served.errors + direct.errors))[:5]),
        f"{'milliseconds':32}{'p50':>9}{'p99':>9}{'most':>9}",
        _row("served: request", served.requests),
        _row("served: its episode", served.episodes),
        _row("served: overhead", served.overheads),
        _row("in this process: whole run", direct.requests),
        _row("in this process: its episode", direct.episodes),
        f"{'the server':32}{'early':>9}{'late':>9}{'most':>9}{'after':>9}",
    ]
    for name, row in flatness(report.samples).items():
        scale = 1 << 20 if name == "memory" else 1
        figures = "".join(f"{value / scale:9.0f}" for value in (row["early"], row["late"], row["most"]))
        after = f"{getattr(report.after, name) / scale:9.0f}"
        label = "memory (MiB)" if name == "memory" else name
        found.append(f"{label:32}{figures}{after}   {'flat' if row['flat'] else 'GROWS'}")
    found.append(f"it ended with {report.exit_code} and left {report.left} sandboxes")
    return found


def as_facts(report: Report) -> dict[str, Any]:
    """The report for programs, times in seconds."""
    served, direct = report.served, report.direct
    times = {
        "request": served.requests,
        "episode": served.episodes,
        "overhead": served.overheads,
        "direct_run": direct.requests,
        "direct_episode": direct.episodes,
    }
    return {
        "conversations": served.conversations,
        "requests": len(served.requests),
        "errors": served.errors + direct.errors,
        "seconds": {name: {str(share): quantile(some, share) for share in (0.5, 0.99)} for name, some in times.items()},
        "server": flatness(report.samples),
        "after": asdict(report.after),
        "exit_code": report.exit_code,
        "left": report.left,
        "ok": report.ok,
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 where there is none."""
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else 0.0


def _row(label: str, values: Sequence[float]) -> str:
    figures = (quantile(values, 0.5), quantile(values, 0.99), max(values, default=0.0))
    return f"{label:32}" + "".join(f"{1000 * value:9.1f}" for value in figures)


if __name__ == "__main__":
    sys.exit(main())
