"""What a training will do, found out before anything heavy starts; and what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.train.config import TrainConfig

if TYPE_CHECKING:
    from workroom.train.data import Splits
    from workroom.train.hf_model import Facts

_LONGEST = 400  # characters of an example's prompt
_BASELINES = {"grpo": "group mean and standard deviation", "paper": "leave-one-out", "ppo": "value head, GAE"}


class Group(NamedTuple):
    """Some of the plan: a heading, with names and values."""

    title: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training will do, as it is shown to a person."""

    groups: tuple[Group, ...]

    @property
    def lines(self) -> list[str]:
        """For a terminal: headings, and below each its names and values in two columns."""
        width = max((len(name) for group in self.groups for name, _ in group.entries), default=0)
        found = []
        for group in self.groups:
            found.append(group.title)
            for name, value in group.entries:
                first, *others = value.split("\n")
                found.append(f"  {name.ljust(width)}  {first}")
                found += [f"  {' ' * width}  {other}" for other in others]
        return found

    def record(self) -> dict[str, dict[str, str]]:
        """The same as JSON."""
        return {group.title: dict(group.entries) for group in self.groups}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended. `report`: its Markdown; `model`: the folder in Hugging Face form.

    `interrupted`: it was stopped before its last step, and can go on.
    """

    report: Path
    model: Path
    interrupted: bool = False


def make_plan(config: TrainConfig, directory: Path) -> Plan:
    """Checks all that can be checked without weights: model, memory, data, graders, image.

    Tasks are made or read as the training will have them. Raises ConfigError with what is wrong, SandboxUnavailable
    where the image is missing, ModelError where weights of the catalog cannot be fetched.
    """
    from workroom.train.data import build
    from workroom.train.rewards import Reward

    model = tuple(_model(config))
    found: list[str] = []
    splits = build(config.data, tell=found.append)
    Reward(config.reward).check([task for _, tasks in splits.items() for task in tasks])
    return Plan(
        (
            Group("Model", model),
            Group("Data", tuple(_data(config, splits, found))),
            Group("Rollouts", tuple(_rollouts(config))),
            Group("Update", tuple(_update(config, directory))),
            Group("Before, between and after", tuple(_around(config))),
            Group("Output", (("directory", str(directory)),)),
        )
    )


def _model(config: TrainConfig) -> Iterator[tuple[str, str]]:
    yield "policy", config.model.path
    yield "tool calls", f"{config.model.tool_protocol}, prompt {config.model.prompt}"
    if config.engine == "verl" and not Path(config.model.path).exists():
        yield "weights", "loaded by verl, on its own machines"
        return
    from workroom.train.hf_model import check

    facts = check(config.model)
    yield "architecture", f"{facts.architecture}, {_millions(facts.parameters)} million parameters"
    free = "" if facts.free is None else f", {_gib(facts.free)} are free"
    yield "memory", f"{_gib(facts.memory)} for weights, gradients and the optimiser{free}"
    if not config.model.gradient_checkpointing:
        yield from _update_memory(config, facts)
    template = "the model's own"
    if config.model.chat_template is not None:
        template = str(config.model.chat_template)
    elif facts.template is not None:
        template = "workroom's ChatML"
    yield "chat template", template
    yield "weights", f"{config.model.dtype}{', gradient checkpointing' if config.model.gradient_checkpointing else ''}"


def _update_memory(config: TrainConfig, facts: "Facts") -> Iterator[tuple[str, str]]:
    """What an update takes where its rows are as long as they may be, and what to do where that is too much."""
    rows, tokens = config.algorithm.micro_batch, config.rollout.context
    if (size := facts.update_memory(rows * tokens)) is None:
        return
    told = f"about {_gib(size)} more, for {rows} rows at a time of {tokens:,} tokens (micro_batch, context)"
    if facts.free is not None and facts.memory + size > facts.free:
        told += "\nthat may not fit: a smaller algorithm.micro_batch takes less"
    yield "an update", told


def _data(config: TrainConfig, splits: "Splits", found: Sequence[str]) -> Iterator[tuple[str, str]]:
    source = config.data.source
    yield "source", source if isinstance(source, str) else "\n".join(source)
    sizes = ", ".join(f"{len(tasks):,} for {name}" for name, tasks in splits.items())
    yield "tasks", f"{sizes}; no document is in two of them"
    if found:
        yield "found", "\n".join(found)
    example = next(iter(splits.train), None)
    if example is not None:
        yield "an example", _cut(example.prompt)
        yield "its files", ", ".join(example.documents) or "none"
        yield "its answer", _cut(str(example.answer))
        yield "graded by", f"{example.grader or 'instruct_pretrain'}, {config.reward.scheme}"


def _rollouts(config: TrainConfig) -> Iterator[tuple[str, str]]:
    rollout = config.rollout
    batch = config.algorithm.prompts * rollout.group
    yield "a batch", f"{config.algorithm.prompts:,} tasks × {rollout.group:,} rollouts = {batch:,} episodes"
    yield "an episode", f"at most {rollout.max_turns:,} turns, {rollout.max_tokens:,} tokens each, {_length(config)}"
    sampled = min(rollout.context, rollout.max_turns * rollout.max_tokens)
    yield "tokens a step", f"at most {batch * rollout.context:,}, of them {batch * sampled:,} sampled"
    yield "sandboxes", f"{rollout.sandbox}, image {_image(rollout.image)}, {rollout.concurrency:,} at a time"
    yield (
        "limits",
        f"memory {rollout.memory}, {rollout.pids:,} processes, disk {rollout.disk}, network {rollout.network}",
    )


def _length(config: TrainConfig) -> str:
    return f"{config.rollout.context:,} with the prompt, {config.rollout.max_time:g} s"


def _image(name: str | None) -> str:
    """The image that will be used. Raises SandboxUnavailable where one was named that is not there."""
    import os

    from workroom.sandbox.image import list_images

    wanted = name or os.environ.get("WORKROOM_IMAGE", "") or "default"
    built = {image.name for image in list_images()}
    if wanted in built or wanted == "host":
        return wanted
    if wanted != "default":
        raise SandboxUnavailable(
            f"there is no image {wanted!r}: build it with `workroom sandbox build --image {wanted}`"
        )
    return "default (not built yet: the first step does it, or `workroom sandbox build` now)"


def _update(config: TrainConfig, directory: Path) -> Iterator[tuple[str, str]]:
    algorithm = config.algorithm
    steps = algorithm.steps * algorithm.prompts
    passes = steps / config.data.train
    yield "engine", config.engine
    yield (
        "algorithm",
        f"{algorithm.name}: {_BASELINES[algorithm.name]}, clip {algorithm.clip_low:g}/{algorithm.clip_high:g}",
    )
    yield "steps", f"{algorithm.steps:,}, {steps:,} tasks in all ({passes:.2g} × the training tasks)"
    yield "learning rate", f"{algorithm.lr:g}, warm-up {algorithm.warmup_steps:,} steps, KL {algorithm.kl:g}"
    batch = algorithm.prompts * config.rollout.group
    size = batch // algorithm.minibatches
    yield (
        "a step",
        (
            f"{algorithm.epochs:,} × {algorithm.minibatches:,} updates on {size:,} rollouts, "
            f"{algorithm.micro_batch:,} at a time"
        ),
    )
    if config.engine == "verl":
        from workroom.train.engines.verl_flags import flags

        yield "flags of verl", "\n".join(flags(config, directory))
        yield "verl", _verl()


def _verl() -> str:
    """Where verl is, or why it cannot run here: a plan may be made on another machine than the one that trains."""
    from workroom.train.engines.verl import environment

    try:
        found = environment()
    except ConfigError as error:
        return f"not on this machine: {error}"
    return f"{found.verl} of {found.python}, {found.gpus} GPUs"


def _around(config: TrainConfig) -> Iterator[tuple[str, str]]:
    warm, validation, output = config.warm_start, config.validation, config.output
    if warm.steps:
        yield (
            "warm start",
            f"{warm.steps:,} supervised steps of {warm.batch:,} on {warm.data}, learning rate {warm.lr:g}",
        )
    else:
        yield "warm start", "none"
    often = f"every {validation.every:,} steps, and " if validation.every else ""
    yield (
        "validation",
        f"{often}before and after; {' and '.join(validation.modes)}, temperature {validation.temperature:g}",
    )
    yield "checkpoints", f"every {output.checkpoint_every:,} steps, the last {output.keep_checkpoints:,} are kept"
    yield "samples", f"{output.samples:,} trajectories of each step"


def _cut(text: str) -> str:
    """With no control characters, and so short that it does not fill the screen."""
    from workroom.bench.report.table import plain

    shown = "\n".join(plain(line) for line in text.strip().splitlines())
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _millions(number: int) -> str:
    return f"{number / 1e6:,.0f}" if number >= 10_000_000 else f"{number / 1e6:.2g}"


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
