"""Run by the interpreter of verl's environment: prints what verl's `core_algos` make of seeded inputs, as JSON.

The inputs are made here and printed too, so that nothing but numbers passes between the two environments.
"""

import json
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo import core_algos
from verl.utils import torch_functional
from verl.workers.config import ActorConfig

GROUPS = ["a", "b", "a", "a", "b", "a"]
CLIPS = (0.2, 0.28)
DISCOUNTS = ((1.0, 1.0), (0.9, 0.8))
MODES = ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean")


def inputs() -> dict[str, torch.Tensor]:
    """Six rows of twelve tokens: observations between sampled tokens, padding, and one row without a sampled token."""
    generator = torch.Generator().manual_seed(5)

    def normal(scale: float, shift: float = 0.0) -> torch.Tensor:
        return torch.randn(6, 12, generator=generator) * scale + shift

    mask = (torch.rand(6, 12, generator=generator) < 0.6).float()
    mask[1, 7:] = 0
    mask[4] = 0
    mask[5, 3:] = 0
    rewards = torch.zeros(6, 12)
    for row, reward in enumerate([1.0, 0.0, 0.25, 0.0, 0.5, 1.0]):
        sampled = mask[row].nonzero()
        rewards[row, int(sampled[-1]) if len(sampled) else 0] = reward
    old = normal(1.0, -2.0)
    return {
        "mask": mask,
        "rewards": rewards,
        "old": old,
        "logprobs": old + normal(1.5),  # ratios on both sides of all bounds
        "advantages": normal(1.0),
        "values": normal(0.5),
        "old_values": normal(0.5),
        "returns": normal(1.0),
        "logits": torch.randn(6, 12, 7, generator=generator),
    }


def answers(data: dict[str, torch.Tensor]) -> dict[str, Any]:
    """By name, what verl says of the inputs."""
    mask, rewards, index = data["mask"], data["rewards"], np.array(GROUPS)
    found: dict[str, Any] = {
        "rloo": core_algos.compute_rloo_outcome_advantage(rewards.clone(), mask, index)[0],
        "entropy": torch_functional.entropy_from_logits(data["logits"]),
        "whiten": torch_functional.masked_whiten(data["advantages"], mask) * mask,
    }
    for std in (True, False):
        found[f"grpo {std}"] = core_algos.compute_grpo_outcome_advantage(
            rewards.clone(), mask, index, norm_adv_by_std_in_grpo=std
        )[0]
    for gamma, lam in DISCOUNTS:
        advantages, returns = core_algos.compute_gae_advantage_return(rewards, data["values"], mask, gamma, lam)
        found[f"gae {gamma} {lam}"] = advantages * mask
        found[f"returns {gamma} {lam}"] = returns * mask
    for estimator in ("k1", "k2", "k3"):
        found[f"kl {estimator}"] = core_algos.kl_penalty(data["logprobs"], data["old"], estimator) * mask
    config = ActorConfig(
        strategy="fsdp",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio=CLIPS[0],
        clip_ratio_low=CLIPS[0],
        clip_ratio_high=CLIPS[1],
    )
    for mode in MODES:
        logprobs = data["logprobs"].clone().requires_grad_()
        loss, figures = core_algos.compute_policy_loss_vanilla(
            data["old"], logprobs, data["advantages"], mask, mode, config
        )
        loss.backward()
        found[f"policy {mode}"] = loss.detach()
        found[f"policy gradient {mode}"] = logprobs.grad
        found["clipped"] = torch.tensor(figures["actor/pg_clipfrac"] + figures["actor/pg_clipfrac_lower"])
        found[f"value {mode}"] = core_algos.compute_value_loss(
            data["values"], data["returns"], data["old_values"], mask, 0.5, mode
        )[0]
    return found


if __name__ == "__main__":
    given = inputs()
    shown = {
        part: {name: tensor.tolist() for name, tensor in tensors.items()}
        for part, tensors in (("inputs", given), ("answers", answers(given)))
    }
    print(json.dumps(shown | {"groups": GROUPS, "discounts": DISCOUNTS, "modes": MODES, "clips": CLIPS}))
