"""How many items the sign-flip test needs: the power of the very test that the report uses.

The differences are taken to vary over all items as they did over those seen. Where they are all of one size (0/1
scores of one repeat) only their signs matter and the power is exact: so many items differ (binomial), so many of these
are won (binomial), and McNemar's exact test finds it or not. Differences of several sizes are drawn anew from those
seen, with a fixed seed. Where the t test needs many items that differ, both need as many, and its number is given.
"""

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

from workroom.bench.statistics.power import items_needed
from workroom.bench.statistics.special import beta_cdf

MOST = 10_000  # items that are looked at
DRAWS = 400  # samples of differences for each number of items
_MANY = 100  # items that differ, from which on the sum of random signs is as good as normal
_STEPS = 12  # sizes that differences of several sizes are rounded to
_SEED = 20260116
_REACH = 9  # standard deviations beyond which a binomial distribution has nothing


def sign_flip_items(
    differences: Sequence[float | Fraction], power_wanted: float = 0.8, level: float = 0.05
) -> int | float | None:
    """So many items give the two-sided sign-flip test at `level` that power, and one fewer does not.

    `math.inf` where it takes more than `MOST`; None where the differences are 0 in the mean, which no number finds.
    """
    values = [float(value) for value in differences]
    mean = math.fsum(values) / len(values)
    sizes = [abs(value) for value in values if abs(value) > 1e-12]
    if abs(mean) <= 1e-12:
        return None
    if max(sizes) - min(sizes) <= 1e-12:
        wins, losses = (sum(sign * value > 1e-12 for value in values) / len(values) for sign in (1, -1))
        return _least(lambda items: sign_power(items, wins, losses, level), power_wanted)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    by_t = items_needed(spread, mean, power_wanted, level)
    if by_t is not None and by_t * len(sizes) / len(values) > _MANY:
        return by_t if by_t <= MOST else math.inf
    return _least(lambda items: _drawn_power(values, items, level), power_wanted)


def sign_power(items: int, wins: float, losses: float, level: float = 0.05) -> float:
    """The probability that the exact test finds it, where these shares of all items are won and lost."""
    differ = min(1.0, wins + losses)
    share = wins / (wins + losses)
    centre, reach = items * differ, _REACH * math.sqrt(items * differ * (1 - differ)) + _REACH
    counts = range(max(0, math.floor(centre - reach)), min(items, math.ceil(centre + reach)) + 1)
    return math.fsum(_binomial(count, items, differ) * _found(count, share, level) for count in counts)


def _least(power: Callable[[int], float], wanted: float) -> int | float:
    """Where the power comes to be enough, between two numbers of which the larger is at most twice the other."""
    low, high = 1, 2
    while power(high) < wanted:
        if high >= MOST:
            return math.inf
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if power(middle) < wanted else (low, middle)
    return high


@lru_cache(maxsize=100_000)
def _found(count: int, share: float, level: float) -> float:
    """The probability that McNemar's exact test finds it, of so many items that differ."""
    most = _critical(count, level)
    if most < 0:
        return 0.0
    return _at_most(most, count, share) + _at_most(most, count, 1 - share)


@lru_cache(maxsize=100_000)
def _critical(count: int, level: float) -> int:
    """The most losses (or wins) of so many that are still significant; −1 where not even none is."""
    most = max(-1, math.floor(count / 2 - math.sqrt(count + 1)))
    while most >= 0 and 2 * _at_most(most, count, 0.5) >= level:
        most -= 1
    while most + 1 < count / 2 and 2 * _at_most(most + 1, count, 0.5) < level:
        most += 1
    return most


def _at_most(hits: int, count: int, share: float) -> float:
    """P(X ≤ hits) of a binomial distribution, for hits below count."""
    return beta_cdf(1 - share, count - hits, hits + 1, rest=share)


def _binomial(hits: int, count: int, share: float) -> float:
    if share in (0.0, 1.0):
        return float(hits == count * share)
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(ways + hits * math.log(share) + (count - hits) * math.log1p(-share))


def _drawn_power(values: Sequence[float], items: int, level: float) -> float:
    """The share of samples of so many of these values in which the test finds it."""
    largest = max(map(abs, values))
    steps = [round(_STEPS * value / largest) for value in values]
    draw = random.Random(_SEED)
    samples = (draw.choices(steps, k=items) for _ in range(DRAWS))
    return sum(_sign_flip_p([step for step in sample if step]) < level for sample in samples) / DRAWS


def _sign_flip_p(steps: Sequence[int]) -> float:
    """The p-value of whole differences, none of them 0: exact up to `_MANY`, then by the normal distribution."""
    seen, total = abs(sum(steps)), sum(map(abs, steps))
    if len(steps) > _MANY:
        return math.erfc(max(0, seen - 1) / math.sqrt(2 * sum(step * step for step in steps)))
    if not steps or not seen:
        return 1.0
    # How many choices of signs give each sum of the positive ones: digits of one number, in a base larger than all.
    bits = len(steps) + 1
    ways = 1
    for step in steps:
        ways += ways << bits * abs(step)
    tail = ways & ((1 << bits * ((total - seen) // 2 + 1)) - 1)
    return 2 * (tail % ((1 << bits) - 1)) / (1 << len(steps))  # modulo base − 1: the sum of the digits
