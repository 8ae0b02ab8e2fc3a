"""What a batch of rollouts was like, in figures."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from workroom.train.groups import LEAST, grouped
from workroom.train.rewards import FULL, OVERLONG

if TYPE_CHECKING:
    from workroom.train.meter import Meter
    from workroom.train.records import Rollout


def summarise(rollouts: "Sequence[Rollout]", meter: "Meter | None" = None) -> dict[str, float]:
    """The figures of a batch: shares are of 1, times in seconds, and what is not told otherwise a mean of an episode.

    Of all episodes: `episodes` (their number), `dropped` (share), `stop/REASON` (shares). Of those with a reward:
    `reward` and its `reward_std`, `success` (share that earned full marks), `right` (share whose answer has full marks,
    be it that the episode ran into a limit and earned less), `answered`, `clipped` (share that ran into a limit),
    `turns`, `sampled_tokens`, `observation_tokens` (what the harness put between), `rows`, `tool_use` (share that
    called a tool other than submit), `tool_calls`, `calls/TOOL`, `seconds`, `model_seconds`, `sandbox_seconds`.

    `groups` that can be learnt from, and `flat_groups`, the share of them in which all earned the same. Of the batch's
    clock: `wall`, and what held it up, see `Meter`: `model_share`, `sandbox_wait_share`.
    """
    kept = [rollout for rollout in rollouts if rollout.reward is not None]
    rewards = [rollout.reward for rollout in kept if rollout.reward is not None]
    groups = [members for members in grouped(rollouts).values() if len(members) >= LEAST]
    figures = {
        "episodes": float(len(rollouts)),
        "dropped": 1 - len(kept) / len(rollouts) if rollouts else 0.0,
        "reward": _mean(rewards),
        "reward_std": pstdev(rewards) if rewards else 0.0,
        "success": _mean(reward >= FULL for reward in rewards),
        "right": _mean(rollout.components.get("grade", 0.0) >= FULL for rollout in kept),
        "answered": _mean(rollout.answer is not None for rollout in kept),
        "clipped": _mean(rollout.stop_reason in OVERLONG for rollout in kept),
        "turns": _mean(rollout.turns for rollout in kept),
        "sampled_tokens": _mean(rollout.sampled for rollout in kept),
        "observation_tokens": _mean(_observed(rollout) for rollout in kept),
        "rows": _mean(len(rollout.rows) for rollout in kept),
        "tool_use": _mean(any(name != "submit" for name in rollout.tool_calls) for rollout in kept),
        "tool_calls": _mean(sum(rollout.tool_calls.values()) for rollout in kept),
        "seconds": _mean(rollout.seconds for rollout in kept),
        "model_seconds": _mean(rollout.model_seconds for rollout in kept),
        "sandbox_seconds": _mean(rollout.sandbox_seconds for rollout in kept),
        "groups": float(len(groups)),
        "flat_groups": _mean(len({rollout.reward for rollout in members}) == 1 for members in groups),
    }
    calls: Counter[str] = Counter()
    for rollout in kept:
        calls.update(rollout.tool_calls)
    figures |= {f"calls/{name}": count / len(kept) for name, count in sorted(calls.items())}
    reasons = Counter(rollout.stop_reason for rollout in rollouts)
    figures |= {f"stop/{reason}": count / len(rollouts) for reason, count in sorted(reasons.items())}
    if meter is not None:
        figures |= {"wall": meter.wall, "model_share": meter.share("model")}
        figures["sandbox_wait_share"] = meter.share("sandbox")
    return figures


def _observed(rollout: "Rollout") -> int:
    return sum(len(row.mask) - sum(row.mask) for row in rollout.rows)


def _mean(values: Iterable[float]) -> float:
    """0 of nothing."""
    numbers = [float(value) for value in values]
    return fmean(numbers) if numbers else 0.0
