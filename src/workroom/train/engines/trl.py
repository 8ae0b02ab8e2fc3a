"""TRL's GRPO trainer around our rollouts, through its `rollout_func`: one machine, a CPU or a few GPUs.

TRL's own environments cannot end on `submit` and run tools one after another, so every episode is ours: the trainer
asks for prompts, and is given the ids, masks and log-probabilities of whole episodes with their rewards.

`paper` is the authors' mix in TRL's words: no standard deviation (`scale_rewards="none"`), clip 0.2 and 0.28, no KL,
and the sum over a sequence's sampled tokens, which is TRL's `luspo` with token-level ratios. TRL's baseline is the mean
of the whole group; leave-one-out is that times G / (G - 1), which is put into the reward's weight.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workroom.train.config import TrainConfig
from workroom.train.records import Rollout, TrainRow

Collect = Callable[[Sequence[str], int], Sequence[Rollout]]
"""From task ids (each repeated as often as it is to be tried) and the step to a rollout for each."""

_LEFT_OUT = TrainRow((0,), (0,), (0,), (0.0,))  # no token of it is learnt from


class TrlEngine:
    """Trains `model` in place.

    `collect` runs the episodes of a step. `on_step` is told the number of each finished step and the trainer's figures,
    and says whether to stop. `directory` holds the checkpoints.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        config: TrainConfig,
        tasks: Sequence[str],
        directory: Path,
        *,
        collect: Collect,
        on_step: Callable[[int, dict[str, float]], bool],
    ) -> None:
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl import GRPOTrainer

        self._collect = collect
        self._pad = tokenizer.pad_token_id
        rows = [{"prompt": [{"role": "user", "content": "", "task": task}]} for task in tasks]
        with quiet():
            self._trainer = GRPOTrainer(
                model=model,
                processing_class=tokenizer,
                args=arguments(config, directory, use_cpu=model.device.type == "cpu"),
                train_dataset=Dataset.from_list(rows),
                reward_funcs=[reward],
                rollout_func=self._roll,
                callbacks=[_watcher(on_step)],
            )
        self._trainer.remove_callback(PrinterCallback)

    def train(self, *, resume: bool) -> int:
        """Runs all steps, or those after the last checkpoint in the directory; the number of the last one."""
        with quiet():
            self._trainer.train(resume_from_checkpoint=resume)
        return int(self._trainer.state.global_step)

    def _roll(self, prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
        names = [prompt[0]["task"] for prompt in prompts]
        rollouts = self._collect(names, trainer.state.global_step)
        rows = [row_of(rollout) for rollout in rollouts]
        return {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": [list(row.response_ids) for row in rows],
            "logprobs": [list(row.logprobs) for row in rows],
            "env_mask": [list(row.mask) for row in rows],
            "env_reward": [rollout.reward for rollout in rollouts],
        }


def row_of(rollout: Rollout) -> TrainRow:
    """The row that TRL learns from, as it takes one a rollout: the one in which most was sampled.

    A rollout without any, or without a reward, gives one whose mask is empty; TRL leaves the latter out of the
    baseline, too.
    """
    if not rollout.rows or rollout.reward is None:
        return _LEFT_OUT
    return max(rollout.rows, key=lambda row: sum(row.mask))


def reward(env_reward: Sequence[float | None], **_: Any) -> list[float | None]:
    """The reward function that TRL asks: what the rollouts were given."""
    return list(env_reward)


def arguments(config: TrainConfig, directory: Path, *, use_cpu: bool) -> Any:
    """The configuration in TRL's words."""
    from trl import GRPOConfig

    algorithm, group = config.algorithm, config.rollout.group
    batch = algorithm.prompts * group
    micro = next(size for size in range(min(algorithm.micro_batch, batch), 0, -1) if batch % size == 0)
    mix: dict[str, Any] = {"loss_type": "grpo", "scale_rewards": "group"}
    if algorithm.name == "paper":
        mix = {
            "loss_type": "luspo",
            "scale_rewards": "none",
            "importance_sampling_level": "token",
            "reward_weights": [group / (group - 1)],
        }
    return GRPOConfig(
        output_dir=str(directory),
        seed=config.seed,
        use_cpu=use_cpu,
        bf16=config.model.dtype == "bfloat16",
        gradient_checkpointing=config.model.gradient_checkpointing,
        max_steps=algorithm.steps,
        num_generations=group,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=batch // micro,
        max_completion_length=config.rollout.context,
        temperature=config.rollout.temperature,
        top_p=1.0,
        top_k=0,
        learning_rate=algorithm.lr,
        weight_decay=algorithm.weight_decay,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=algorithm.warmup_steps,
        max_grad_norm=algorithm.max_grad_norm,
        epsilon=algorithm.clip_low,
        epsilon_high=algorithm.clip_high,
        beta=algorithm.kl,
        save_strategy="steps",
        save_steps=config.output.checkpoint_every,
        save_total_limit=config.output.keep_checkpoints,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        **mix,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the libraries say by themselves out of the terminal: progress bars, advice and what is deprecated."""
    import logging

    import datasets

    loggers = [logging.getLogger(name) for name in ("trl", "transformers", "accelerate")]
    levels = [logger.level for logger in loggers]
    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            datasets.enable_progress_bars()
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _watcher(on_step: Callable[[int, dict[str, float]], bool]) -> Any:
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        """Tells the figures of each step, and stops with a checkpoint where it is asked to.

        An update whose gradient is not finite is left out: one such number would end the policy.
        """

        failed = 0.0

        def on_pre_optimizer_step(self, *_: Any, model: Any, **__: Any) -> None:
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            if not all(bool(gradient.isfinite().all()) for gradient in gradients):
                model.zero_grad()
                self.failed += 1

        def on_log(self, _: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
            figures = {key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)}
            if "loss" in figures and on_step(state.global_step, figures | {"failed_updates": self.failed}):
                control.should_save = True
                control.should_training_stop = True

    return Watcher()
