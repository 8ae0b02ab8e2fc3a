"""Our own trainer: it learns, what it must not learn from it does not, and it goes on after a kill."""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import tiny
from tests.train.bandit import PROMPT, sample, tiny_model, tiny_tokenizer
from workroom.errors import ConfigError
from workroom.train import scoring
from workroom.train.batch import make_batch
from workroom.train.config import TrainConfig
from workroom.train.engines.ppo import PpoEngine
from workroom.train.engines.ppo_trainer import PpoTrainer
from workroom.train.hf_sampler import HfSampler
from workroom.train.records import Rollout, TrainRow

MANY: dict[str, Any] = {"epochs": 2, "minibatches": 2}


def config(name: str = "paper", *, model: dict[str, Any] | None = None, **algorithm: Any) -> TrainConfig:
    settings = {"name": name, "lr": 3e-3, "value_lr": 3e-2, "micro_batch": 8, "steps": 4, "prompts": 4} | algorithm
    return TrainConfig.model_validate(
        {
            "engine": "ppo",
            "model": {"path": "tiny"} | (model or {}),
            "algorithm": settings,
            "output": {"checkpoint_every": 2, "keep_checkpoints": 1},
        }
    )


def trainer(name: str = "paper", *, seed: int = 0, **more: Any) -> PpoTrainer:
    return PpoTrainer(tiny_model(seed), tiny_tokenizer(), config(name, **more))


def low(row: TrainRow) -> float:
    """The share of sampled tokens in the lower half of the vocabulary."""
    chosen = [token < 12 for token, sampled in zip(row.response_ids, row.mask, strict=True) if sampled]
    return sum(chosen) / len(chosen)


def mean(rollouts: Sequence[Rollout]) -> float:
    return sum(rollout.reward or 0 for rollout in rollouts) / len(rollouts)


def weights(model: Any) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize(
    ("name", "more"),
    [("paper", {}), ("grpo", {"kl": 0.01, "entropy": 0.001}), ("ppo", MANY), ("ppo", {"value_gradient": True} | MANY)],
)
def test_every_algorithm_learns(name: str, more: dict[str, Any]) -> None:
    own = trainer(name, **more)
    torch.manual_seed(0)
    rewards = []
    for _ in range(6):
        rollouts = sample(own.model, low)
        rewards.append(mean(rollouts))
        figures = own.step(rollouts)
        assert all(map(math.isfinite, figures.values()))
        assert figures["sampler_gap"] < 1e-4
        assert figures["updates"] == (4 if name == "ppo" else 1)
    assert rewards[-1] > rewards[0] + 0.15
    assert ("value_loss" in figures) == (name == "ppo")
    assert ("reference_kl" in figures) == (name == "grpo")


def test_the_sampler_and_the_trainer_agree() -> None:
    own = trainer()
    torch.manual_seed(0)
    batch = make_batch(sample(own.model, low, turns=(3, 2, 1)), 0)
    logprobs, values = own.measure(batch)
    torch.testing.assert_close(logprobs, batch.logprobs, rtol=0, atol=1e-4)
    assert not values.any()


def test_the_batching_sampler_and_the_trainer_agree_after_every_step() -> None:
    tokenizer = tiny.tiny_tokenizer()
    model = tiny.tiny_model(tokenizer)
    own = PpoTrainer(model, tokenizer, config(lr=1e-2))
    sampler = HfSampler(model, tokenizer, batch=3)
    prompts = [tuple(range(3, 3 + length)) for length in (2, 9, 30, 17)]

    async def rows() -> list[TrainRow]:
        said = await asyncio.gather(*(sampler.sample(prompt, max_tokens=12, seed=1) for prompt in prompts))
        return [
            TrainRow(prompt, one.ids, (1,) * len(one.ids), one.logprobs)
            for prompt, one in zip(prompts, said, strict=True)
        ]

    for _ in range(3):
        rollouts = [rollout((), (), (), float(place), rows=(row,)) for place, row in enumerate(asyncio.run(rows()))]
        with sampler.exclusive():
            figures = own.step(rollouts)
        sampler.policy_changed()
        assert figures["updates"] == 1
        assert figures["sampler_gap"] < 1e-4
    asyncio.run(sampler.aclose())


def test_the_temperature_of_the_rollouts_is_that_of_the_ratios() -> None:
    settings = config().model_copy(update={"rollout": config().rollout.model_copy(update={"temperature": 0.5})})
    own = PpoTrainer(tiny_model(), tiny_tokenizer(), settings)
    batch = make_batch([rollout((1, 2), (3,), (1,))], 0)
    with torch.no_grad():
        expected = (own.model(torch.tensor([[1, 2]])).logits[0, -1] / 0.5).log_softmax(-1)[3]
    assert float(own.measure(batch)[0].sum()) == pytest.approx(float(expected), abs=1e-5)


def rollout(
    prompt: tuple[int, ...], response: tuple[int, ...], mask: tuple[int, ...], reward: float | None = 1.0, **more: Any
) -> Rollout:
    row = TrainRow(prompt, response, mask, tuple(-3.0 * flag for flag in mask))
    return Rollout("g", more.get("sample", 0), more.get("rows", (row,)), reward, "submitted")


def test_logits_are_made_for_sampled_tokens_alone() -> None:
    """So no gradient can reach what the model says of observations, prompts and padding."""
    own = trainer()
    seen: list[int] = []
    own.model.lm_head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[0]))
    own.step([rollout((1, 2), (3, 4, 5, 6), (1, 0, 0, 1)), rollout((1, 2), (3, 4), (1, 0), 0.0)])
    assert seen == [3]


def test_what_an_observation_says_of_itself_changes_nothing() -> None:
    """The numbers at tokens that were not sampled are not read."""
    plain = [rollout((1, 2), (3, 4, 5, 6), (1, 0, 0, 1)), rollout((1, 2), (3, 4), (1, 0), 0.0)]
    odd = [replace(one, rows=(replace(one.rows[0], logprobs=_odd(one.rows[0])),)) for one in plain]
    for name in ("paper", "ppo"):
        first, second = trainer(name), trainer(name)
        assert first.step(plain) == second.step(odd)
        assert same(weights(first.model), weights(second.model))


def _odd(row: TrainRow) -> tuple[float, ...]:
    return tuple(value if flag else 77.0 for value, flag in zip(row.logprobs, row.mask, strict=True))


def test_the_size_of_micro_batches_is_no_matter() -> None:
    torch.manual_seed(0)
    rollouts = sample(tiny_model(), low, turns=(2, 3)) + sample(tiny_model(), low, turns=(1,))
    for name in ("paper", "grpo", "ppo"):
        one, many = trainer(name, micro_batch=64), trainer(name, micro_batch=5)
        first, second = one.step(rollouts), many.step(rollouts)
        assert second == pytest.approx(first, rel=1e-3, abs=1e-5)


def test_logits_made_in_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    rollouts = sample(tiny_model(), low, turns=(2, 3))
    one, many = trainer(entropy=0.01), trainer(entropy=0.01)
    first = one.step(rollouts)
    monkeypatch.setattr(scoring, "_CHUNK", 7)
    assert many.step(rollouts) == pytest.approx(first, rel=1e-3, abs=1e-5)


def test_rows_of_one_rollout_share_its_reward_and_its_weight() -> None:
    rows = tuple(TrainRow((1, 2), (3, 4 + place), (1, 1), (-3.0, -3.0)) for place in range(2))
    split = [rollout((), (), (), 1.0, rows=rows), rollout((1, 2), (5, 5), (1, 1), 0.0, sample=1)]
    seen: list[torch.Tensor] = []
    for name in ("paper", "ppo"):
        own = trainer(name)
        losses = own._losses
        own._losses = lambda part, aim, *rest, call=losses: seen.append(aim.advantages) or call(part, aim, *rest)  # type: ignore[method-assign, func-returns-value]
        own.step(split)
    paper, ppo = seen
    assert paper.sum(1).tolist() == [2.0, 2.0, -2.0]
    assert ppo[0, 2] == pytest.approx(ppo[1, 3])  # gamma and lam are 1 and values 0: the reward reaches both rows


def test_what_cannot_be_learnt_from_takes_no_part() -> None:
    good = [rollout((1, 2), (3, 4), (1, 1)), rollout((1, 2), (5, 4), (1, 1), 0.0)]
    failed = [rollout((1, 2), (3, 4), (1, 1), None), rollout((1, 2), (3, 4), (0, 0)), rollout((), (), (), rows=())]
    first, second = trainer("ppo"), trainer("ppo")
    assert first.step(good) == second.step([*failed, *good])
    assert same(weights(first.model), weights(second.model))
    before = weights(first.model)
    assert first.step(failed)["updates"] == 0
    assert first.steps == 2
    assert same(before, weights(first.model))


def test_groups_of_one_reward_cost_nothing_and_change_nothing() -> None:
    own = trainer()
    before = weights(own.model)
    figures = own.step([rollout((1, 2), (3, 4), (1, 1)), rollout((1, 2), (5, 4), (1, 1))])
    assert figures["updates"] == 0
    assert same(before, weights(own.model))


def test_an_update_without_a_finite_gradient_is_left_out() -> None:
    own = trainer()
    before = weights(own.model)
    own.model.lm_head.register_forward_hook(lambda _, __, output: output * float("nan"))
    figures = own.step([rollout((1, 2), (3, 4), (1, 1)), rollout((1, 2), (5, 4), (1, 1), 0.0)])
    assert figures["failed_updates"] == 1
    assert "grad_norm" not in figures
    assert same(before, weights(own.model))


def test_bfloat16_measures_again_where_there_are_several_updates() -> None:
    good = [rollout((1, 2), (3, 4), (1, 1)), rollout((1, 2), (5, 4), (1, 1), 0.0)]  # the sampler's are far off
    for dtype, epochs, again in (("bfloat16", 2, True), ("bfloat16", 1, False), ("float32", 2, False)):
        own = trainer(model={"dtype": dtype}, epochs=epochs, lr=1e-9)
        figures = own.step(good)
        assert figures["sampler_gap"] > 0.01
        assert (figures["kl"] < 1e-5) is again
        assert own.model.dtype == torch.float32


def test_warm_up_raises_the_rate() -> None:
    own = trainer(warmup_steps=4, lr=1.0)
    good = [rollout((1, 2), (3, 4), (1, 1)), rollout((1, 2), (5, 4), (1, 1), 0.0)]
    assert [own.step(good)["learning_rate"] for _ in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_gradient_checkpointing_gives_the_same() -> None:
    torch.manual_seed(0)
    rollouts = sample(tiny_model(), low)
    plain, saving = trainer(), trainer(model={"gradient_checkpointing": True})
    assert saving.step(rollouts) == pytest.approx(plain.step(rollouts), rel=1e-4, abs=1e-6)
    assert not saving.model.training


def test_a_model_that_bends_its_logits_is_refused() -> None:
    model = tiny_model()
    head = model.forward

    def bent(*arguments: Any, **named: Any) -> Any:
        output = head(*arguments, **named)
        output.logits = output.logits * 2
        return output

    model.forward = bent
    with pytest.raises(ConfigError, match="trl"):
        PpoTrainer(model, tiny_tokenizer(), config())


class World:
    """Rollouts for an engine, from its model; a step can be the one in which it is killed."""

    def __init__(self, model: Any, *, killed: int = 99, stopped: int = 99) -> None:
        self.model = model
        self.killed, self.stopped = killed, stopped
        self.asked: list[Sequence[str]] = []
        self.told: list[tuple[int, dict[str, float]]] = []

    def collect(self, names: Sequence[str], step: int) -> list[Rollout]:
        if step == self.killed:
            raise KeyboardInterrupt
        torch.manual_seed(step)
        self.asked.append(names)
        return sample(self.model, low)

    def on_step(self, step: int, figures: dict[str, float]) -> bool:
        self.told.append((step, {name: value for name, value in figures.items() if name != "update_seconds"}))
        return step == self.stopped


def engine(world: World, directory: Path, name: str = "ppo") -> PpoEngine:
    settings = config(name, **MANY)
    tasks = [f"task-{number}" for number in range(6)]
    tokenizer = tiny_tokenizer()
    return PpoEngine(world.model, tokenizer, settings, tasks, directory, collect=world.collect, on_step=world.on_step)


def test_going_on_after_a_kill_is_as_if_there_had_been_none(tmp_path: Path) -> None:
    whole = World(tiny_model())
    assert engine(whole, tmp_path / "whole").train(resume=False) == 4
    killed = World(tiny_model(), killed=3)
    with pytest.raises(KeyboardInterrupt):
        engine(killed, tmp_path / "parts").train(resume=False)
    torch.manual_seed(77)
    again = World(tiny_model(seed=9))  # its weights are the checkpoint's
    assert engine(again, tmp_path / "parts").train(resume=True) == 4
    assert same(weights(again.model), weights(whole.model))
    assert killed.told[:2] + again.told == whole.told
    assert killed.asked[:2] + again.asked == whole.asked
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["checkpoint-4"]


def test_every_pass_meets_every_task_in_another_order(tmp_path: Path) -> None:
    own = engine(World(tiny_model()), tmp_path)
    names = [own.names(step) for step in range(3)]
    assert {len(step) for step in names} == {4 * 8}
    met = [step[place] for step in names for place in range(0, 32, 8)]
    assert all(step[place : place + 8] == [step[place]] * 8 for step in names for place in range(0, 32, 8))
    assert sorted(met[:6]) == sorted(met[6:]) == [f"task-{number}" for number in range(6)]
    assert met[:6] != met[6:]


def test_stopping_leaves_a_checkpoint_that_transformers_reads(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    world = World(tiny_model(), stopped=1)
    assert engine(world, tmp_path).train(resume=False) == 1
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint-1", dtype="float32")
    assert same(weights(read), weights(world.model))
    assert len(AutoTokenizer.from_pretrained(tmp_path / "checkpoint-1")) == 24
    json.dumps(world.told, allow_nan=False)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    own = trainer("ppo")
    own.save(tmp_path / "one")
    with pytest.raises(ConfigError, match="another algorithm"):
        trainer("paper").load(tmp_path / "one")
    with pytest.raises(ConfigError, match="another model"):
        PpoTrainer(tiny_model(vocabulary=25), tiny_tokenizer(), config("ppo")).load(tmp_path / "one")
    with pytest.raises(ConfigError, match="no checkpoint"):
        own.load(tmp_path / "two")


def test_a_row_without_a_prompt_is_an_error() -> None:
    with pytest.raises(ValueError, match="prompt"):
        make_batch([rollout((), (3,), (1,))], 0)
    assert make_batch([rollout(PROMPT, (3,), (1,))], 0).mask.tolist() == [[0, 0, 0, 1]]
