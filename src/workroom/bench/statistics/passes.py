"""pass@k and pass^k: one of k tries is right, all of k tries are."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from workroom.bench.statistics.means import mean_interval

if TYPE_CHECKING:
    from workroom.bench.statistics.means import Estimate


def pass_at_k(tries: int, right: int, k: int) -> float:
    """The probability that at least one of k of these tries, drawn at random, is right.

    The unbiased estimate 1 − C(n − c, k) / C(n, k) of Chen et al., "Evaluating Large Language Models Trained on Code"
    (2021). Raises ValueError for k > tries.
    """
    _check(tries, right, k)
    return 1 - math.comb(tries - right, k) / math.comb(tries, k)


def pass_hat_k(tries: int, right: int, k: int) -> float:
    """The probability that all k of them are right: C(c, k) / C(n, k), as in Yao et al., "τ-bench" (2024)."""
    _check(tries, right, k)
    return math.comb(right, k) / math.comb(tries, k)


def passes(
    by_item: Mapping[str, Sequence[float]], k: int, measure: Callable[[int, int, int], float] = pass_at_k
) -> "Estimate | None":
    """The mean of `measure` over the items with at least k scores, None where there is none; right is a score of 1."""
    each = {
        item: [measure(len(scores), sum(score >= 1 - 1e-9 for score in scores), k)]
        for item, scores in by_item.items()
        if len(scores) >= k
    }
    return mean_interval(each) if each else None


def _check(tries: int, right: int, k: int) -> None:
    if not 0 <= right <= tries or not 1 <= k <= tries:
        raise ValueError(f"there are no {k} of {tries} tries, {right} of them right")
