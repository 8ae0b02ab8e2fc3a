"""What a bench is made of: its settings, as `config.toml` keeps them, and the attempts that follow from them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import workroom
from workroom.bench.arms import Arm, parse_arm
from workroom.bench.store import BenchDirectory, Key
from workroom.bench.suite import Suite, find_suite
from workroom.config import Resolved, RunConfig, from_arguments, redact_url
from workroom.errors import ConfigError
from workroom.task import Task

RECOMMENDED = ("max_turns", "max_tokens", "max_time", "network")  # what a suite may recommend
_CHANGEABLE = ("base_url", "price", "model_timeout")  # settings of a run that may be others when a bench goes on


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks, and how often. `limit`: so many of each suite; `shuffle`: drawn by the seed, not the first ones.

    `data`: paths, for all suites or, as `SUITE=PATH`, for one, which then has no others.
    """

    suites: tuple[str, ...]
    arms: tuple[Arm, ...]
    repeats: int | None = None
    limit: int | None = None
    ids: tuple[str, ...] = ()
    shuffle: bool = False
    data: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Who judges. `model` None: nobody, what needs a judge stays unscored."""

    model: str | None = None
    base_url: str | None = None
    votes: int = 3


def parse_arms(mode: str, others: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of `--mode` and `--arm`. Raises ConfigError for what is none, or twice the same."""
    modes = {"both": ("llm", "sandbox"), "llm": ("llm",), "sandbox": ("sandbox",)}
    if mode not in modes:
        raise ConfigError(f"--mode must be one of sandbox, llm, both, not {mode!r}")
    arms = tuple(parse_arm(text) for text in (*modes[mode], *others))
    if twice := {str(arm) for arm in arms if arms.count(arm) > 1}:
        raise ConfigError(f"the arm {min(twice)} is named twice")
    return arms


class Plan:
    """A bench's settings and its attempts in the order in which they are begun."""

    def __init__(
        self, selection: Selection, resolved: Resolved, judge: JudgeSettings, suites: Mapping[str, Suite]
    ) -> None:
        self.selection = selection
        self.resolved = resolved
        self.judge = judge
        self.suites = suites

    @classmethod
    def make(cls, selection: Selection, resolved: Resolved, judge: JudgeSettings) -> Self:
        """Raises ConfigError for a suite that is unknown or named twice."""
        suites: dict[str, Suite] = {}
        for name in selection.suites:
            suite = find_suite(name)
            if suite.name in suites:
                raise ConfigError(f"the suite {suite.name} is named twice")
            suites[suite.name] = suite
        return cls(selection, resolved, judge, suites)

    @classmethod
    def of(cls, bench: BenchDirectory, flags: Mapping[str, Any], judge: JudgeSettings | None = None) -> Self:
        """The plan of a bench that is there, with another judge where one is named.

        Raises ConfigError for a flag that would make it another bench.
        """
        config = bench.config
        selection = Selection(
            **{
                **config["bench"],
                "suites": tuple(entry["path"] for entry in config["suites"].values()),
                "arms": tuple(parse_arm(text) for text in config["bench"]["arms"]),
                "ids": tuple(config["bench"]["ids"]),
                "data": tuple(config["bench"]["data"]),
            }
        )
        given = {key: value for key, value in flags.items() if value is not None}
        for key in given:
            if key not in _CHANGEABLE:
                raise ConfigError(f"{key} cannot be changed when a bench goes on; begin another one with -o DIR")
        if "***" in config["run"].get("base_url", "") and "base_url" not in given:
            raise ConfigError("the base URL held a login, which is not recorded: give it again with --base-url")
        now = from_arguments(given).config
        resolved = Resolved(
            replace(RunConfig(**config["run"]), **{key: getattr(now, key) for key in given}), config["origins"]
        )
        if judge is None or judge.model is None:
            judge = JudgeSettings(**config["judge"])
        return cls.make(selection, resolved, judge)

    def check_prompts(self, config: Mapping[str, Any]) -> None:
        """Raises ConfigError where a suite asks otherwise than when the bench was begun, so that it cannot go on."""
        for name, suite in self.suites.items():
            if config["suites"][name]["digest"] != suite.digest:
                raise ConfigError(f"the prompts of the suite {name} have changed since the bench was begun")

    @property
    def needs_sandbox(self) -> bool:
        return any(arm.mode == "sandbox" for arm in self.selection.arms)

    def data(self, suite: str) -> list[Path]:
        """Where the tasks of a suite are, nothing for the suite's own source."""
        own = [entry.partition("=")[2] for entry in self.selection.data if entry.startswith(f"{suite}=")]
        common = [entry for entry in self.selection.data if not _names_suite(entry, self.suites)]
        return [Path(entry) for entry in own or common]

    def repeats(self, suite: str) -> int:
        """How often each task of the suite is tried in each arm."""
        found = self.suites[suite]
        return self.selection.repeats or found.repeats_of(next(iter(self.data(suite)), None), self.selection.source)

    def settings(self, suite: str, arm: Arm, repeat: int = 1) -> Resolved:
        """The settings of a run: what the user said, else what the suite recommends; then the arm."""
        recommended = self.recommended(suite)
        seed = self.resolved.config.seed
        values = {**recommended, **arm.settings, "seed": None if seed is None else seed + repeat - 1}
        origins = dict.fromkeys(recommended, f"suite {suite}") | dict.fromkeys(arm.settings, f"arm {arm}")
        return Resolved(
            replace(self.resolved.config, checkpoints=False, **values), {**self.resolved.origins, **origins}
        )

    def recommended(self, suite: str) -> dict[str, Any]:
        """What the suite says and the user does not."""
        found = self.suites[suite]
        values = {**found.limits, "network": found.network}
        return {key: value for key, value in values.items() if self.resolved.origins.get(key, "default") == "default"}

    def keys(self, tasks: Mapping[str, Sequence[Task]]) -> Iterator[Key]:
        """All attempts: the arms of a task side by side, so that a bench that is cut short is balanced."""
        most = max((self.repeats(suite) for suite in tasks), default=0)
        for repeat in range(1, most + 1):
            for suite, some in tasks.items():
                if repeat <= self.repeats(suite):
                    for task in some:
                        for arm in self.selection.arms:
                            yield Key(suite, task.id, str(arm), repeat)

    def record(self) -> dict[str, Any]:
        """What goes into `config.toml`: no secret, and None is left out."""
        run = asdict(self.resolved.config)
        if run["base_url"] is not None:
            run["base_url"] = redact_url(run["base_url"])
        suites = {
            name: {
                "path": name if suite.is_built_in else str(suite.folder.resolve()),
                "digest": suite.digest,
                "grader": suite.grader,
                "repeats": self.repeats(name),
                "settings": _plain(self.recommended(name)),
            }
            for name, suite in self.suites.items()
        }
        selection = asdict(self.selection) | {"arms": [str(arm) for arm in self.selection.arms]}
        selection |= {"suites": list(suites), "ids": list(self.selection.ids), "data": list(self.selection.data)}
        return {
            "workroom": workroom.__version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "bench": _plain(selection),
            "judge": _plain(asdict(self.judge)),
            "run": _plain(run),
            "origins": {key: value for key, value in self.resolved.origins.items() if value != "default"},
            "suites": suites,
        }

    def difference(self, config: Mapping[str, Any]) -> str | None:
        """What this plan would do otherwise than the bench of that `config.toml`, in words; None where nothing."""
        ours, theirs = self.record(), config
        for part in ("bench", "run", "suites"):
            for key in sorted({*ours[part], *theirs[part]}):
                if part == "run" and key in _CHANGEABLE:
                    continue
                was, now = theirs[part].get(key), ours[part].get(key)
                if was != now:
                    return f"{key} was {_shown(was)} and is {_shown(now)}"
        return None


def _names_suite(entry: str, suites: Mapping[str, Suite]) -> bool:
    return "=" in entry and entry.partition("=")[0] in suites


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items() if value is not None
    }


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return "not given" if value is None else repr(value)
