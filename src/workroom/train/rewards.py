"""What an episode earns: its outcome alone, told from the text of its answer file.

The text comes from the episode's own last event, as it was read out of the sandbox while that was still there. Nothing
else that an episode leaves is looked at, so that no file it plants, neither an artefact nor a forged score, can earn
anything. Graders are those of the bench, in worker processes that can be killed.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from workroom.bench.graders.registry import GRADERS, OWN, is_judged
from workroom.bench.graders.worker import Request
from workroom.bench.score import Score
from workroom.errors import ConfigError
from workroom.redaction import without_keys

if TYPE_CHECKING:
    from workroom.task import Task
    from workroom.train.config import RewardSection
    from workroom.trajectory.events import StopReason

DEFAULT: Final = "instruct_pretrain"  # of tasks that name no grader: it goes by the kind of the reference
PLANT: "Final[frozenset[StopReason]]" = frozenset(("model_error", "sandbox_error", "interrupted"))
OVERLONG: "Final[frozenset[StopReason]]" = frozenset(
    ("max_turns", "max_tokens", "max_cost", "max_time", "context_overflow", "stalled")
)
LONGEST: Final = 100_000  # characters of an answer that the graders of the package are shown
FULL: Final = 1 - 1e-9  # marks that are full but for rounding
_LOADING = 120.0  # seconds to import a custom reward
_SOURCES = str(Path(__file__).parents[2])
_TRY = (
    "import sys; sys.path.append(sys.argv[1]); from workroom.bench.graders.worker import load; "
    "callable(load(sys.argv[2])) or sys.exit('it is no function')"
)


class Earned(NamedTuple):
    """`value` is the reward, None where the episode is to be dropped: `reason` then says why.

    `components`: `grade`, what the answer is worth (0 to 1) whatever the episode earns; `overlong`, 1 where the rule
    for over-long episodes decided.
    """

    value: float | None
    components: Mapping[str, float]
    reason: str = ""


class Reward:
    """Grades answers, many at a time, in at most `workers` processes. Belongs to one event loop.

    Raises ConfigError where a custom reward has not the form `FILE.py:FUNCTION`.
    """

    def __init__(self, section: "RewardSection", *, workers: int = 2) -> None:
        from workroom.bench.graders.pool import Pool

        self._section = section
        self._custom = None if section.custom is None else _located(section.custom)
        self._pool = Pool(workers, section.timeout)

    def check(self, tasks: "Iterable[Task]") -> None:
        """Raises ConfigError for a custom reward that cannot be loaded, and for the first task that cannot be graded.

        A custom reward is loaded in a process of its own, which takes as long as its imports do.
        """
        if self._custom is not None:
            _try(self._custom, self._section.custom or "")
            return
        for task in tasks:
            _check(task.grader or DEFAULT, task)

    async def of(self, task: "Task", answer: str | None, stop_reason: "StopReason", error: str | None = None) -> Earned:
        """What the episode earns that ended like this with this text in its answer file (None: without one)."""
        if stop_reason in PLANT:
            return Earned(None, {}, error or stop_reason)
        score = await self.grade(task, answer)
        components = {} if score.value is None else {"grade": score.value}
        if stop_reason in OVERLONG and self._section.overlong is not None:
            return Earned(self._section.overlong, components | {"overlong": 1.0})
        if score.value is None:
            return Earned(None, components, score.reason)
        full = score.value >= FULL
        return Earned(float(full) if full or self._section.scheme == "binary" else score.value, components)

    async def grade(self, task: "Task", answer: str | None) -> Score:
        """The score of an answer, unscored with a reason where its grader fails."""
        text = answer or ""
        if self._custom is not None:
            return await self._pool.grade(Request(self._custom, (), _plain(task, whole=True), text))
        if not text.strip():
            return Score(0.0, "the answer is empty")
        if len(text) > LONGEST:
            return Score(0.0, f"the answer is longer than {LONGEST:,} characters")
        name = task.grader or DEFAULT
        if name not in GRADERS:
            return Score(None, f"the grader {name!r} is none that computes a reward")
        grader = GRADERS[name]
        return await self._pool.grade(Request(grader.function, grader.loads, _plain(task, grader=name), text))

    async def aclose(self) -> None:
        """Ends the worker processes. Safe to call twice."""
        await self._pool.aclose()


def _plain(task: "Task", *, whole: bool = False, grader: str | None = None) -> "Task":
    """The task as it is handed to a worker; the graders of the package read no documents, which are large."""
    return replace(
        task, grader=grader or task.grader, meta=dict(task.meta), documents=dict(task.documents) if whole else {}
    )


def _located(custom: str) -> str:
    """The custom reward with the whole path of its file."""
    place, _, name = custom.rpartition(":")
    if not place.endswith(".py") or not name.isidentifier():
        raise ConfigError(f"reward.custom must be FILE.py:FUNCTION, such as rewards.py:reward, not {custom!r}")
    path = Path(place).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"reward.custom names the file {path}, which does not exist")
    return f"{path}:{name}"


def _try(function: str, named: str) -> None:
    """Raises ConfigError where the function cannot be loaded."""
    command = [sys.executable, "-P", "-c", _TRY, _SOURCES, function]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_LOADING,
            env=without_keys(os.environ),
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"reward.custom {named} was not loaded within {_LOADING:g} s") from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ConfigError(f"reward.custom {named} cannot be loaded: {words[:500]}")


def _check(name: str, task: "Task") -> None:
    """Raises ConfigError where no reward can be computed for the task."""
    where = f"the task {task.id!r}"
    if is_judged(name):
        raise ConfigError(
            f"{where} is graded by {name!r}, which asks a model that costs money for every answer: set "
            "data.grader to one that computes, or write a reward of your own (reward.custom)"
        )
    if name == OWN or name not in GRADERS:
        known = ", ".join(sorted(GRADERS))
        raise ConfigError(f"{where} names the grader {name!r}, which is none of those that compute: {known}")
    if GRADERS[name].reference and not (task.answer or "").strip():
        raise ConfigError(f"{where} has no answer, which its grader {name!r} compares with: give it one")
    for library in GRADERS[name].libraries:
        if importlib.util.find_spec(library) is None:
            raise ConfigError(
                f"{where} is graded by {name!r}, which needs the package {library}: pip install 'workroom[train]'"
            )
