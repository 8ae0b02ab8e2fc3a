"""Shares: so many of so many."""

import math
from typing import NamedTuple

from workroom.bench.statistics.special import beta_quantile, normal_quantile


class Interval(NamedTuple):
    low: float
    high: float


def wilson(share: float, items: float, level: float = 0.95) -> Interval:
    """Wilson's score interval (1927) of a share of independent items.

    It holds its level near 0 and 1 and for few items, where mean ± error does not (Brown, Cai and DasGupta 2001). Also
    for scores between 0 and 1 it is no narrower than it should be: no such score varies more than one of 0 and 1 with
    the same mean.
    """
    z2 = normal_quantile((1 + level) / 2) ** 2
    centre = (share + z2 / (2 * items)) / (1 + z2 / items)
    half = math.sqrt(z2 * (share * (1 - share) / items + z2 / (4 * items * items))) / (1 + z2 / items)
    # At the ends the formula gives exactly 0 and 1, which rounding must not miss.
    return Interval(0.0 if share <= 0 else centre - half, 1.0 if share >= 1 else centre + half)


def clopper_pearson(hits: int, items: int, level: float = 0.95) -> Interval:
    """The exact interval (1934): it covers at least as often as `level` says, at the price of being wide."""
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else beta_quantile(tail, hits, items - hits + 1)
    high = 1.0 if hits == items else beta_quantile(1 - tail, hits + 1, items - hits)
    return Interval(low, high)


def binomial_test(hits: int, items: int, share: float = 0.5) -> float:
    """The exact two-sided p-value of `hits` of `items` where each hits with probability `share`, 0 < share < 1.

    It adds up all outcomes that are no more probable than what was seen. With `share` 1/2 and the items on which two
    differ it is McNemar's exact test.
    """
    if items == 0:
        return 1.0
    logs = [_log_choose(items, k) + k * math.log(share) + (items - k) * math.log1p(-share) for k in range(items + 1)]
    # Outcomes as probable as this one count; the margin is for rounding, and the one that scipy has.
    most = logs[hits] + math.log1p(1e-7)
    return min(1.0, math.fsum(math.exp(log) for log in logs if log <= most))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
