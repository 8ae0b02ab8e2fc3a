"""What all tests share: real sandboxes, and a home of their own so that no setting of the developer's counts."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from workroom.sandbox import Limits, Sandbox
from workroom.sandbox.image import ensure_image

T = TypeVar("T")
RunInBox = Callable[..., Any]

BACKENDS = ["bwrap", "docker"]
SMALL = Limits(memory="1g", pids=256, disk="512m", command_timeout=30)


def find_docker() -> str | None:
    """The address of the daemon to test with: the user's, else the one that `scripts/docker-daemon` started."""
    place = os.environ.get("WORKROOM_DOCKER_DIR", "/var/lib/workroom-docker")
    for address in (os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock", f"unix://{place}/docker.sock"):
        if address.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as sock:
                if sock.connect_ex(address.removeprefix("unix://")) == 0:
                    return address
    return None


@pytest.fixture(scope="session")
def docker() -> str:
    """The address of a daemon, for the whole session in DOCKER_HOST too; the test is skipped where there is none."""
    address = find_docker()
    if address is None:
        pytest.skip("no Docker daemon answers: `scripts/docker-daemon` starts one")
    if ensure_image().is_host:
        pytest.skip("Docker sandboxes need the built image: `workroom sandbox build`")
    os.environ["DOCKER_HOST"] = address
    return address


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that the contract suite runs against."""
    if request.param == "docker":
        request.getfixturevalue("docker")
    return str(request.param)


@pytest.fixture
def run_in_box(backend: str) -> RunInBox:
    """`run_in_box(work, limits=..., network=...)` opens a real sandbox and returns what `await work(box)` returns."""

    def run(work: Callable[[Sandbox], Awaitable[T]], *, limits: Limits = SMALL, **options: Any) -> T:
        async def inside() -> T:
            async with Sandbox.open(backend, limits=limits, **options) as box:
                return await work(box)

        return asyncio.run(inside())

    return run
