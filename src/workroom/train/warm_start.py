"""Supervised steps before the training by reward: on rows of token ids in which the policy did well.

The rows come from episodes that an expert played in real sandboxes, or from a file made with
`workroom export --to tokens` of runs that were successful (rejection sampling). Only what was sampled is learnt.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.train.records import TrainRow
from workroom.train.sampler import Sampled

if TYPE_CHECKING:
    from workroom.train.config import TrainConfig


class ExpertSampler:
    """Plays the turns of an expert, once, in place of a policy. Texts become ids here, before anything is learnt."""

    def __init__(self, tokenizer: Any, turns: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._left = list(turns)

    async def sample(
        self,
        ids: Sequence[int],  # noqa: ARG002 - the expert knows by heart
        *,
        max_tokens: int,  # noqa: ARG002
        temperature: float = 1.0,  # noqa: ARG002
        seed: int | None = None,  # noqa: ARG002
    ) -> Sampled:
        """The expert's next turn. One that has none left ends its turn without a word."""
        text = self._left.pop(0) if self._left else ""
        own = (*self._tokenizer.encode(text, add_special_tokens=False), self._tokenizer.eos_token_id)
        return Sampled(own, (0.0,) * len(own), "stop")

    async def aclose(self) -> None:
        """There is nothing to free."""


def read_rows(path: Path) -> list[TrainRow]:
    """The rows of a file made with `workroom export --to tokens`, but for those with a reward of 0.

    Raises ConfigError for a file that cannot be read, is none, or holds no row.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the rows of the warm start cannot be read: {error}") from error
    rows = [row for number, line in enumerate(lines, 1) if line.strip() and (row := _row(path, number, line))]
    if not rows:
        raise ConfigError(f"{path} holds no row to learn from")
    return rows


def _row(path: Path, number: int, line: str) -> TrainRow | None:
    try:
        found = json.loads(line)
        if found.get("reward") == 0:
            return None
        mask = tuple(found["mask"])
        logprobs = tuple(found.get("logprobs") or (0.0,) * len(mask))
        return TrainRow(tuple(found["prompt_ids"]), tuple(found["response_ids"]), mask, logprobs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}, line {number}, is no row of token ids ({error}): make the file with `workroom export --to tokens`"
        ) from error


def learn(model: Any, tokenizer: Any, rows: Sequence[TrainRow], config: "TrainConfig", directory: Path) -> list[float]:
    """Runs the supervised steps on the model in place, and gives the loss of each. `directory` is for scratch."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from workroom.train.engines.trl import quiet

    settings = config.warm_start
    batch = min(settings.batch, config.algorithm.micro_batch)
    data = [
        {"input_ids": [*row.prompt_ids, *row.response_ids], "completion_mask": [0] * len(row.prompt_ids) + [*row.mask]}
        for row in rows
    ]
    with quiet():
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(data),
            args=SFTConfig(
                output_dir=str(directory),
                seed=config.seed,
                use_cpu=model.device.type == "cpu",
                bf16=config.model.dtype == "bfloat16",
                gradient_checkpointing=config.model.gradient_checkpointing,
                max_length=None,
                completion_only_loss=True,
                max_steps=settings.steps,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=-(-settings.batch // batch),
                learning_rate=settings.lr,
                lr_scheduler_type="constant",
                save_strategy="no",
                logging_steps=1,
                report_to=[],
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else passes stay in its autocast
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
