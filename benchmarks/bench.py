"""The bench with a scripted model that answers at once: attempts a second, CPU, memory, grading, report.

    python -m benchmarks.bench [--attempts 5000] [--sandboxes 500] [--rounds 3] [--levels 1 16 256] [--beside TREE]

rate      whole processes of `workroom bench run` in both modes, so many attempts at a time; an attempt in a sandbox is
          one command and a submit. Processes of every kind take turns, and medians count. `whole` counts the process
          from its start to its report, `attempts` from the first attempt's start to the last one's end; CPU is that of
          the process and all it waited for, less that of a bench of one attempt
memory    the resident memory of the process every 250 attempts, and the line through it from the 1,000th on
grading   answers a second through the worker processes, once these are there
report    whole processes of `workroom bench report` over the attempts of the memory part, first and once more

`--beside TREE`: another checkout, whose processes take turns with ours in the rates.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bench_process import Outcome, command, run_bench, write_inputs
from benchmarks.grading import rates
from workroom.sandbox.image import ensure_image

MODES = ("llm", "sandbox")
EVERY = 250  # attempts between two samples of the memory, fewer where there are not many
WARM = 1000  # attempts after which the memory must not grow any more
HERE = Path(__file__).parents[1]


@dataclass
class Rate:
    """What was measured of one kind of bench, a value for each round."""

    whole: list[float] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)

    def add(self, found: Outcome, fixed: float) -> None:
        self.whole.append(found.attempts / found.seconds)
        self.attempts.append(found.attempts / found.span)
        self.cpu.append((found.cpu - fixed) / (found.attempts - 1))
        self.peak.append(found.peak)


def count_of(mode: str, level: int) -> int:
    """Attempts of one process: enough to be told from its start, few enough not to take minutes."""
    return {"llm": max(4 * level, 100), "sandbox": max(2 * level, 40)}[mode]


def measure_rates(folder: Path, levels: list[int], rounds: int, trees: dict[str, Path]) -> None:
    kinds = [(tree, mode, level) for mode in MODES for level in levels for tree in trees]
    found = {kind: Rate() for kind in kinds}
    number = 0
    for turn in range(rounds):
        fixed = {}
        for tree, mode, level in kinds:
            number += 1
            if (tree, mode) not in fixed:
                fixed[tree, mode] = run_bench(folder, f"{number}-one", mode, 1, 1, trees[tree]).cpu
            outcome = run_bench(folder, str(number), mode, count_of(mode, level), level, trees[tree])
            found[tree, mode, level].add(outcome, fixed[tree, mode])
            tell(f"round {turn + 1}: {tree} {mode} {level}")
    print("\n| | mode | at a time | attempts/s, whole | attempts/s, attempts | CPU ms an attempt | peak MiB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (tree, mode, level), rate in found.items():
        middle = statistics.median
        print(
            f"| {tree} | {mode} | {level} | {middle(rate.whole):.1f} | {middle(rate.attempts):.1f} "
            f"| {1000 * middle(rate.cpu):.1f} | {middle(rate.peak) / 2**20:.0f} |"
        )
    if len(trees) > 1:
        other, ours = trees
        ratios = {
            kind[1:]: statistics.median(a / b for a, b in zip(found[ours, *kind[1:]].attempts, found[kind].attempts,
                                                             strict=True))
            for kind in kinds if kind[0] == other
        }  # fmt: skip
        print("\n" + "; ".join(f"{mode} {level}: {ratio:.2f} x" for (mode, level), ratio in ratios.items()))


def measure_memory(folder: Path, mode: str, count: int, level: int) -> Path:
    """Prints the samples; gives the directory of the bench."""
    samples: list[tuple[int, int]] = []
    every = max(min(EVERY, count // 10), 1)

    def look(done: int, resident: int) -> None:
        if done // every > (samples[-1][0] // every if samples else 0):
            samples.append((done, resident))

    out = folder / f"memory-{mode}"
    run_bench(folder, out.name, mode, count, level, HERE, look)
    print(f"\n| attempts, {mode} mode, {level} at a time | resident, MiB |\n|--:|--:|")
    for done, resident in samples:
        print(f"| {done:,} | {resident / 2**20:.1f} |")
    late = [(done, resident / 1024) for done, resident in samples if done >= min(WARM, count // 2)]
    if len(late) > 3:
        line = statistics.linear_regression([done for done, _ in late], [size for _, size in late])
        print(f"\nslope from {late[0][0]:,} attempts on: {1000 * line.slope:+.0f} KiB per 1,000 attempts")
    return out


def memory(folder: Path, attempts: int, sandboxes: int) -> None:
    """The memory part, and the report of its attempts."""
    if attempts:
        measure_report(measure_memory(folder, "llm", attempts, 64), attempts)
    if sandboxes:
        measure_memory(folder, "sandbox", sandboxes, 16)


def measure_grading(answers: int) -> None:
    print("\n| answers | a second |\n|---|--:|")
    for name, rate in rates(answers).items():
        print(f"| {name} | {rate:,.0f} |")


def measure_report(out: Path, count: int) -> None:
    print(f"\n| report of {count:,} attempts | s |\n|---|--:|")
    (out / "report" / "observed.jsonl").unlink()
    for name in ("every trajectory read", "once more"):
        start = time.perf_counter()
        arguments, environment = command(HERE, "report", str(out))
        subprocess.run(arguments, check=True, capture_output=True, env=environment)
        print(f"| {name} | {time.perf_counter() - start:.1f} |")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def load() -> str:
    """What else this machine was doing; the figures are worth little where it exceeds the number of cores by far."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=5000, help="of the memory part, in llm mode")
    parser.add_argument("--sandboxes", type=int, default=500, help="of the memory part, in sandboxes")
    parser.add_argument("--answers", type=int, default=500, help="of the grading part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 16, 256], help="attempts at a time")
    parser.add_argument("--beside", type=Path, metavar="TREE", help="another checkout to be measured in turn with ours")
    parser.add_argument(
        "--only", choices=["rate", "memory", "grading"], nargs="+", default=["rate", "memory", "grading"]
    )
    options = parser.parse_args()
    ensure_image()
    before = load()
    with tempfile.TemporaryDirectory(prefix="workroom-bench-") as name:
        folder = Path(name)
        write_inputs(folder)
        trees = ({"beside": options.beside.resolve()} if options.beside else {}) | {"ours": HERE}
        if "rate" in options.only:
            measure_rates(folder, options.levels, options.rounds, trees)
        if "memory" in options.only:
            memory(folder, options.attempts, options.sandboxes)
        if "grading" in options.only:
            measure_grading(options.answers)
    print(f"\nat the start: {before}; at the end: {load()}")


if __name__ == "__main__":
    main()
