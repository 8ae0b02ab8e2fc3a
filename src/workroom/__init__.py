"""Gives any language model a computer.

from workroom import run

result = run("How many lines?", model="openai/gpt-5", files=["a.txt"])
result.answer, result.files, result.stop_reason, result.usage, result.trajectory
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workroom._outcome import RunResult
    from workroom._run import arun, run
    from workroom.agent import Agent, EpisodeLimits
    from workroom.errors import ConfigError, ModelError, SandboxError, WorkroomError
    from workroom.models import open_model
    from workroom.sandbox import Sandbox
    from workroom.sandbox.base import Limits
    from workroom.task import Task

__version__ = "0.1.0"

# Names are loaded when they are first used: importing the package costs next to nothing.
_HOMES = {
    "Agent": "workroom.agent",
    "ConfigError": "workroom.errors",
    "EpisodeLimits": "workroom.agent",
    "Limits": "workroom.sandbox.base",
    "ModelError": "workroom.errors",
    "RunResult": "workroom._outcome",
    "Sandbox": "workroom.sandbox",
    "SandboxError": "workroom.errors",
    "Task": "workroom.task",
    "WorkroomError": "workroom.errors",
    "arun": "workroom._run",
    "open_model": "workroom.models",
    "run": "workroom._run",
}

__all__ = [
    "Agent",
    "ConfigError",
    "EpisodeLimits",
    "Limits",
    "ModelError",
    "RunResult",
    "Sandbox",
    "SandboxError",
    "Task",
    "WorkroomError",
    "__version__",
    "arun",
    "open_model",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workroom' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
