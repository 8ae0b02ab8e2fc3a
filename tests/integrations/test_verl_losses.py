"""Our losses and advantages beside those of verl, which computes in an environment of its own (see the Makefile)."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from workroom.train import losses

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("WORKROOM_VERL_PYTHON") or ROOT / ".venv-verl" / "bin" / "python")


@pytest.fixture(scope="module")
def verl() -> dict[str, Any]:
    """What verl_oracle.py printed, lists as tensors."""
    if not PYTHON.exists():
        pytest.skip(f"there is no environment with verl: `make test` makes {PYTHON}")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [PYTHON, Path(__file__).with_name("verl_oracle.py")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for part in ("inputs", "answers"):
        found[part] = {name: torch.tensor(values) for name, values in found[part].items()}
    return found


def check(verl: dict[str, Any], name: str, ours: torch.Tensor) -> None:
    torch.testing.assert_close(ours, verl["answers"][name], rtol=0, atol=1e-5, msg=lambda text: f"{name}: {text}")


def test_the_inputs_reach_what_matters(verl: dict[str, Any]) -> None:
    """Ratios beyond every bound, observations between sampled tokens, and a row without any."""
    given = verl["inputs"]
    mask, ratio = given["mask"].bool(), (given["logprobs"] - given["old"]).exp()
    rises = given["advantages"] > 0
    assert (ratio[mask & rises] > 1.28).any()
    assert (ratio[mask & ~rises] < 0.8).any()
    assert (ratio[mask & ~rises] > 3).any()
    assert ((given["values"] - given["old_values"])[mask].abs() > 0.5).any()
    assert not mask[4].any()
    assert (mask[0, 1:] & ~mask[0, :-1]).sum() > 1


def test_advantages_within_a_group(verl: dict[str, Any]) -> None:
    mask, groups = verl["inputs"]["mask"], verl["groups"]
    rewards = verl["inputs"]["rewards"].sum(1)
    check(verl, "rloo", losses.leave_one_out(rewards, groups).unsqueeze(1) * mask)
    for std in (True, False):
        check(verl, f"grpo {std}", losses.group_relative(rewards, groups, std=std).unsqueeze(1) * mask)


def test_gae_and_whitening(verl: dict[str, Any]) -> None:
    given = verl["inputs"]
    mask = given["mask"]
    check(verl, "whiten", losses.whiten(given["advantages"], mask))
    for gamma, lam in verl["discounts"]:
        advantages, returns = losses.gae(given["rewards"], given["values"], mask, gamma=gamma, lam=lam)
        check(verl, f"gae {gamma} {lam}", losses.whiten(advantages, mask))
        check(verl, f"returns {gamma} {lam}", returns)


def test_policy_loss_its_gradient_and_the_clipped_share(verl: dict[str, Any]) -> None:
    given = verl["inputs"]
    mask = given["mask"]
    low, high = verl["clips"]
    for mode in verl["modes"]:
        logprobs = given["logprobs"].clone().requires_grad_()
        each, clipped = losses.policy_losses(
            logprobs, given["old"], given["advantages"], mask, clip_low=low, clip_high=high
        )
        loss = losses.aggregate(each, mask, mode)
        loss.backward()
        check(verl, f"policy {mode}", loss.detach())
        assert logprobs.grad is not None
        check(verl, f"policy gradient {mode}", logprobs.grad)
        check(verl, "clipped", clipped.sum() / mask.sum())


def test_value_loss(verl: dict[str, Any]) -> None:
    given = verl["inputs"]
    each = losses.value_losses(given["values"], given["old_values"], given["returns"], given["mask"], clip=0.5)
    for mode in verl["modes"]:
        check(verl, f"value {mode}", losses.aggregate(each, given["mask"], mode))


def test_divergence_and_entropy(verl: dict[str, Any]) -> None:
    given = verl["inputs"]
    for estimator in ("k1", "k2", "k3"):
        check(verl, f"kl {estimator}", losses.kl_estimates(given["logprobs"], given["old"], given["mask"], estimator))
    check(verl, "entropy", losses.entropies(given["logits"]))
