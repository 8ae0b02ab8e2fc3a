"""Several trainings that differ in their seed, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from workroom.bench.report.document import Document, Plot
from workroom.bench.report.style import LLM, OTHERS, SANDBOX, as_files, legend, styled
from workroom.bench.report.table import Cell, Column, Interval, Table, show
from workroom.errors import ConfigError
from workroom.train.report.document import facts
from workroom.train.report.plots import curve, panels
from workroom.train.report.reading import STAGES, Training, scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEEDS: Final = ("seed", "data.seed", "output.dir")  # what may be another from training to training
_COLOURS: Final = (SANDBOX, *OTHERS, LLM)


def document(trainings: Sequence[Training]) -> Document:
    """What is written as Markdown and as HTML. Raises ConfigError where there is nothing that can be joined."""
    _check(trainings)
    tables = [*_tables(trainings), _gains(trainings)]
    names = [training.directory.resolve().name for training in trainings]
    return Document(
        title=f"{len(trainings)} seeds of the training of {trainings[0].setting('model.path') or 'a model'}",
        lead=list(_lead(tables[-1], len(trainings))),
        facts=facts(trainings[0]),
        commands=[
            f"workroom train {name}/config.toml -o {name}-again --set seed={training.setting('seed')}"
            for name, training in zip(names, trainings, strict=True)
        ],
        tables=tables,
        plots=list(_plots(trainings)),
    )


def _check(trainings: Sequence[Training]) -> None:
    if len(trainings) < 2:
        raise ConfigError("seeds are joined of two trainings or more")
    for training in trainings:
        if "final" not in training.evaluations:
            raise ConfigError(f"the training in {training.directory} has no evaluation after its end: let it go on")
    first, *others = (_settings(training.config) for training in trainings)
    for training, settings in zip(trainings[1:], others, strict=True):
        for key in sorted({*first, *settings}):
            if first.get(key) != settings.get(key):
                raise ConfigError(
                    f"the trainings in {trainings[0].directory} and {training.directory} differ in more than the seed: "
                    f"{key} is {first.get(key)!r} and {settings.get(key)!r}"
                )
    seeds = [(training.setting("seed"), training.setting("data.seed")) for training in trainings]
    if len(set(seeds)) < len(seeds):
        raise ConfigError("two of the trainings have the same seed")


def _settings(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _settings(value, f"{before}{name}.")
        elif f"{before}{name}" not in _SEEDS:
            found[f"{before}{name}"] = value
    return found


def _seed(training: Training) -> str:
    own, data = training.setting("seed"), training.setting("data.seed")
    return str(own) if own == data or data in (None, 0) else f"{own} (data {data})"


def _tables(trainings: Sequence[Training]) -> Iterator[Table]:
    """For each mode: the seeds, one below the other, their mean and their range."""
    stages = [name for name in STAGES if all(name in training.evaluations for training in trainings)]
    for mode in trainings[0].modes():
        rows: list[tuple[Cell, ...]] = []
        values: list[list[float]] = []
        for training in trainings:
            found = [_success(training, name, mode) for name in stages]
            if None in found:
                continue
            numbers = [value for value in found if value is not None]
            values.append(numbers)
            tasks = len(scores(training.evaluations["final"], mode))
            rows.append((f"seed {_seed(training)}", tasks, *numbers))
        if not values:
            continue
        by_stage = list(zip(*values, strict=True))
        rows.append((f"mean of {len(values)}", None, *map(fmean, by_stage)))
        rows += [("lowest", None, *map(min, by_stage)), ("highest", None, *map(max, by_stage))]
        yield Table(
            f"seeds_{mode}",
            f"Success on held-out documents in {mode} mode",
            (
                Column("seed", "Seed"),
                Column("tasks", "Tasks", "count"),
                *(Column(name, f"{STAGES[name]}, %", "share") for name in stages),
            ),
            tuple(rows),
            ("The seed is that of the sampling and, where it is told, that of the documents.",),
        )


def _success(training: Training, name: str, mode: str) -> float | None:
    """The mean over tasks, each counting the same."""
    by_task = scores(training.evaluations[name], mode)
    return fmean(fmean(values) for values in by_task.values()) if by_task else None


def _gains(trainings: Sequence[Training]) -> Table:
    """What the stages add, over seeds: here a seed is one value."""
    stages = [name for name in STAGES if all(name in training.evaluations for training in trainings)]
    pairs = [(first, second) for place, first in enumerate(stages) for second in stages[place + 1 :]]
    rows: list[tuple[Cell, ...]] = []
    for mode in trainings[0].modes():
        for first, second in pairs:
            gains = [
                after - before
                for training in trainings
                if (before := _success(training, first, mode)) is not None
                and (after := _success(training, second, mode)) is not None
            ]
            if gains:
                rows.append(
                    (
                        mode,
                        f"{STAGES[second]} − {STAGES[first]}",
                        len(gains),
                        fmean(gains),
                        Interval(min(gains), max(gains)),
                        ", ".join(show(gain, "points") for gain in gains),
                    )
                )
    return Table(
        "gains",
        "What the training changed, by seed",
        (
            Column("mode", "Mode"),
            Column("difference", "Difference"),
            Column("seeds", "Seeds", "count"),
            Column("mean", "Mean, points", "points"),
            Column("range", "Lowest to highest", "points", interval=True),
            Column("each", "Each seed, points"),
        ),
        tuple(rows),
        ("The range is what was seen, and no confidence interval: there are too few seeds for one.",),
    )


def _lead(gains: Table, seeds: int) -> Iterator[str]:
    yield f"{seeds} trainings with the same settings but for their seed."
    for mode, difference, count, mean, between, _ in gains.rows:
        yield (
            f"In {mode} mode, {difference}: {show(mean, 'points')} points in the mean of {count} seeds "
            f"({show(between, 'points')})."
        )


def _plots(trainings: Sequence[Training]) -> Iterator[Plot]:
    if all(len(training.steps()) < 2 for training in trainings):
        return
    with styled():
        yield Plot("seeds_reward", "gains", "Reward of the rollouts by step and seed", *as_files(_rewards(trainings)))


def _rewards(trainings: Sequence[Training]) -> "Figure":
    figure, (axes,) = panels("reward")
    for number, training in enumerate(trainings):
        lines = training.steps()
        rewards = [line.values.get("reward") for line in lines]
        colour = _COLOURS[number % len(_COLOURS)]
        curve(axes, [line.step for line in lines], rewards, colour, f"seed {_seed(training)}")
    legend(figure)
    return figure
