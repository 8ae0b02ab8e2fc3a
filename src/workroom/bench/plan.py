"""What a bench is made of: its settings, as `config.toml` keeps them, and the attempts that follow from them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import workroom
from workroom._values import redact_url
from workroom.bench.arms import Arm, parse_arm
from workroom.bench.store import BenchDirectory, Key
from workroom.bench.suite import Suite, find_suite
from workroom.config import Resolved, from_arguments
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.trajectory.reader import read_json

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
    """Who judges. `model` None: nobody, what needs a judge stays unscored. `votes` None: as many as the suite says."""

    model: str | None = None
    base_url: str | None = None
    votes: int | None = None

    @classmethod
    def of_last(cls, bench: Path, first: "JudgeSettings") -> "JudgeSettings":
        """Of the judge that was last at work in a bench's directory; `first`, with which it began, where none was."""
        told = read_json(bench / "judge" / "judge.json")
        model, base_url, votes = (told.get(name) for name in ("model", "base_url", "votes"))
        if not isinstance(model, str):
            return first
        last = cls(model, base_url if isinstance(base_url, str) else None, votes if type(votes) is int else None)
        return last.instead_of(first) if model != first.model else replace(last, model=None).instead_of(first)

    def instead_of(self, before: "JudgeSettings") -> "JudgeSettings":
        """These where they say something, else those of before; the server of another model is no server of this."""
        same = self.model is None
        base_url = self.base_url or (before.base_url if same else None)
        return JudgeSettings(before.model if same else self.model, base_url, self.votes or before.votes)


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
        """The plan of a new bench, with the model that is the default now where none is named.

        Raises ConfigError for a suite that is unknown or named twice.
        """
        from workroom.models.registry import default_model

        if resolved.config.model is None:
            resolved = Resolved(replace(resolved.config, model=default_model()), resolved.origins)
        suites: dict[str, Suite] = {}
        for name in selection.suites:
            suite = find_suite(name)
            if suite.name in suites:
                raise ConfigError(f"the suite {suite.name} is named twice")
            suites[suite.name] = suite
        return cls(selection, resolved, judge, suites)

    @classmethod
    def of(cls, bench: BenchDirectory, flags: Mapping[str, Any], judge: JudgeSettings | None = None) -> Self:
        """The plan of a bench that there is, with other settings of the judge where they are given.

        Raises ConfigError where a flag would change it, or this version cannot read its `config.toml`.
        """
        given = {key: value for key, value in flags.items() if value is not None}
        for key in given:
            if key not in _CHANGEABLE:
                raise ConfigError(f"{key} cannot be changed when a bench goes on; begin another one with -o DIR")
        config = bench.config
        try:
            selection = Selection(
                **{
                    **config["bench"],
                    "suites": tuple(entry["path"] for entry in config["suites"].values()),
                    "arms": tuple(parse_arm(text) for text in config["bench"]["arms"]),
                    "ids": tuple(config["bench"]["ids"]),
                    "data": tuple(config["bench"]["data"]),
                }
            )
            # One judge for all scores: who graded last does so again where nobody else is named.
            before = JudgeSettings.of_last(bench.path, JudgeSettings(**config["judge"]))
            judge = (judge or JudgeSettings()).instead_of(before)
            run, origins = from_arguments(config["run"]).config, dict(config["origins"])
        except (ConfigError, TypeError, LookupError, AttributeError) as error:
            raise ConfigError(
                f"{bench.path / 'config.toml'} is not as this version of workroom writes it ({error}): use version "
                f"{config.get('workroom', 'that it was made with')}, or begin another bench"
            ) from error
        if "***" in (judge.base_url or ""):
            raise ConfigError(
                "the judge's base URL held a login, which is not recorded: give it again with --judge-base-url"
            )
        now = from_arguments(given).config
        resolved = Resolved(replace(run, **{key: getattr(now, key) for key in given}), origins)
        return cls.make(selection, resolved, judge)

    def check_goes_on(self, config: Mapping[str, Any]) -> None:
        """Raises ConfigError where a suite asks otherwise than when the bench was begun, or a login is missing."""
        if "***" in (self.resolved.config.base_url or ""):
            raise ConfigError("the base URL held a login, which is not recorded: give it again with --base-url")
        if difference := _suite_difference(self.record()["suites"], config["suites"]):
            raise ConfigError(f"{difference}: put it back, or begin another bench with -o DIR")

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
        run, judge = asdict(self.resolved.config), asdict(self.judge)
        for table in (run, judge):
            if table["base_url"] is not None:
                table["base_url"] = redact_url(table["base_url"])
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
            "judge": _plain(judge),
            "run": _plain(run),
            "origins": {key: value for key, value in self.resolved.origins.items() if value != "default"},
            "suites": suites,
        }

    def difference(self, config: Mapping[str, Any]) -> str | None:
        """What this plan would do otherwise than the bench of that `config.toml`, in words; None where nothing."""
        ours, theirs = self.record(), config
        for part in ("bench", "run"):
            before = theirs.get(part, {})
            for key in sorted({*ours[part], *before}):
                # Another path to the same data is no difference: the tasks themselves are compared.
                if (part == "run" and key in _CHANGEABLE) or (part == "bench" and key == "data"):
                    continue
                was, now = before.get(key), ours[part].get(key)
                if was != now:
                    return f"{key} was {_shown(was)} and is {_shown(now)}"
        return _suite_difference(ours["suites"], theirs.get("suites", {}))


def _suite_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """How the suites differ from those that a bench was begun with, in words; None where they do not."""
    for name in ours:
        before = theirs.get(name, {})
        for key in sorted({*ours[name], *before}):
            was, now = before.get(key), ours[name].get(key)
            if was != now:
                what = "its prompts" if key == "digest" else f"{key} was {_shown(was)} and is {_shown(now)}"
                return f"the suite {name} has changed since the bench was begun ({what})"
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
