"""A task: frozen data that says what is asked and with what documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """What an episode works on.

    `documents` maps a name (a relative path below `/testbed/documents`, folders allowed) to its content or to the host
    path of a file. `answer` is the reference answer; it never enters a sandbox. `choices`: the texts of the options A,
    B, ... of a multiple-choice question.
    """

    prompt: str
    id: str = "task"
    domain: str = "general"
    documents: Mapping[str, str | bytes | Path] = field(default_factory=dict)
    answer: str | None = None
    choices: tuple[str, ...] = ()
    grader: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
