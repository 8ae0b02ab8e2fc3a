"""Our image as one of the daemon's: imported once from its directory, without a registry."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.docker.engine import Engine
from workroom.sandbox.image import Image
from workroom.sandbox.ledger import state_dir


def tag(image: Image) -> str:
    """The name of the image at the daemon; another content is another name."""
    return f"workroom:{image.digest[:12]}"


async def import_image(engine: Engine, image: Image) -> None:
    """Makes our image one of the daemon's, once."""
    if await engine.find(f"/images/{tag(image)}/json"):
        return
    with (state_dir() / f"docker-{image.digest[:12]}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)
        if await engine.find(f"/images/{tag(image)}/json"):
            return
        labels = f"LABEL workroom.digest={image.digest}"
        await engine.call(
            "POST", "/images/create", content=_archive(image.root), timeout=None,
            query={"fromSrc": "-", "repo": tag(image), "changes": labels},
        )  # fmt: skip


async def _archive(root: Path) -> AsyncIterator[bytes]:
    """A tar of an image, in which all is root's: on disk it belongs to the user whom bubblewrap makes root inside."""
    command = ["tar", "--create", "--numeric-owner", "--owner=0", "--group=0", "--directory", str(root), "."]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 20)
    assert process.stdout is not None
    try:
        while data := await process.stdout.read(1 << 20):
            yield data
        if await process.wait() != 0:
            raise SandboxUnavailable(f"the image in {root} could not be read: build it again")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
