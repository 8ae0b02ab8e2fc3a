"""The tables of a training's report. Each function takes the `Training` and returns a `Table`."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any, Final

from workroom.bench.report.table import Cell, Column, Interval, Table
from workroom.bench.statistics import mean_interval, paired_difference
from workroom.train import evaluation
from workroom.train.report.reading import STAGES, Training, scores

# Columns of `steps`: the first of these names that a step's line has.
_STEP: Final[tuple[tuple[tuple[str, ...], str, Any], ...]] = (
    (("reward",), "Reward", "number"),
    (("success",), "Success, %", "share"),
    (("turns",), "Turns", "number"),
    (("sampled_tokens",), "Sampled tokens", "count"),
    (("tool_use",), "Used a tool, %", "share"),
    (("clipped",), "Ran into a limit, %", "share"),
    (("flat_groups",), "Groups alike, %", "share"),
    (("dropped",), "Dropped, %", "share"),
    (("entropy",), "Entropy", "number"),
    (("clip_fraction", "clip_ratio/region_mean"), "Ratios clipped, %", "share"),
    (("grad_norm",), "Gradient norm", "number"),
    (("step_seconds", "wall"), "Seconds", "seconds"),
    (("sandbox_share", "sandbox_wait_share"), "Waiting for sandboxes, %", "share"),
)


def all_tables(training: Training) -> Iterator[Table]:
    """Every table, in their order."""
    yield results(training)
    yield differences(training)
    yield behaviour(training)
    yield validation(training)
    yield steps(training)
    yield seconds(training)


def results(training: Training) -> Table:
    """A row for each stage and mode: the form of the paper's Table 7."""
    rows: list[tuple[Cell, ...]] = []
    methods: dict[str, None] = {}
    for name, lines in training.evaluations.items():
        for mode in training.modes():
            by_task = scores(lines, mode)
            if not by_task:
                continue
            found = mean_interval(by_task)
            methods[found.method] = None
            dropped = sum(line.reward is None for line in lines if line.mode == mode)
            rewards = scores(lines, mode, "reward").values()
            reward = fmean(value for values in rewards for value in values)
            interval = Interval(found.low, found.high)
            rows.append((STAGES[name], mode, found.items, found.values, found.mean, interval, reward, dropped))
    return Table(
        "results",
        "Held-out documents, before and after",
        (
            Column("stage", "Stage"),
            Column("mode", "Mode"),
            Column("tasks", "Tasks", "count"),
            Column("episodes", "Episodes", "count"),
            Column("success", "Success, %", "share"),
            Column("interval", "95 % interval", "share", interval=True),
            Column("reward", "Reward", "number"),
            Column("dropped", "Dropped", "count"),
        ),
        tuple(rows),
        (
            "Success is full marks. None of these documents was trained on; the form is that of the paper's Table 7.",
            "Dropped: the sandbox or the sampler failed; these count for nothing, and never as wrong.",
            f"Intervals: {'; '.join(methods)}.",
        )
        if rows
        else ("Nothing was evaluated yet.",),
    )


def differences(training: Training) -> Table:
    """Each stage less an earlier one, paired by task."""
    rows: list[tuple[Cell, ...]] = []
    methods: dict[str, None] = {}
    for mode in training.modes():
        for first, second in combinations(training.evaluations, 2):
            before, after = (scores(training.evaluations[name], mode) for name in (first, second))
            if not before.keys() & after.keys():
                continue
            found = paired_difference(after, before)
            methods[found.method] = None
            shared = before.keys() & after.keys()
            rows.append(
                (
                    mode,
                    f"{STAGES[second]} − {STAGES[first]}",
                    found.items,
                    fmean(fmean(before[task]) for task in shared),
                    fmean(fmean(after[task]) for task in shared),
                    found.mean,
                    Interval(found.low, found.high),
                    found.p,
                    found.wins,
                    found.losses,
                    found.ties,
                )
            )
    return Table(
        "differences",
        "What the training changed",
        (
            Column("mode", "Mode"),
            Column("difference", "Difference"),
            Column("tasks", "Tasks", "count"),
            Column("earlier", "Earlier, %", "share"),
            Column("later", "Later, %", "share"),
            Column("points", "Points", "points"),
            Column("interval", "95 % interval", "points", interval=True),
            Column("p", "p", "p"),
            Column("won", "Won", "count"),
            Column("lost", "Lost", "count"),
            Column("tied", "Tied", "count"),
        ),
        tuple(rows),
        (
            "Success on tasks that both stages have an episode of, paired; repeats of a task count as one value.",
            "This is one training: the interval is over tasks and says nothing of another seed.",
            f"Intervals and tests: {'; '.join(methods)}.",
        )
        if rows
        else ("There are no two stages to compare.",),
    )


def behaviour(training: Training) -> Table:
    """Turns, tools, tokens and time before and after, and what the sandbox was used for: the paper's Tables 4 and 9."""
    rows = [
        (STAGES[name], mode, *_behaviour(found))
        for name, lines in training.evaluations.items()
        for mode in training.modes()
        if (found := [line for line in lines if line.mode == mode and line.reward is not None])
    ]
    return Table(
        "behaviour",
        "What the model does, before and after",
        (
            Column("stage", "Stage"),
            Column("mode", "Mode"),
            Column("turns", "Turns", "number"),
            Column("calls", "Tool calls", "number"),
            Column("tool_use", "Used a tool, %", "share"),
            Column("submitted", "Submitted, %", "share"),
            Column("sampled", "Sampled tokens", "count"),
            Column("seconds", "Seconds", "seconds"),
            Column("external", "External, % of turns", "share"),
            Column("files", "Files, % of turns", "share"),
            Column("computation", "Computation, % of turns", "share"),
            Column("verification", "Verification, per response", "number"),
            Column("structure", "Structure, per response", "number"),
        ),
        tuple(rows),
        (
            "Means of an episode. Used a tool: one other than submit.",
            "Use of the sandbox and phrases (the paper's Tables 4 and 9): as `workroom analyze` counts them.",
            "– where not every run was kept to be looked at.",
        )
        if rows
        else ("Nothing was evaluated yet.",),
    )


def _behaviour(lines: Sequence[evaluation.Line]) -> tuple[Cell, ...]:
    tools = [sum(count for name, count in line.tool_calls.items() if name != "submit") for line in lines]
    return (
        fmean(line.turns for line in lines),
        fmean(sum(line.tool_calls.values()) for line in lines),
        fmean(count > 0 for count in tools),
        fmean(line.stop_reason == "submitted" for line in lines),
        fmean(line.sampled for line in lines),
        fmean(line.seconds for line in lines),
        *(_per_turn([line.uses for line in lines], lines, name) for name in ("external", "files", "computation")),
        *(_per_turn([line.phrases for line in lines], lines, name) for name in ("verification", "structure")),
    )


def _per_turn(counts: Sequence[Mapping[str, int] | None], lines: Sequence[evaluation.Line], name: str) -> float | None:
    """Of all turns; None where not every episode was looked at, for the runs that are kept are a choice."""
    seen = [found.get(name, 0) for found in counts if found is not None]
    turns = sum(line.turns for line in lines)
    return sum(seen) / turns if turns and len(seen) == len(lines) else None


def validation(training: Training) -> Table:
    """The evaluations between the steps."""
    rows: list[tuple[Cell, ...]] = []
    for step, lines in training.between.items():
        for mode in training.modes():
            if by_task := scores(lines, mode):
                found = mean_interval(by_task)
                rewards = scores(lines, mode, "reward").values()
                reward = fmean(value for values in rewards for value in values)
                rows.append((step, mode, found.items, found.mean, Interval(found.low, found.high), reward))
    return Table(
        "validation",
        "Held-out documents, between the steps",
        (
            Column("step", "Step", "count"),
            Column("mode", "Mode"),
            Column("tasks", "Tasks", "count"),
            Column("success", "Success, %", "share"),
            Column("interval", "95 % interval", "share", interval=True),
            Column("reward", "Reward", "number"),
        ),
        tuple(rows),
        ("These documents are others than those of before and after.",) if rows else ("There was no such validation.",),
    )


def steps(training: Training) -> Table:
    """The figures of each step that are looked at most."""
    lines = training.steps()
    columns = [entry for entry in _STEP if any(_first(line.values, entry[0]) is not None for line in lines)]
    return Table(
        "steps",
        "The steps",
        (Column("step", "Step", "count"), *(Column(names[0], title, kind) for names, title, kind in columns)),
        tuple((line.step, *(_first(line.values, names) for names, _, _ in columns)) for line in lines),
        (
            "Means over the episodes of a step, on tasks that are trained on, at the training's temperature.",
            "Groups alike: all rollouts of the task earned the same, so that nothing is learnt from them.",
            "All figures of every step are in metrics.csv.",
        )
        if lines
        else ("No step is finished yet.",),
        shown=60,
    )


def _first(values: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((values[name] for name in names if isinstance(values.get(name), int | float)), None)


def seconds(training: Training) -> Table:
    """Where the time of the steps went."""
    parts = {"model": 0.0, "sandboxes": 0.0, "rest of the rollouts": 0.0, "update": 0.0}
    counted = 0
    for line in training.steps():
        wall, model, sandbox = (_first(line.values, [n]) for n in ("wall", "model_share", "sandbox_wait_share"))
        if wall is None or model is None or sandbox is None:
            continue
        counted += 1
        parts["model"] += wall * model
        parts["sandboxes"] += wall * sandbox
        parts["rest of the rollouts"] += wall * max(0.0, 1 - model - sandbox)
        whole = _first(line.values, ["step_seconds"])
        parts["update"] += max(0.0, whole - wall) if whole is not None else 0.0
    total = sum(parts.values())
    return Table(
        "time",
        "Where the time went",
        (
            Column("part", "Part"),
            Column("seconds", "Seconds", "seconds"),
            Column("a_step", "A step", "seconds"),
            Column("share", "Share, %", "share"),
        ),
        tuple((part, value, value / counted, value / total) for part, value in parts.items()) if total else (),
        (
            f"Wall time of {counted} steps. Model: a call was under way.",
            "Sandboxes: no call was, and an episode was opening its sandbox, running tools, or closing it.",
            "Rest of the rollouts: grading and the like.",
        )
        if total
        else ("No step with times is finished yet.",),
    )
