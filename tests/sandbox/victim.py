"""A process for the kill tests: it opens, uses, forks and closes sandboxes until somebody kills it.

    python -m tests.sandbox.victim BACKEND KILLS SEED MARK

Starts itself over as a child process KILLS times, kills each child at a random moment, and prints their process ids.
MARK is found in the command line of what runs inside.
"""

import asyncio
import os
import random
import signal
import sys
import time

from workroom.sandbox import Limits, Sandbox

SMALL = Limits(memory="256m", pids=64, disk="64m", command_timeout=10)


async def live(backend: str, mark: str) -> None:
    """Some sandboxes side by side, for ever."""

    async def one(network: str) -> None:
        while True:
            async with Sandbox.open(backend, limits=SMALL, network=network) as box:
                await box.exec(f"echo x > /testbed/file; (exec -a {mark} sleep 1000) & disown")
                async with await box.fork() as branch:
                    await branch.exec(f"exec -a {mark} timeout 0.05 sleep 1000; true")

    await asyncio.gather(one("none"), one("allow:example.com"))


def main() -> None:
    backend, kills, seed, mark = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    choose = random.Random(seed)
    longest = 0.25 if backend == "bwrap" else 2.5  # seconds: about what one round of a sandbox takes
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            asyncio.run(live(backend, mark))
        time.sleep(choose.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.stdout.write(f"{child}\n")


if __name__ == "__main__":
    main()
