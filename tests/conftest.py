"""What all tests share: real sandboxes, and a home of their own so that no setting of the developer's counts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from workroom.sandbox import Limits, Sandbox

T = TypeVar("T")
RunInBox = Callable[..., Any]

BACKENDS = ["bwrap"]
SMALL = Limits(memory="1g", pids=256, disk="512m", command_timeout=30)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that the contract suite runs against."""
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
