"""Losses and advantages, by hand-worked numbers and by what must hold; tests/integrations has verl beside them."""

import math

import pytest
import torch

from tests.train.tiny import tiny_model, tiny_tokenizer
from workroom.train import losses, scoring
from workroom.train.batch import make_batch
from workroom.train.records import Rollout, TrainRow

MASK = torch.tensor([[0.0, 1, 1, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
OWNERS = torch.tensor([0, 0, 1])


def test_leave_one_out_measures_by_the_others() -> None:
    rewards = torch.tensor([1.0, 0.0, 5.0, 0.0])
    assert losses.leave_one_out(rewards, ["a", "a", "b", "a"]).tolist() == pytest.approx([1.0, -0.5, 0.0, -0.5])


def test_group_relative_with_and_without_deviation() -> None:
    rewards = torch.tensor([1.0, 0.0, 5.0])
    assert losses.group_relative(rewards, [1, 1, 2], std=False).tolist() == [0.5, -0.5, 0.0]
    scaled = losses.group_relative(rewards, [1, 1, 2]).tolist()
    assert scaled == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5), 0.0], abs=1e-5)


def test_a_group_of_one_reward_teaches_nothing() -> None:
    rewards = torch.full((4,), 0.3)
    assert not losses.group_relative(rewards, [0, 0, 0, 0]).any()
    assert not losses.leave_one_out(rewards, [0, 0, 0, 0]).any()


def test_time_passes_over_sampled_tokens_alone() -> None:
    rewards, values = torch.tensor([[0.0, 0, 1]]), torch.tensor([[0.1, 0.2, 0.4]])
    dense = losses.gae(rewards, values, torch.ones(1, 3), gamma=0.9, lam=0.5)
    delta = [0.9 * 0.2 - 0.1, 0.9 * 0.4 - 0.2, 1 - 0.4]
    by_hand = [delta[0] + 0.45 * (delta[1] + 0.45 * delta[2]), delta[1] + 0.45 * delta[2], delta[2]]
    torch.testing.assert_close(dense[0], torch.tensor([by_hand]))
    mask = torch.tensor([[0.0, 1, 0, 0, 1, 1, 0]])
    spread = torch.full((1, 7), 9.0)  # what stands at observations is not read
    wide_rewards, wide_values = spread.clone(), spread.clone()
    wide_rewards[mask.bool()], wide_values[mask.bool()] = rewards[0], values[0]
    wide = losses.gae(wide_rewards, wide_values, mask, gamma=0.9, lam=0.5)
    for narrow, broad in zip(dense, wide, strict=True):
        torch.testing.assert_close(broad[mask.bool()], narrow[0])
        assert not broad[~mask.bool()].any()


def test_whitened_tokens_have_mean_0_and_deviation_1() -> None:
    values = torch.tensor([[7.0, 1, 2, 7, 6]] * 3)
    chosen = losses.whiten(values, MASK)[MASK.bool()]
    assert float(chosen.mean()) == pytest.approx(0, abs=1e-6)
    assert float(chosen.std()) == pytest.approx(1, abs=1e-6)
    assert losses.whiten(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0]])).tolist() == [[0.0, 4.0]]


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped", "flows"),
    [
        (1.1, 1.0, -1.1, 0, True),
        (1.4, 1.0, -1.28, 1, False),
        (0.5, 1.0, -0.5, 0, True),
        (0.5, -1.0, 0.8, 1, False),
        (1.4, -1.0, 1.4, 0, True),
        (5.0, -1.0, 3.0, 1, False),
    ],
)
def test_policy_loss_is_bounded_on_the_side_that_gains(
    ratio: float, advantage: float, loss: float, clipped: int, flows: bool
) -> None:
    logprobs = torch.tensor([[math.log(ratio)]], requires_grad=True)
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    found, share = losses.policy_losses(logprobs, zero, one * advantage, one, clip_low=0.2, clip_high=0.28)
    assert found.tolist() == [[pytest.approx(loss)]]
    assert float(share) == clipped
    found.sum().backward()
    assert logprobs.grad is not None
    assert bool(logprobs.grad.any()) is flows


def test_no_gradient_reaches_a_token_that_was_not_sampled() -> None:
    logprobs = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with torch.no_grad():
        logprobs[0, 0] = float("-inf")  # an observation may be impossible for the policy
    old, advantages = torch.zeros(3, 5), torch.ones(3, 5)
    each, _ = losses.policy_losses(logprobs, old, advantages, MASK, clip_low=10, clip_high=10)
    total = losses.aggregate(each + losses.kl_estimates(logprobs, old, MASK), MASK, "seq-mean-token-sum", OWNERS)
    total.backward()
    assert logprobs.grad is not None
    assert torch.equal(logprobs.grad != 0, MASK.bool())


def test_aggregation_counts_rollouts_not_rows() -> None:
    each = torch.arange(15.0).reshape(3, 5) * MASK  # 1 + 2 + 4 and 6
    assert float(losses.aggregate(each, MASK, "token-mean")) == pytest.approx(13 / 4)
    assert float(losses.aggregate(each, MASK, "seq-mean-token-sum")) == pytest.approx(13 / 2)
    assert float(losses.aggregate(each, MASK, "seq-mean-token-mean")) == pytest.approx((7 / 3 + 6) / 2)
    assert float(losses.aggregate(each, MASK, "token-mean", OWNERS)) == pytest.approx(13 / 4)
    assert float(losses.aggregate(each, MASK, "seq-mean-token-sum", OWNERS)) == pytest.approx(13)
    assert float(losses.aggregate(each, MASK, "seq-mean-token-mean", OWNERS)) == pytest.approx(13 / 4)


def test_value_loss_takes_the_worse_of_plain_and_bounded() -> None:
    one = torch.ones(1, 2)
    values, old, returns = torch.tensor([[2.0, 0.1]]), torch.zeros(1, 2), torch.tensor([[2.0, 1.0]])
    assert losses.value_losses(values, old, returns, one, clip=0.5)[0].tolist() == pytest.approx(
        [1.5**2 / 2, 0.9**2 / 2]
    )


def test_divergence_estimators_agree_in_the_mean() -> None:
    generator = torch.Generator().manual_seed(1)
    policy, reference = torch.randn(2, 8, generator=generator).log_softmax(-1)
    tokens = torch.multinomial(policy.exp(), 100_000, replacement=True, generator=generator).unsqueeze(0)
    truth = float((policy.exp() * (policy - reference)).sum())
    for estimator in ("k1", "k3"):
        found = losses.kl_estimates(policy[tokens], reference[tokens], torch.ones_like(tokens), estimator)
        assert float(found.mean()) == pytest.approx(truth, abs=0.02)
    assert float(losses.entropies(policy)) == pytest.approx(float(-(policy.exp() * policy).sum()))


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2, 3, 99]])
    mask = torch.tensor([[1.0, 1, 1, 0]])
    assert losses.explained_variance(returns, returns, mask) == 1
    assert losses.explained_variance(torch.zeros(1, 4), returns, mask) == 0
    assert math.isnan(losses.explained_variance(returns, torch.ones(1, 4), mask))


def test_what_rows_share_is_computed_once_with_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    prompt = tuple(torch.randint(5, 290, (60,)).tolist())
    rollouts = []
    for number in range(5):
        response = tuple(torch.randint(5, 290, (10 + 3 * number,)).tolist())
        mask = (1,) * 5 + (0,) * 2 + (1,) * (len(response) - 7)
        row = TrainRow((*prompt, 7 + number), response, mask, tuple(-1.0 * sampled for sampled in mask))
        rollouts.append(Rollout(str(number), 1, (row,), 1.0, "submitted"))
    batch = make_batch(rollouts, 0)

    def run(least: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        monkeypatch.setattr(scoring, "_LEAST", least)
        model.zero_grad()
        logprobs = scoring.score(model, batch).logprobs
        (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
        return logprobs.detach(), [parameter.grad.clone() for parameter in model.parameters()]

    shared, gradients = run(32)
    whole, expected = run(10**6)
    assert torch.allclose(shared, whole, atol=1e-5)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(gradients, expected, strict=True))
