"""A sandbox that is saved and restored again and again has no more layers for it, and the same files."""

import asyncio
from pathlib import Path

from tests.conftest import SMALL
from workroom.sandbox import Sandbox
from workroom.sandbox.bwrap import MAX_LAYERS, MERGED

# What a round does is undone or covered in part by later ones: deletions of what the image has and of what earlier
# rounds made, directories that are made anew, files in place of directories and the other way round, links, modes.
ROUNDS = (
    "mkdir -p a/b/c d; echo 1 > a/b/c/one; echo 1 > d/one; ln d/one d/same; ln -s a link; chmod 750 d; echo x > old",
    "rm -rf a/b; mkdir a/b; echo 2 > a/b/two; rm /etc/hostname /usr/share/doc/python3 -rf; echo 2 > /etc/issue",
    "rm -rf d; echo file > d; rm link; mkdir link; echo in > link/in; rm old; mkdir old; echo 3 > old/three",
    "rm d; mkdir -m 711 d; echo again > d/again; chown 33:33 d; rm -rf /usr/share/doc; mkdir /usr/share/doc",
    "rm -rf a; ln -s /etc a; echo 5 >> link/in; touch -d 2001-02-03 link/in old; echo new > /etc/hostname",
    "mv d e; cp -a e f; rm -rf old; mkfifo pipe; truncate -s 1M sparse; echo 6 > 'na me'; chmod 4755 'na me'",
)
# Sizes of directories are the kernel's affair.
LISTING = (
    "find /testbed /etc /usr/share/doc /root -xdev '(' -type d -printf '%p %y %m %U:%G %T@\\n' ')' "
    "-o -printf '%p %y %m %U:%G %s %n %l %T@\\n' | sort; cat link/in e/again"
)


async def listed(box: Sandbox) -> str:
    return (await box.exec(LISTING, output=8 << 20)).stdout


def test_many_restores_have_the_same_files_and_few_layers(tmp_path: Path) -> None:
    async def work() -> list[int]:
        sizes = []
        checkpoint = None
        before = ""
        for number in range(2 * MERGED + len(ROUNDS)):
            async with Sandbox.open("bwrap", limits=SMALL, checkpoint=checkpoint) as box:
                if number:
                    assert await listed(box) == before, f"after restore {number}"
                if number % 4 == 0 or number < len(ROUNDS):
                    done = await box.exec(ROUNDS[number % len(ROUNDS)])
                    assert number >= len(ROUNDS) or not done.stderr, done.stderr
                await box.exec(f"echo {number} >> count")
                before = await listed(box)
                checkpoint = tmp_path / str(number)
                await box.checkpoint(checkpoint)
            sizes.append(checkpoint.stat().st_size)
        return sizes

    sizes = asyncio.run(work())
    assert 2 * MERGED < MAX_LAYERS
    assert sizes[2 * MERGED] < 2 * sizes[len(ROUNDS)]
