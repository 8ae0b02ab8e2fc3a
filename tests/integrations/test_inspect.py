"""The Inspect sandbox provider: Inspect's own conformance suite, and what it does not ask.

Each check of the suite gets a sandbox of its own.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: `make test` does that")

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import bash
from inspect_ai.util import (
    OutputLimitExceededError,
    SandboxEnvironmentSpec,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
)
from inspect_ai.util._sandbox.limits import override_max_exec_output_size
from inspect_ai.util._sandbox.self_check import *  # noqa: F403

from workroom.errors import ConfigError
from workroom.integrations.inspect import WorkroomSandboxConfig, WorkroomSandboxEnvironment

ROOT = Path(__file__).parents[2]
SMALL = WorkroomSandboxConfig(memory="1g", pids=256, disk="512m")

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def sandbox_env(anyio_backend: str) -> AsyncIterator[WorkroomSandboxEnvironment]:
    await WorkroomSandboxEnvironment.task_init("test", SMALL)
    boxes = await WorkroomSandboxEnvironment.sample_init("test", SMALL, {})
    try:
        yield boxes["default"].as_type(WorkroomSandboxEnvironment)
    finally:
        await WorkroomSandboxEnvironment.sample_cleanup("test", SMALL, boxes, False)
        await WorkroomSandboxEnvironment.task_cleanup("test", SMALL, True)
