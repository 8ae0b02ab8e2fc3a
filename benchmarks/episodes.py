"""Episodes a second with a scripted model that answers at once, beside the same commands without any harness.

    python -m benchmarks.episodes [--episodes 60] [--concurrency 1 8] [--json]

An episode is two commands and a submit in a sandbox of its own, with its run directory written. The references run the
two commands of an episode as `bash -c` in one bare bubblewrap with the same image, and as `bash -c` on the host, one
after the other. Batches of all kinds take turns, and the median batch counts.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.peers import bare_command
from benchmarks.sandbox import reexecute_with_image_in_reach
from workroom import arun
from workroom.sandbox.image import ensure_image

COMMANDS = ["seq 1 1000 | md5sum > sum.txt", "cat sum.txt > /tmp/answer; cat /tmp/answer"]
BATCHES = 3


def script() -> str:
    """Two commands, the answer and the submit, as a script file of assistant messages."""
    calls = [("execute_bash", {"command": command}) for command in COMMANDS]
    calls += [("submit", {"answer": "done"})]
    lines = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            ],
        }
        for n, (name, arguments) in enumerate(calls)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


async def episodes(count: int, concurrency: int, folder: Path) -> None:
    """Runs `count` episodes, `concurrency` at a time, each through the public API."""
    free = asyncio.Semaphore(concurrency)

    async def one(number: int) -> None:
        async with free:
            result = await arun("x", model=f"scripted/{folder}/script.jsonl", out=folder / str(number), network="none")
            assert result.stop_reason == "submitted"

    await asyncio.gather(*(one(number) for number in range(count)))


def rate(count: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def in_new_folder(count: int, concurrency: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "script.jsonl").write_text(script())
        asyncio.run(episodes(count, concurrency, Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--image-root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    image = ensure_image()
    if options.image_root is None and os.geteuid() == 0:
        reexecute_with_image_in_reach("benchmarks.episodes", image)
    bare, user = bare_command(options.image_root or str(image.root), "--tmp-overlay")
    bare += ["/bin/bash", "-c", "; ".join(f"bash -c '{command}'" for command in COMMANDS)]
    count = options.episodes

    def on_the_host() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(count):
                for command in COMMANDS:
                    subprocess.run(["bash", "-c", command.replace("/tmp/", "./")], check=True, cwd=folder,
                                   stdout=subprocess.DEVNULL)  # fmt: skip

    def in_bare_bubblewrap() -> None:
        for _ in range(count):
            subprocess.run(bare, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **user)

    kinds: dict[str, Callable[[], object]] = {"bare bash": on_the_host, "bare bubblewrap": in_bare_bubblewrap}
    for concurrency in options.concurrency:
        kinds[f"workroom, {concurrency} at a time"] = partial(in_new_folder, count, concurrency)
    in_new_folder(4, 2)
    samples: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(BATCHES):
        for name, work in kinds.items():
            samples[name].append(rate(count, work))
    rates = {name: statistics.median(values) for name, values in samples.items()}
    if options.json:
        print(json.dumps(rates))
        return
    for name, value in rates.items():
        print(f"{name:28}{value:8.1f} episodes/s {value / rates['bare bubblewrap']:7.2f} x bare bubblewrap")


if __name__ == "__main__":
    main()
