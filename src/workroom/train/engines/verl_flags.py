"""Our configuration as verl's: what each of its keys is called there, and overrides for its command line.

Checked with verl 0.9.1. Keys that begin with `+` are fields that verl has and its own files leave out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from workroom.errors import ConfigError

if TYPE_CHECKING:
    from workroom.train.config import Algorithm, TrainConfig

_ESTIMATOR: "Final[dict[Algorithm, str]]" = {"paper": "rloo", "grpo": "grpo", "ppo": "gae"}
_AGGREGATION: "Final[dict[Algorithm, str]]" = {
    "paper": "seq-mean-token-sum",
    "grpo": "seq-mean-token-mean",
    "ppo": "token-mean",
}
_WORKERS: Final = 8  # processes that run episodes, at most
_GPUS: Final = 8
_QUOTED: Final = r"(\\*)('|\Z)"
_MARK: Final = "\\'"


def agent_workers(config: "TrainConfig") -> int:
    """How many processes share the episodes that run at a time."""
    return min(_WORKERS, config.rollout.concurrency)


def flags(
    config: "TrainConfig",
    directory: Path,
    *,
    gpus: int = _GPUS,
    resume: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Overrides of `verl.trainer.main_ppo`. `directory` is the training's own, with what `prepare` put there; `gpus`
    are those of one machine; `variables` are of the environment, for all processes of Ray.

    The table `[verl]` of the configuration has the last word, key by key. Raises ConfigError for settings that verl
    cannot train with.
    """
    _check(config)
    found = dict(_settings(config, directory.absolute(), gpus=gpus, resume=resume))
    found |= {f"+ray_kwargs.ray_init.runtime_env.env_vars.{name}": value for name, value in variables.items()}
    found |= dict(_flat(config.verl))
    return [f"{key}={_text(value)}" for key, value in found.items()]


def _check(config: "TrainConfig") -> None:
    algorithm, path = config.algorithm, config.model.path
    if path.startswith("local/") or path.endswith(".gguf"):
        raise ConfigError(f"verl trains no GGUF model such as {path}: name a folder in Hugging Face form in model.path")
    if config.model.dtype != "bfloat16":
        raise ConfigError('verl computes in bfloat16: set model.dtype = "bfloat16"')
    if config.data.train < algorithm.prompts:
        raise ConfigError(
            f"data.train = {config.data.train} is less than one batch of algorithm.prompts = {algorithm.prompts}"
        )
    if algorithm.prompts % algorithm.minibatches:
        raise ConfigError(
            f"algorithm.prompts = {algorithm.prompts} cannot be divided into algorithm.minibatches = "
            f"{algorithm.minibatches}, which verl makes of whole groups"
        )


def _settings(config: "TrainConfig", directory: Path, *, gpus: int, resume: bool) -> Iterator[tuple[str, Any]]:
    yield from _data(config, directory)
    yield from _policy(config)
    yield from _rollout(config, directory)
    yield from _update(config)
    if config.algorithm.name == "ppo":
        yield from _critic(config)
    yield from _trainer(config, directory, gpus=gpus, resume=resume)


def _data(config: "TrainConfig", directory: Path) -> Iterator[tuple[str, Any]]:
    yield "data.train_files", str(directory / "data" / "train.parquet")
    yield "data.val_files", str(directory / "data" / "validation.parquet")
    yield "data.train_batch_size", config.algorithm.prompts
    yield "data.seed", config.seed
    # Our loop bounds an episode as a whole and never cuts: each part alone may have all of it.
    yield "data.max_prompt_length", config.rollout.context
    yield "data.max_response_length", config.rollout.context


def _policy(config: "TrainConfig") -> Iterator[tuple[str, Any]]:
    yield "actor_rollout_ref.model.path", _model(config)
    yield "actor_rollout_ref.model.enable_gradient_checkpointing", config.model.gradient_checkpointing


def _rollout(config: "TrainConfig", directory: Path) -> Iterator[tuple[str, Any]]:
    place = "actor_rollout_ref.rollout"
    yield f"{place}.name", "vllm"
    yield f"{place}.n", config.rollout.group
    yield f"{place}.temperature", config.rollout.temperature
    yield f"{place}.top_p", 1.0  # what is cut off would bias the ratios
    yield f"{place}.top_k", -1
    yield f"{place}.calculate_log_probs", True
    yield f"{place}.max_model_len", config.rollout.context
    yield f"{place}.tensor_model_parallel_size", 1
    yield f"{place}.seed", config.seed
    yield f"{place}.val_kwargs.temperature", config.validation.temperature
    yield f"{place}.val_kwargs.do_sample", config.validation.temperature > 0
    yield f"{place}.val_kwargs.n", config.validation.repeats
    yield f"{place}.agent.agent_loop_config_path", str(directory / "agent.yaml")
    yield f"{place}.agent.default_agent_loop", "workroom"
    yield f"{place}.agent.num_workers", agent_workers(config)
    yield "reward.num_workers", 1  # rewards come with the episodes


def _update(config: "TrainConfig") -> Iterator[tuple[str, Any]]:
    algorithm = config.algorithm
    yield "algorithm.adv_estimator", _ESTIMATOR[algorithm.name]
    yield "algorithm.norm_adv_by_std_in_grpo", algorithm.name == "grpo"
    yield "algorithm.gamma", algorithm.gamma
    yield "algorithm.lam", algorithm.lam
    yield "algorithm.use_kl_in_reward", False
    place = "actor_rollout_ref.actor"
    yield f"{place}.loss_agg_mode", _AGGREGATION[algorithm.name]
    yield f"{place}.clip_ratio", algorithm.clip_low
    yield f"{place}.clip_ratio_low", algorithm.clip_low
    yield f"{place}.clip_ratio_high", algorithm.clip_high
    yield f"{place}.use_kl_loss", algorithm.kl > 0
    yield f"{place}.kl_loss_coef", algorithm.kl
    yield f"{place}.entropy_coeff", algorithm.entropy
    yield f"{place}.ppo_mini_batch_size", algorithm.prompts // algorithm.minibatches  # of groups
    yield f"{place}.ppo_epochs", algorithm.epochs
    yield f"{place}.data_loader_seed", config.seed
    # Rows differ much in length: as many tokens at a time as `micro_batch` rows of the greatest have.
    yield f"{place}.use_dynamic_bsz", True
    yield f"{place}.ppo_max_token_len_per_gpu", algorithm.micro_batch * config.rollout.context
    yield f"{place}.checkpoint.save_contents", ["model", "optimizer", "extra", "hf_model"]
    yield from _optimiser(f"{place}.optim", algorithm.lr, config)


def _critic(config: "TrainConfig") -> Iterator[tuple[str, Any]]:
    """Mini-batches, epochs and the size of a micro-batch are the policy's where nothing else is said."""
    most = config.algorithm.micro_batch * config.rollout.context
    yield "critic.model.path", _model(config)
    yield "critic.model.enable_gradient_checkpointing", config.model.gradient_checkpointing
    yield "critic.cliprange_value", config.algorithm.value_clip
    yield "critic.data_loader_seed", config.seed
    yield "critic.ppo_max_token_len_per_gpu", most
    yield "+critic.ppo_infer_max_token_len_per_gpu", most  # by which the trainer really goes
    yield from _optimiser("critic.optim", config.algorithm.value_lr, config)


def _optimiser(place: str, lr: float, config: "TrainConfig") -> Iterator[tuple[str, Any]]:
    yield f"{place}.lr", lr
    yield f"{place}.weight_decay", config.algorithm.weight_decay
    yield f"{place}.lr_warmup_steps", config.algorithm.warmup_steps
    yield f"{place}.clip_grad", config.algorithm.max_grad_norm


def _trainer(config: "TrainConfig", directory: Path, *, gpus: int, resume: bool) -> Iterator[tuple[str, Any]]:
    steps, validated = config.algorithm.steps, config.data.validation > 0 and bool(config.validation.modes)
    yield "trainer.project_name", "workroom"
    yield "trainer.experiment_name", directory.name
    yield "trainer.logger", ["console", "file", *(["tensorboard"] if config.output.tensorboard else [])]
    yield "trainer.n_gpus_per_node", gpus
    yield "trainer.total_training_steps", steps
    yield "trainer.total_epochs", steps  # no bound: an epoch has a step at least
    yield "trainer.val_before_train", validated
    yield "trainer.test_freq", (config.validation.every or steps) if validated else -1
    yield "trainer.save_freq", config.output.checkpoint_every
    yield "trainer.max_actor_ckpt_to_keep", config.output.keep_checkpoints
    yield "trainer.max_critic_ckpt_to_keep", config.output.keep_checkpoints
    yield "trainer.default_local_dir", str(directory / "checkpoints")
    yield "trainer.resume_mode", "auto" if resume else "disable"


def _model(config: "TrainConfig") -> str:
    """The whole path of a folder, since verl works elsewhere; else a name of the hub."""
    path = Path(config.model.path).expanduser()
    return str(path.absolute()) if path.is_dir() else config.model.path


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of nested tables, with dots between."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _text(value: Any) -> str:
    """A value in the grammar of Hydra's command line. Text is always in quotes, whatever is in it."""
    if isinstance(value, str):
        # Backslashes count only before a quotation mark, where each is doubled.
        return f"'{re.sub(_QUOTED, lambda found: found[1] * 2 + (found[2] and _MARK), value)}'"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return json.dumps(value)
