"""The sandbox against its peers, interleaved in one run.

    python -m benchmarks.sandbox [--rounds 40] [--boxes 256] [--most 1000] [--quick] [--json]

first command   from nothing to the end of `bash -c true` in a new box
live command    `bash -c true` in a box that is there; beside it, as a child process of this one
1 MB            a file of a megabyte written into a box and read back
close           of a box that has run a command
rate            new boxes with a first command a second, two workers
memory          what each of so many idle boxes takes of the memory of the host (MemAvailable before and after)
growth          first and live command of ours with so many others alive, and all of them answering at the end

All times are medians in milliseconds. The peers are in `peers.py`; those that are missing here are left out.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from benchmarks.peers import Box, Peer, peers
from workroom.sandbox import Sandbox
from workroom.sandbox.image import Image, ensure_image

IMAGE_AT = "/mnt"
MEGABYTE = os.urandom(1 << 20)
SLOW_SHARE = 4  # slow peers take part in one of so many rounds
COLUMNS = ("first command", "live command", "1 MB", "close")


async def timed(work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return (time.perf_counter() - start) * 1000


async def one_round(peer: Peer) -> dict[str, float]:
    """Milliseconds of each column."""

    async def first() -> Box:
        box = await peer.start()
        await box.run("true")
        return box

    async def there_and_back(box: Box) -> None:
        await box.put(MEGABYTE)
        assert await box.get() == MEGABYTE

    start = time.perf_counter()
    box = await first()
    figures = {"first command": (time.perf_counter() - start) * 1000}
    figures["live command"] = await timed(box.run("true"))
    if peer.files:
        figures["1 MB"] = await timed(there_and_back(box))
    figures["close"] = await timed(box.close())
    return figures


async def times(found: list[Peer], rounds: int) -> dict[str, dict[str, float]]:
    """Medians of each peer, and of a child process of this one; the first round warms up and does not count."""
    samples: dict[str, dict[str, list[float]]] = {peer.name: {} for peer in found}
    samples[CHILD] = {}
    for number in range(rounds + 1):
        for peer in found:
            if not peer.slow or number % SLOW_SHARE in (0, 1):
                figures = await one_round(peer)
                for column, value in figures.items() if number else ():
                    samples[peer.name].setdefault(column, []).append(value)
        host = await timed(asyncio.to_thread(subprocess.run, ["/bin/bash", "-c", "true"], check=True))
        samples[CHILD].setdefault("live command", []).append(host)
    return {name: {key: statistics.median(list_) for key, list_ in row.items()} for name, row in samples.items()}


CHILD = "a child process of the host"


async def rate(peer: Peer, count: int) -> float:
    """New boxes a second with two workers."""

    async def worker(share: int) -> list[Box]:
        boxes = []
        for _ in range(share):
            boxes.append(await peer.start())
            await boxes[-1].run("true")
        return boxes

    start = time.perf_counter()
    made = await asyncio.gather(worker(count // 2), worker(count - count // 2))
    seconds = time.perf_counter() - start
    for box in (*made[0], *made[1]):
        await box.close()
    return count / seconds


async def memory(peer: Peer, count: int) -> float:
    """MiB of the host's memory that each of `count` idle boxes takes."""
    before = available()
    boxes = [await peer.start() for _ in range(count)]
    await asyncio.gather(*(box.run("true") for box in boxes))
    taken = (before - available()) / count
    for box in boxes:
        await box.close()
    return taken / (1 << 20)


def available() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10


async def growth(most: int) -> list[dict[str, float]]:
    """First and live command with 1, 16, 256, … sandboxes alive; the last row has the time until all have answered."""
    rows: list[dict[str, float]] = []
    boxes: list[Sandbox] = []
    try:
        for alive in [count for count in (1, 16, 256) if count < most] + [most]:
            while len(boxes) < alive:
                boxes.append(await Sandbox.start())
                await boxes[-1].exec("true")
            firsts, lives = [], []
            for number in range(15):
                start = time.perf_counter()
                box = await Sandbox.start()
                await box.exec("true")
                firsts.append((time.perf_counter() - start) * 1000)
                await box.close()
                old = boxes[number * 7 % alive]
                await old.exec("true")
                lives.append(await timed(old.exec("true")))
            rows.append({"alive": alive, "first": statistics.median(firsts), "live": statistics.median(lives)})
        start = time.perf_counter()
        answers = await asyncio.gather(*(box.exec("echo here") for box in boxes))
        rows[-1]["answered"] = sum(answer.stdout == "here\n" for answer in answers)
        rows[-1]["seconds"] = time.perf_counter() - start
    finally:
        await asyncio.gather(*(box.close() for box in boxes))
    return rows


async def measure(found: list[Peer], options: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {"milliseconds": await times(found, options.rounds), "rate": {}, "memory": {}}
    for peer in found:
        boxes = options.boxes // 16 if peer.slow else options.boxes
        figures["rate"][peer.name] = await rate(peer, max(2, boxes // 4))
        figures["memory"][peer.name] = await memory(peer, max(2, boxes))
    figures["growth"] = await growth(options.most)
    return figures


def show(figures: dict[str, Any]) -> None:
    print("| | " + " | ".join(COLUMNS) + " | new a second | MiB each |")
    print("|---|" + "---|" * (len(COLUMNS) + 2))
    for name, row in figures["milliseconds"].items():
        cells = [f"{row[column]:.1f}" if column in row else "" for column in COLUMNS]
        cells += [f"{figures[key][name]:.1f}" if name in figures[key] else "" for key in ("rate", "memory")]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| sandboxes alive | first command | live command |\n|---|---|---|")
    for row in figures["growth"]:
        print(f"| {row['alive']:,} | {row['first']:.1f} | {row['live']:.1f} |")
    last, first = figures["growth"][-1], figures["growth"][0]
    print(f"\nall {last['answered']:,} answered within {last['seconds']:.1f} s")
    ours, host = figures["milliseconds"]["workroom"], figures["milliseconds"][CHILD]
    for name, row in figures["milliseconds"].items():
        if "bare" in name:
            print(
                f"first command: {ours['first command'] / row['first command']:.1f} x bare bubblewrap (goal: at most 5)"
            )
    print(f"live command:  {ours['live command'] / host['live command']:.1f} x a child process (goal: at most 3)")
    grown = max(last["first"] / first["first"], last["live"] / first["live"])
    print(f"growth:        {grown:.1f} x with {last['alive']:,} alive (goal: at most 2)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--boxes", type=int, default=256, help="idle at once; a sixteenth for slow peers")
    parser.add_argument("--most", type=int, default=1000, help="sandboxes alive at the end of the growth")
    parser.add_argument("--quick", action="store_true", help="few of everything, ours and bare bubblewrap only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--image-root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    image = ensure_image()
    if options.image_root is None and os.geteuid() == 0:
        reexecute_with_image_in_reach("benchmarks.sandbox", image)
    found = peers(image, options.image_root or str(image.root))
    if options.quick:
        options.rounds, options.boxes, options.most = 6, 16, 32
        found = [peer for peer in found if peer.name in ("workroom", "bare bubblewrap, one a command")]
    figures = asyncio.run(measure(found, options))
    if options.json:
        print(json.dumps(figures))
    else:
        show(figures)


def reexecute_with_image_in_reach(module: str, image: Image) -> None:
    """As root, the image may lie where the unprivileged user cannot walk to; a private mount brings it into reach."""
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    again = [sys.executable, "-m", module, *sys.argv[1:], "--image-root", IMAGE_AT]
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(image.root), IMAGE_AT]
    os.execvp("unshare", [*unshare, *again])


if __name__ == "__main__":
    main()
