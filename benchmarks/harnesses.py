"""The harnesses that `loop.py` compares, each playing the same script; a worker process measures one of them.

    python -m benchmarks.harnesses ARGUMENTS_AS_JSON   (`loop.py` starts it)

Each harness writes what it writes by default of an episode: ours a run directory, mini-swe-agent its trajectory after
each step, Inspect its log. `Gate` holds all episodes at their last command, so that the memory of so many can be told.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from benchmarks.gate import Gate, resident
from benchmarks.others import Inspect, MiniSwe
from benchmarks.ours import Workroom
from benchmarks.script import TURNS

MORE = 5  # episodes whose cost is told apart from that of the first


class Harness(Protocol):
    """`turns` plays episodes whose tool answers at once, `rate` whole ones in their sandboxes, `concurrency` at a
    time. All leave their files in `folder`."""

    def turns(self, episodes: int, turns: int, folder: Path, gate: Gate | None = None) -> None: ...

    def rate(self, episodes: int, concurrency: int, folder: Path) -> None: ...


def harness(name: str, server: str | None = None) -> Harness:
    """The harness of a row of `loop.py`."""
    kind, _, place = name.partition(", ")
    if kind == "mini-swe-agent":
        return MiniSwe(place)
    return Inspect(place) if kind == "Inspect" else Workroom(server)


def measure_turns(one: Harness, turns: int, folder: Path) -> float:
    """Milliseconds of CPU of this process that a turn costs: the difference of six episodes and one."""
    used = []
    for number, episodes in enumerate((1, 1, 1 + MORE)):  # the first warms up
        place = folder / f"{turns}-{number}"
        place.mkdir()
        start = time.process_time()
        one.turns(episodes, turns, place)
        used.append(time.process_time() - start)
    return (used[2] - used[1]) / (MORE * turns) * 1000


def measure_rate(one: Harness, episodes: int, concurrency: int, folder: Path) -> dict[str, float]:
    """Episodes a second, and milliseconds of CPU of this process for each."""
    for name in ("warm-up", "counted"):
        (folder / name).mkdir()
    one.rate(2, 2, folder / "warm-up")
    start, used = time.perf_counter(), time.process_time()
    one.rate(episodes, concurrency, folder / "counted")
    seconds = time.perf_counter() - start
    return {"rate": episodes / seconds, "cpu": (time.process_time() - used) / episodes * 1000}


def measure_memory(one: Harness, count: int, folder: Path) -> dict[str, float]:
    """Bytes of an episode whose tool is about to answer for the last time, with `count` of them."""
    for name in ("warm-up", "counted", "sandboxes"):
        (folder / name).mkdir()
    one.turns(2, TURNS, folder / "warm-up")
    gate = Gate(count)
    before = resident()
    one.turns(count, TURNS, folder / "counted", gate)
    figures = {"harness": (gate.resident - before) / count}
    if isinstance(one, Workroom):
        figures |= one.in_sandboxes(count, folder / "sandboxes")
    return figures


def main() -> None:
    """Measures as the arguments say (JSON) and prints the result as the last line."""
    arguments = json.loads(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 16)), hard))
    folder = Path(arguments["folder"])
    os.environ |= {"MSWEA_SILENT_STARTUP": "1", "MSWEA_GLOBAL_CONFIG_DIR": str(folder)}  # read when it is imported
    one = harness(arguments["name"], arguments.get("server"))
    match arguments["measure"]:
        case "turns":
            result: Any = measure_turns(one, arguments["turns"], folder)
        case "rate":
            result = measure_rate(one, arguments["episodes"], arguments["concurrency"], folder)
        case _:
            result = measure_memory(one, arguments["count"], folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
