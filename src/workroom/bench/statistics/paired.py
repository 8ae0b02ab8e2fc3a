"""Two sets of scores of the same items: how far apart they are, and whether chance could do that."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import fmean

from workroom.bench.statistics.signflip import as_fraction, sign_flip_test
from workroom.bench.statistics.special import normal_quantile, t_quantile


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of first − second over the items that both have, with its interval from `low` to `high`.

    `p`: two-sided, of the test that `method` names. `wins`, `losses`, `ties`: items on which the first is better,
    worse, the same. `spread`: the standard deviation of the differences over items; `error`: of their mean. `reach`:
    the largest difference that there can be.
    """

    mean: float
    low: float
    high: float
    p: float
    items: int
    method: str
    wins: int
    losses: int
    ties: int
    spread: float
    error: float
    reach: float = 1.0


def paired_difference(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    level: float = 0.95,
    *,
    reach: float = 1.0,
) -> Difference:
    """Compares the means of the repeats item by item; what only one of the two has a score of is left out.

    The interval is mean ± t · error over items, cut to [−reach, reach], which is 1 for scores between 0 and 1 and 2
    where these are differences themselves; that of Agresti and Min (2005) takes its place where the differences do not
    vary (no item differs, say, or there is one item), for then the former has no width.

    Raises ValueError where no item has a score on both sides.
    """
    exact = differences(first, second)
    if not exact:
        raise ValueError("no item has a score on both sides")
    values = [float(difference) for difference in exact.values()]
    items, mean = len(values), fmean(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (items - 1)) if items > 1 else 0.0
    error = spread / math.sqrt(items)
    p, test = sign_flip_test(list(exact.values()))
    if error < 1e-12:
        low, high, error = _agresti_min(values, reach, level)
        kind = "Agresti–Min interval"
    else:
        half = t_quantile((1 + level) / 2, items - 1) * error
        low, high = mean - half, mean + half
        kind = "t interval over items"
    wins = sum(value > 1e-12 for value in values)
    losses = sum(value < -1e-12 for value in values)
    return Difference(
        mean=mean,
        low=max(-reach, low),
        high=min(reach, high),
        p=p,
        items=items,
        method=f"{kind}, {test}",
        wins=wins,
        losses=losses,
        ties=items - wins - losses,
        spread=spread,
        error=error,
        reach=reach,
    )


def differences(
    first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]]
) -> dict[str, Fraction | float]:
    """Per item that both have, the mean of the first less that of the second; exact where the scores are fractions."""
    return {
        item: _mean(tuple(first[item])) - _mean(tuple(second[item]))
        for item in first
        if first[item] and second.get(item)
    }


@lru_cache(maxsize=4096)  # with a few repeats of 0 and 1 there are a few such means
def _mean(values: tuple[float, ...]) -> Fraction | float:
    fractions = [as_fraction(value) for value in values]
    exact = [fraction for fraction in fractions if fraction is not None]
    return sum(exact, Fraction(0)) / len(exact) if len(exact) == len(values) else fmean(values)


def _agresti_min(values: Sequence[float], reach: float, level: float) -> tuple[float, float, float]:
    """Low, high and error, after half an item was added to each cell of the table of both sides' rights and wrongs.

    That is two items more, half of each won, lost, right on both sides and wrong on both: sums of squares grow by
    `reach`², the sum of differences by nothing.
    """
    items = len(values) + 2
    centre = math.fsum(values) / items
    square = (math.fsum(value * value for value in values) + reach * reach) / items - centre * centre
    error = math.sqrt(square / items)
    half = normal_quantile((1 + level) / 2) * error
    return centre - half, centre + half, error
