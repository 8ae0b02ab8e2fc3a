"""The adapter around TRL: what it is handed, and that its update is the one it is said to be."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.bandit import sample, tiny_model, tiny_tokenizer
from workroom.train.config import TrainConfig
from workroom.train.engines.ppo_trainer import PpoTrainer
from workroom.train.engines.trl import TrlEngine, arguments, quiet, row_of
from workroom.train.records import Rollout, TrainRow


def config(engine: str, **algorithm: Any) -> TrainConfig:
    settings = {"name": "paper", "lr": 3e-3, "micro_batch": 8, "steps": 1, "prompts": 4} | algorithm
    return TrainConfig.model_validate(
        {"engine": engine, "model": {"path": "tiny"}, "algorithm": settings, "output": {"checkpoint_every": 1}}
    )


def chosen(row: TrainRow) -> float:
    return float(row.response_ids[0] < 12)


def rollouts() -> list[Rollout]:
    torch.manual_seed(3)
    return sample(tiny_model(), chosen)


def stepped(played: Sequence[Rollout], directory: Path, **algorithm: Any) -> tuple[Any, dict[str, float]]:
    """The model and the figures after one step of TRL's on these rollouts, whatever tasks it asks for."""
    model, seen = tiny_model(), {}

    def on_step(_: int, figures: dict[str, float]) -> bool:
        seen.update(figures)
        return False

    tasks = [f"task-{number}" for number in range(4)]
    engine = TrlEngine(
        model,
        tiny_tokenizer(),
        config("trl", **algorithm),
        tasks,
        directory,
        collect=lambda _names, _step: played,
        on_step=on_step,
    )
    assert engine.train(resume=False) == 1
    return model, seen


def test_the_authors_mix_is_the_same_update_as_our_own_trainers(tmp_path: Path) -> None:
    played = rollouts()
    model, figures = stepped(played, tmp_path)
    ours = PpoTrainer(tiny_model(), tiny_tokenizer(), config("ppo"))
    own = ours.step(played)
    assert own["grad_norm"] > 0
    assert figures["grad_norm"] == pytest.approx(own["grad_norm"], rel=1e-3)
    for one, other in zip(model.parameters(), ours.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-4)


def test_what_was_dropped_changes_neither_baseline_nor_weights(tmp_path: Path) -> None:
    lone = Rollout("0", 0, (), None, "sandbox_error")
    played = [lone if number == 0 else rollout for number, rollout in enumerate(rollouts())]
    _, figures = stepped(played, tmp_path)
    assert math.isfinite(figures["grad_norm"])
    assert row_of(lone).mask == (0,)
    kept = [rollout.reward for rollout in played if rollout.reward is not None]
    assert figures["reward"] == pytest.approx(sum(kept) / len(kept) * 8 / 7)  # the weight that makes it leave-one-out


def test_of_several_rows_it_takes_the_one_in_which_most_was_sampled() -> None:
    short = TrainRow((1,), (2, 3), (1, 0), (-1.0, 0.0))
    long = TrainRow((1,), (2, 3, 4), (1, 0, 1), (-1.0, 0.0, -1.0))
    assert row_of(Rollout("a", 1, (long, short), 1.0, "submitted")) == long


def test_the_algorithms_in_its_words(tmp_path: Path) -> None:
    with quiet():
        paper = arguments(config("trl"), tmp_path, use_cpu=True)
        grpo = arguments(config("trl", name="grpo", micro_batch=5), tmp_path, use_cpu=True)
    assert (paper.loss_type, paper.scale_rewards, paper.beta) == ("luspo", "none", 0.0)
    assert (paper.epsilon, paper.epsilon_high, paper.importance_sampling_level) == (0.2, 0.28, "token")
    assert paper.reward_weights == [pytest.approx(8 / 7)]
    assert (grpo.loss_type, grpo.scale_rewards) == ("grpo", "group")
    assert grpo.per_device_train_batch_size * grpo.gradient_accumulation_steps == 32


def test_an_update_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    played = [
        replace(rollout, reward=math.inf) if number == 0 else rollout for number, rollout in enumerate(rollouts())
    ]
    model, figures = stepped(played, tmp_path)
    assert figures["failed_updates"] == 1
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
