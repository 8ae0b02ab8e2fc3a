"""The sandbox against bare bubblewrap and bare bash, interleaved in one run.

    python -m benchmarks.sandbox [--rounds 40] [--idle 32] [--json]

first command   from nothing to the end of `bash -c true`: a new sandbox, against a bare bubblewrap with an overlay on
                the same image that runs the same command. Both as an unprivileged user.
live command    `bash -c true` in a sandbox that is there, against the same as a child process of this one.
idle memory     what the control group of a sandbox is charged after its first command, and the growth of this process.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from workroom.sandbox import Sandbox
from workroom.sandbox.bwrap_command import find_bwrap
from workroom.sandbox.image import SANDBOX_UID, Image, ensure_image

IMAGE_AT = "/mnt"


def bare_bubblewrap(image_root: str, command: str = "true") -> list[str]:
    """The least that gives an own root file system (overlay, /proc, /dev, own namespaces), with `bash -c command`."""
    program, stage = find_bwrap()
    if stage:
        program = str(stage[0][0] / "_bin" / "bwrap")
    words = f"--unshare-all --uid 0 --gid 0 --overlay-src {image_root} --tmp-overlay / --proc /proc --dev /dev"
    return [program, *words.split(), "/bin/bash", "-c", command]


def run_bare(command: list[str]) -> None:
    """Runs it as an unprivileged user where this is root."""
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        options = {"user": SANDBOX_UID, "group": SANDBOX_UID, "extra_groups": []}
    subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


async def first_and_live(image_root: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each kind, one of each a round."""
    bare = bare_bubblewrap(image_root)
    host = ["/bin/bash", "-c", "true"]
    figures: dict[str, list[float]] = {"bubblewrap": [], "first": [], "bash": [], "live": [], "close": []}
    for number in range(rounds + 2):
        samples = {"bubblewrap": timed(lambda: run_bare(bare))}
        start = time.perf_counter()
        box = await Sandbox.start()
        await box.exec("true")
        samples["first"] = (time.perf_counter() - start) * 1000
        samples["bash"] = timed(lambda: subprocess.run(host, check=True, stdin=subprocess.DEVNULL))
        start = time.perf_counter()
        await box.exec("true")
        samples["live"] = (time.perf_counter() - start) * 1000
        start = time.perf_counter()
        await box.close()
        samples["close"] = (time.perf_counter() - start) * 1000
        if number >= 2:  # the first two warm up
            for name, value in samples.items():
                figures[name].append(value)
    return figures


async def idle(count: int) -> dict[str, float]:
    """MiB per sandbox, charged to it and in this process, with `count` of them open."""
    before = resident()
    boxes = [await Sandbox.start() for _ in range(count)]
    try:
        await asyncio.gather(*(box.exec("true") for box in boxes))
        charged = [box.memory for box in boxes]
        host = (resident() - before) / count / (1 << 20)
        known = [value / (1 << 20) for value in charged if value is not None]
        return {"charged": statistics.median(known) if known else float("nan"), "host": host}
    finally:
        await asyncio.gather(*(box.close() for box in boxes))


def resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize()


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "p95": ordered[int(len(ordered) * 0.95)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--idle", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--image-root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    image = ensure_image()
    if options.image_root is None and os.geteuid() == 0:
        reexecute_with_image_in_reach("benchmarks.sandbox", image)
    root = options.image_root or str(image.root)
    figures = {name: quantiles(values) for name, values in asyncio.run(first_and_live(root, options.rounds)).items()}
    memory = asyncio.run(idle(options.idle))
    ratios = {
        "first_command": figures["first"]["median"] / figures["bubblewrap"]["median"],
        "live_command": figures["live"]["median"] / figures["bash"]["median"],
    }
    if options.json:
        print(json.dumps({"milliseconds": figures, "mebibytes": memory, "ratios": ratios}))
        return
    print(f"{'':28}{'median ms':>10}{'p95 ms':>10}")
    names = {
        "bubblewrap": "bare bubblewrap, bash -c true",
        "first": "new sandbox, first command",
        "bash": "bare bash -c true",
        "live": "live sandbox, bash -c true",
        "close": "close a sandbox",
    }
    for name, label in names.items():
        print(f"{label:30}{figures[name]['median']:8.2f}{figures[name]['p95']:10.2f}")
    print(f"first command: {ratios['first_command']:.1f} x bare bubblewrap (goal: at most 5)")
    print(f"live command:  {ratios['live_command']:.1f} x bare bash (goal: at most 3)")
    print(f"idle sandbox:  {memory['charged']:.2f} MiB charged, {memory['host']:.2f} MiB in the host process (goal: 4)")


def reexecute_with_image_in_reach(module: str, image: Image) -> None:
    """As root, the image may lie where the unprivileged user cannot walk to; a private mount brings it into reach."""
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    again = [sys.executable, "-m", module, *sys.argv[1:], "--image-root", IMAGE_AT]
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(image.root), IMAGE_AT]
    os.execvp("unshare", [*unshare, *again])


if __name__ == "__main__":
    main()
