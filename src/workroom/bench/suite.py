"""A suite: a folder of data. `suite.toml`, `sandbox.j2`, `llm.j2`, and, where it needs one of its own, `grader.py`."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from workroom.errors import ConfigError
from workroom.task import Task

FOLDER: Final = Path(__file__).parent / "suites"
_PROMPTS = ("sandbox.j2", "llm.j2")


@dataclass(frozen=True, slots=True)
class Source:
    """Where tasks of a suite can be had: a data set of the Hugging Face hub, and what its columns are called here."""

    name: str
    hub: str
    split: str
    licence: str
    config: str | None = None
    revision: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suite:
    """`grader` grades tasks that name none. `domains`: the values of `domain` in data files that belong here.

    `network`, `repeats` and `limits` (settings of a run) are recommended: they count where the user says nothing.
    `digest` is of all that makes the prompts.
    """

    name: str
    folder: Path
    title: str
    description: str
    grader: str
    domains: tuple[str, ...]
    network: str
    repeats: int
    limits: Mapping[str, Any]
    sources: tuple[Source, ...]
    judge: Mapping[str, Any]
    digest: str

    def prompt(self, task: Task, mode: Literal["sandbox", "llm"]) -> str:
        """What the model is asked in this mode."""
        raise NotImplementedError


def find_suite(name: str) -> Suite:
    """The suite of that name, or in the folder of that path. Raises ConfigError."""
    raise NotImplementedError


def built_in() -> list[str]:
    """The names of the suites that come with the package."""
    return sorted(path.parent.name for path in FOLDER.glob("*/suite.toml"))


__all__ = ["ConfigError", "Source", "Suite", "built_in", "find_suite", "hashlib", "tomllib"]
