"""What must hold between the values of a configuration, and what they name that must be there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from workroom.config import from_arguments
from workroom.errors import ConfigError
from workroom.train.config import AlgorithmSection, TrainConfig

EXPERT: Final = "expert"  # in place of a file, for the warm start
SOURCES: Final = ("generated:", "hub:")  # what a data source begins with that is no path
_OF_PPO = ("gamma", "lam", "value_lr", "value_clip", "value_gradient")  # the algorithm
_NOT_OF_TRL = ("epochs", "minibatches")
_OF_SANDBOX = ("network", "memory", "disk", "pids", "command_timeout", "image")


def problems(config: TrainConfig) -> Iterator[str]:
    """A sentence for each thing that is wrong, the first first; nothing heavy is looked at."""
    yield from _of_engine(config)
    yield from _of_sizes(config)
    yield from _of_validation(config)
    yield from _of_sandbox(config)
    yield from _of_files(config)


def _of_engine(config: TrainConfig) -> Iterator[str]:
    algorithm = config.algorithm
    if config.engine == "trl" and algorithm.name == "ppo":
        yield 'engine = "trl" has no algorithm.name = "ppo": set engine to "ppo" (this machine) or "verl" (a cluster)'
    changed = [key for key, field in AlgorithmSection.model_fields.items() if getattr(algorithm, key) != field.default]
    for key in changed:
        if key in _OF_PPO and algorithm.name != "ppo":
            yield f'algorithm.{key} counts for algorithm.name = "ppo" alone: leave it out'
        if key in _NOT_OF_TRL and config.engine == "trl":
            yield (
                f'algorithm.{key} counts for the engines "ppo" and "verl" alone: leave it out, for trl makes one step '
                "on each batch"
            )
    if algorithm.entropy and config.engine == "trl":
        yield 'algorithm.entropy counts for the engines "ppo" and "verl" alone: TRL has no entropy bonus, leave it out'
    if config.warm_start.steps and config.engine == "verl":
        yield (
            'warm_start.steps: with engine = "verl" there is no warm start; make one with engine = "trl" and begin '
            "from its DIR/warm_start (model.path)"
        )
    if config.verl and config.engine != "verl":
        yield f'[verl] counts for engine = "verl" alone, and the engine is {config.engine!r}: leave it out'


def _of_sizes(config: TrainConfig) -> Iterator[str]:
    algorithm, rollout = config.algorithm, config.rollout
    batch = algorithm.prompts * rollout.group
    if rollout.max_tokens >= rollout.context:
        yield (
            f"rollout.max_tokens = {rollout.max_tokens} must be below rollout.context = {rollout.context}, "
            "which holds the prompt and every turn"
        )
    if batch % algorithm.minibatches:
        yield (
            f"algorithm.minibatches = {algorithm.minibatches} must divide the batch of {batch} rollouts "
            "(algorithm.prompts × rollout.group)"
        )
    elif config.engine == "verl" and algorithm.prompts % algorithm.minibatches:
        yield (
            f"algorithm.minibatches = {algorithm.minibatches} must divide algorithm.prompts = {algorithm.prompts}, "
            "for verl keeps the rollouts of a prompt in one minibatch"
        )
    if config.engine == "trl" and batch % algorithm.micro_batch:
        yield (
            f"algorithm.micro_batch = {algorithm.micro_batch} must divide the batch of {batch} rollouts "
            "(algorithm.prompts × rollout.group)"
        )
    if algorithm.warmup_steps > algorithm.steps:
        yield (
            f"algorithm.warmup_steps = {algorithm.warmup_steps} must not be above algorithm.steps = {algorithm.steps}"
        )
    if algorithm.prompts > config.data.train:
        yield (
            f"algorithm.prompts = {algorithm.prompts} must not be above data.train = {config.data.train}: "
            "a batch takes so many different tasks"
        )


def _of_validation(config: TrainConfig) -> Iterator[str]:
    modes = config.validation.modes
    if not modes or len(set(modes)) < len(modes):
        yield f"validation.modes must name sandbox, llm or both, each once, not {', '.join(modes) or 'none'}"
    if config.validation.every and not config.data.validation:
        yield (
            f"validation.every = {config.validation.every} needs tasks: set data.validation above 0, or "
            "validation.every to 0"
        )


def _of_sandbox(config: TrainConfig) -> Iterator[str]:
    try:
        from_arguments({key: getattr(config.rollout, key) for key in _OF_SANDBOX})
    except ConfigError as error:
        yield f"rollout.{error}"


def _of_files(config: TrainConfig) -> Iterator[str]:
    """What is named must be there. Paths are absolute by now."""
    model, warm = config.model, config.warm_start
    path = Path(model.path)
    if path.is_absolute() and not path.exists():
        yield f"model.path: there is no {path}"
    if model.chat_template is not None and not model.chat_template.is_file():
        yield f"model.chat_template: there is no file {model.chat_template}"
    sources = config.data.source if isinstance(config.data.source, list) else [config.data.source]
    if not sources:
        yield "data.source names nothing: give generated:facts, hub:NAME or a JSONL file"
    for source in sources:
        if not source.startswith(SOURCES) and not Path(source).exists():
            yield f"data.source: there is no file {source}; other sources begin with generated: or hub:"
    if config.reward.custom is not None:
        file, colon, function = config.reward.custom.rpartition(":")
        if not colon or not function.isidentifier():
            yield f"reward.custom must be FILE.py:FUNCTION, not {config.reward.custom!r}"
        elif not Path(file).is_file():
            yield f"reward.custom: there is no file {file}"
    yield from _of_warm_start(config, sources)
    if warm.steps and warm.data != EXPERT and not Path(warm.data).is_file():
        yield f"warm_start.data: there is no file {warm.data}; make one with workroom export DIR --to tokens"


def _of_warm_start(config: TrainConfig, sources: list[str]) -> Iterator[str]:
    warm = config.warm_start
    if not warm.steps or warm.data != EXPERT:
        return
    if not all(source.startswith("generated:") for source in sources):
        yield (
            'warm_start.data = "expert" knows how to answer generated: tasks alone: name a file of token rows, made '
            "with workroom export DIR --to tokens, or set warm_start.steps to 0"
        )
    if warm.tasks > config.data.train:
        yield f"warm_start.tasks = {warm.tasks} must not be above data.train = {config.data.train}"
