"""What an update follows: advantages, losses and estimators, as plain functions of tensors.

Tensors are (rows, tokens) in float32, padded on the right; `mask` has the same shape and is 1 where the policy sampled.
What comes back is 0 where the mask is 0, and no gradient flows there. Losses come per token: `aggregate` (or
`token_weights`, for a batch that is worked through in pieces) makes one number of them. All are held against verl's
`core_algos` in tests/integrations/test_verl_losses.py.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Aggregation = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean"]
Estimator = Literal["k1", "k2", "k3"]
_BOUND = 20.0  # of a difference of log-probabilities: what exp() of more would bring is no ratio any more


def leave_one_out(rewards: "Tensor", groups: Sequence[Hashable]) -> "Tensor":
    """The advantage of each rollout over the others of its group (RLOO, Ahmadian et al. 2024, arXiv 2402.14740, eq. 7).

    A_i = r_i - mean of r_j over j != i, for `rewards` of shape (rollouts,). A rollout alone in its group has nothing to
    be measured by: 0 (verl takes the reward as it is).
    """
    advantages = rewards.new_zeros(rewards.shape)
    for places in _places(groups):
        count = len(places)
        if count > 1:
            own = rewards[places]
            advantages[places] = (own - own.mean()) * count / (count - 1)
    return advantages


def group_relative(rewards: "Tensor", groups: Sequence[Hashable], *, std: bool = True) -> "Tensor":
    """The advantage of each rollout within its group (GRPO, Shao et al. 2024, arXiv 2402.03300, section 4.1.2).

    A_i = (r_i - mean) / (std + 1e-6), of the group, for `rewards` of shape (rollouts,); the deviation is the one over
    n - 1. Without `std` the difference stays as it is (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783). A rollout alone in
    its group: 0.
    """
    advantages = rewards.new_zeros(rewards.shape)
    for places in _places(groups):
        if len(places) > 1:
            own = rewards[places]
            scale = own.std() + 1e-6 if std else 1.0
            advantages[places] = (own - own.mean()) / scale
    return advantages


def gae(rewards: "Tensor", values: "Tensor", mask: "Tensor", *, gamma: float, lam: float) -> "tuple[Tensor, Tensor]":
    """Advantages and returns of every token (GAE, Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    A_t = delta_t + gamma lam A_t+1 with delta_t = r_t + gamma V_t+1 - V_t, and the return A_t + V_t. Time passes over
    sampled tokens alone, so that t + 1 is the next of them, whatever the harness put between: what an observation is
    worth is no doing of the policy, and its rewards are not read. Nothing is whitened here.
    """
    advantages = values.new_zeros(values.shape)
    after = values.new_zeros(values.shape[0])  # V_t+1
    ahead = values.new_zeros(values.shape[0])  # A_t+1
    for t in reversed(range(values.shape[1])):
        sampled = mask[:, t].bool()
        advantage = rewards[:, t] + gamma * after - values[:, t] + gamma * lam * ahead
        ahead = advantage.where(sampled, ahead)
        after = values[:, t].where(sampled, after)
        advantages[:, t] = ahead
    return advantages * mask, (advantages + values) * mask


def whiten(values: "Tensor", mask: "Tensor") -> "Tensor":
    """(x - mean) / sqrt(variance + 1e-8) over the sampled tokens, the variance being the one over n - 1.

    Engstrom et al. 2020 (arXiv 2005.12729) list it among what makes PPO work. Fewer than two tokens stay as they are.
    """
    sampled = values[mask.bool()]
    if sampled.numel() < 2:
        return values * mask
    return (values - sampled.mean()) * (sampled.var() + 1e-8).rsqrt() * mask


def policy_losses(
    logprobs: "Tensor",
    old: "Tensor",
    advantages: "Tensor",
    mask: "Tensor",
    *,
    clip_low: float,
    clip_high: float,
    dual: float | None = 3.0,
) -> "tuple[Tensor, Tensor]":
    """The clipped loss of every token (PPO, Schulman et al. 2017, arXiv 1707.06347, eq. 7), and 1 where it was clipped.

    max(-A rho, -A clip(rho, 1 - clip_low, 1 + clip_high)) with rho = exp(logprobs - old); two bounds as in DAPO (Yu et
    al. 2025, arXiv 2503.14476). `dual` bounds the loss by -A dual where A < 0 (Ye et al. 2020, arXiv 1912.09729, eq.
    5); 3.0 is verl's default, which the authors ran with. A clipped token has no gradient.
    """
    difference = (logprobs - old).where(mask.bool(), logprobs.new_zeros(())).clamp(-_BOUND, _BOUND)
    ratio = difference.exp()
    plain = -advantages * ratio
    bounded = -advantages * ratio.clamp(1 - clip_low, 1 + clip_high)
    losses = plain.maximum(bounded)
    clipped = bounded > plain
    if dual is not None:
        ceiling = -advantages * dual
        over = (advantages < 0) & (losses > ceiling)
        losses = ceiling.where(over, losses)
        clipped = clipped | over
    return losses * mask, clipped * mask


def value_losses(values: "Tensor", old: "Tensor", returns: "Tensor", mask: "Tensor", *, clip: float) -> "Tensor":
    """The clipped squared error of every token, halved (as in OpenAI's baselines; Engstrom et al. 2020, arXiv
    2005.12729, section 3).

    max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2) / 2.
    """
    near = values.maximum(old - clip).minimum(old + clip)
    return ((values - returns) ** 2).maximum((near - returns) ** 2) / 2 * mask


def kl_estimates(logprobs: "Tensor", reference: "Tensor", mask: "Tensor", estimator: Estimator = "k3") -> "Tensor":
    """What each token says of the divergence KL(policy, reference), sampled from the policy (Schulman 2020,
    joschu.net/blog/kl-approx.html).

    With d = reference - logprobs: k1 is -d, k2 is d^2 / 2, k3 is exp(d) - d - 1, which is unbiased and never negative;
    like verl, d is bounded by 20 and k3 by 10.
    """
    difference = (reference - logprobs).where(mask.bool(), logprobs.new_zeros(()))
    if estimator == "k1":
        return -difference
    if estimator == "k2":
        return difference**2 / 2
    difference = difference.clamp(-_BOUND, _BOUND)
    return (difference.exp() - difference - 1).clamp(max=10.0)


def entropies(logprobs: "Tensor") -> "Tensor":
    """H = -sum p log p in nats over the last axis, the whole vocabulary's log-probabilities: (...) of (..., words)."""
    return -(logprobs.exp() * logprobs).sum(-1)


def token_weights(mask: "Tensor", mode: Aggregation, rollouts: "Tensor | None" = None) -> "Tensor":
    """Weights whose sum with per-token losses is what `mode` says, so that parts of a batch add up to the whole.

    A sequence is a rollout: `rollouts` of shape (rows,) numbers the one that each row is of (None: every row is its
    own), and rows of one share its weight. One without a sampled token counts nowhere.

    - `token-mean`: the mean over all tokens (DAPO, arXiv 2503.14476, eq. 8).
    - `seq-mean-token-sum`: the sum over a sequence, the mean over sequences (REINFORCE; the authors' choice).
    - `seq-mean-token-mean`: the mean over a sequence, the mean over sequences (GRPO, arXiv 2402.03300, eq. 3).
    """
    counts = mask.sum(1)
    if mode == "token-mean":
        return mask / counts.sum().clamp(min=1)
    if rollouts is not None:
        total = counts.new_zeros(int(rollouts.max()) + 1).index_add(0, rollouts, counts)
        sequences, counts = (total > 0).sum(), total[rollouts]
    else:
        sequences = (counts > 0).sum()
    each = mask / sequences.clamp(min=1)
    return each / counts.clamp(min=1).unsqueeze(1) if mode == "seq-mean-token-mean" else each


def aggregate(losses: "Tensor", mask: "Tensor", mode: Aggregation, rollouts: "Tensor | None" = None) -> "Tensor":
    """One number of per-token losses, by `token_weights`."""
    return (losses * token_weights(mask, mode, rollouts)).sum()


def explained_variance(values: "Tensor", returns: "Tensor", mask: "Tensor") -> float:
    """1 - Var(R - V) / Var(R) over the sampled tokens: 1 for perfect values, 0 for constant ones. NaN where the returns
    do not vary."""
    chosen = mask.bool()
    if chosen.sum() < 2:
        return float("nan")
    spread = returns[chosen].var()
    return float(1 - (returns - values)[chosen].var() / spread) if spread > 0 else float("nan")


def _places(groups: Sequence[Hashable]) -> list[list[int]]:
    """Where the rollouts of each group are."""
    found: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        found.setdefault(group, []).append(place)
    return list(found.values())
