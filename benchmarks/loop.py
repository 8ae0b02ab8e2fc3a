"""The loop against other harnesses, interleaved in one run: the same scripted answers, which come at once.

    python -m benchmarks.loop [--levels 1 64 512] [--quick] [--all] [--json]

turn      CPU of the harness's process for a turn, with a tool that answers at once, in episodes of 10 and 50 turns
rate      episodes of ten turns (nine commands and a submit) a second, 1, 64 and 512 at a time in one process
memory    of the harness's process, for each of 128 episodes that have had nine turns; of ours also that of its sandbox
command   whole processes: `--help`, and from the start of `workroom run` until its first request is at the server

Each figure comes from processes of its own (`harnesses.py`), which take turns; times and rates are medians. A harness
that is missing here, or fails, is named below the table with the reason. With 512 episodes Inspect takes minutes, and
is measured only with `--all`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import util
from pathlib import Path
from typing import Any

from benchmarks.instant_server import first_request, instant_server, model_name
from benchmarks.script import TURNS
from workroom.sandbox.image import ensure_image

OURS = "workroom"
HTTP = "workroom, over HTTP"
NAMES = {
    OURS: "workroom",
    HTTP: "workroom",
    "mini-swe-agent, local": "minisweagent",
    "mini-swe-agent, bubblewrap": "minisweagent",
    "Inspect, local": "inspect_ai",
    "Inspect, workroom": "inspect_ai",
}
SAME_LOOP = ("mini-swe-agent, bubblewrap", "Inspect, workroom")  # differ from the row above only in the sandbox
SLOW = "Inspect"  # takes part in one of three rounds
MOST = 512
LIMIT = 400  # seconds for one measurement
HELP = {OURS: "workroom", "mini-swe-agent, local": "minisweagent.run.mini", "Inspect, local": "inspect_ai"}
GOALS = "goals: at most 1 ms a turn in the process, 0.2 s to the help, 0.4 s to the first request"


@dataclass
class Figures:
    """What was measured, by name and column. `failed` says why a figure is missing."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def add(self, name: str, column: str, value: float) -> None:
        self.samples.setdefault(name, {}).setdefault(column, []).append(value)

    def medians(self) -> dict[str, dict[str, float]]:
        return {
            name: {column: statistics.median(values) for column, values in row.items()}
            for name, row in self.samples.items()
        }


class Bench:
    """Runs workers and takes down what they tell."""

    def __init__(self, server: str, folder: Path, levels: list[int], *, quick: bool, complete: bool) -> None:
        self.figures = Figures()
        self._server = server
        self._folder = folder
        self._levels = levels
        self._quick = quick
        self._complete = complete
        self._started = 0
        missing = {name: module for name, module in NAMES.items() if not util.find_spec(module)}
        self.figures.failed += [f"{name}: {module} is not installed" for name, module in missing.items()]
        self.names = [name for name in NAMES if name not in missing]

    def _new_folder(self) -> Path:
        self._started += 1
        folder = self._folder / str(self._started)
        folder.mkdir()
        return folder

    def _worker(self, name: str, measure: str, **arguments: Any) -> Any:
        arguments |= {"name": name, "measure": measure, "folder": str(self._new_folder())}
        if name == HTTP:
            arguments["server"] = self._server
        command = [sys.executable, "-m", "benchmarks.harnesses", json.dumps(arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
        except subprocess.TimeoutExpired:
            self.figures.failed.append(f"{name}, {measure} {arguments}: not done within {LIMIT} s")
        except subprocess.CalledProcessError as error:
            self.figures.failed.append(f"{name}, {measure}: {_last_line(error)}")
        else:
            return json.loads(done.stdout.splitlines()[-1])
        return None

    def turns(self) -> None:
        for number in range(1 if self._quick else 3):
            for turns in (10, 50):
                for name in self.names:
                    if name not in SAME_LOOP and not (number and name.startswith(SLOW)):
                        told = self._worker(name, "turns", turns=turns)
                        if told is not None:
                            self.figures.add(name, f"ms a turn of {turns}", told)

    def rates(self) -> None:
        for level in self._levels:
            for number in range(3 if level == 1 and not self._quick else 1):
                for name in self.names:
                    if name.startswith(SLOW) and number:
                        continue
                    if name.startswith(SLOW) and level >= MOST and not self._complete:
                        self.figures.failed.append(f"{name} with {level} at a time: it takes minutes, see --all")
                        continue
                    told = self._worker(name, "rate", episodes=max(level, 8), concurrency=level)
                    if told is not None:
                        self.figures.add(name, f"episodes/s, {level}", told["rate"])
                        self.figures.add(name, f"CPU ms an episode, {level}", told["cpu"])

    def memory(self) -> None:
        for name in self.names:
            if name not in SAME_LOOP and name != HTTP:
                told = self._worker(name, "memory", count=8 if self._quick else 128)
                for key, value in (told or {}).items():
                    self.figures.add(name, f"KiB, {key}", value / 1024)

    def commands(self) -> None:
        for number in range(3 if self._quick else 11):
            for name, module in HELP.items():
                if name in self.names and (name == OURS or number < 3):
                    self._timed(name, "--help, s", partial(self._help, module))
            self._timed(OURS, "first request, s", self._until_first_request)

    def _timed(self, name: str, column: str, seconds: Callable[[], float]) -> None:
        try:
            self.figures.add(name, column, seconds())
        except subprocess.CalledProcessError as error:
            words = f"{name}, {column}: {_last_line(error)}"
            if words not in self.figures.failed:
                self.figures.failed.append(words)

    def _help(self, module: str) -> float:
        environment = {**os.environ, "MSWEA_SILENT_STARTUP": "1", "MSWEA_GLOBAL_CONFIG_DIR": str(self._folder)}
        command = [sys.executable, "-m", module, "--help"]
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return time.perf_counter() - start

    def _until_first_request(self) -> float:
        first_request(self._server)
        command = [sys.executable, "-m", "workroom", "run", "x", "-m", f"openai/{model_name(TURNS)}", "--quiet"]
        command += ["--base-url", f"{self._server}/v1", "-o", str(self._new_folder() / "run")]
        environment = {**os.environ, "OPENAI_API_KEY": "none"}
        start = time.monotonic()
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        came = first_request(self._server)
        assert came is not None
        return came - start


def _last_line(error: subprocess.CalledProcessError) -> str:
    lines: list[str] = (error.stderr or "").strip().splitlines()
    return lines[-1] if lines else str(error)


def show(medians: dict[str, dict[str, float]], failed: list[str]) -> None:
    columns = list(dict.fromkeys(column for row in medians.values() for column in row))
    print("| | " + " | ".join(medians) + " |\n|---|" + "---|" * len(medians))
    for column in columns:
        cells = [f"{row[column]:.3g}" if column in row else "" for row in medians.values()]
        print(f"| {column} | " + " | ".join(cells) + " |")
    print()
    for column in columns:
        more = column.startswith("episodes")
        others = [row[column] for name, row in medians.items() if not name.startswith(OURS) and column in row]
        if others and column in medians[OURS]:
            best, ours = (max if more else min)(others), medians[OURS][column]
            print(f"{column}: {ours / best if more else best / ours:.1f} x ahead of the best of the others (goal: 3)")
    print(GOALS)
    for words in failed:
        print(f"not measured: {words}")


def load() -> str:
    """What else this machine was doing; the figures are worth little where it exceeds the number of cores by far."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 64, MOST], help="episodes at a time")
    parser.add_argument("--quick", action="store_true", help="few of everything")
    parser.add_argument("--all", action="store_true", help="also what takes many minutes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ensure_image()
    before = load()
    with tempfile.TemporaryDirectory() as folder, instant_server() as server:
        bench = Bench(
            server, Path(folder), [1, 8] if options.quick else options.levels, quick=options.quick, complete=options.all
        )
        for part in (bench.turns, bench.commands, bench.memory, bench.rates):
            part()
            print(f"{part.__name__} done", file=sys.stderr, flush=True)
    medians = bench.figures.medians()
    if options.json:
        print(json.dumps({"medians": medians, "samples": bench.figures.samples, "failed": bench.figures.failed}))
    else:
        show(medians, bench.figures.failed)
        print(f"at the start: {before}; at the end: {load()}")


if __name__ == "__main__":
    main()
