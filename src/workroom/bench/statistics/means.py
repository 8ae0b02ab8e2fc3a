"""The mean score of a suite with its interval, and the mean over several suites."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import TYPE_CHECKING

from workroom.bench.statistics.proportions import wilson
from workroom.bench.statistics.special import normal_quantile, t_quantile

if TYPE_CHECKING:
    from workroom.bench.statistics.paired import Difference


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its interval from `low` to `high`, of so many `items` with so many `values` together.

    `error`: its standard error. `method`: how the interval was made, in words for a table's footnote.
    """

    mean: float
    low: float
    high: float
    items: int
    values: int
    method: str
    error: float


def mean_interval(by_item: Mapping[str, Sequence[float]], level: float = 0.95) -> Estimate:
    """The mean of scores between 0 and 1, given per item one for each repeat; items without any are left out.

    Every item counts the same, also where some repeats of it are unscored, so that the difference of two means is the
    mean of the differences. Repeats of an item are no independent evidence: the error is the clustered one of Miller,
    "Adding Error Bars to Evals" (2024), section 2.2, an item being a cluster, with the correction n / (n − 1) for few
    clusters. With weights that make items count the same it is the standard deviation of the items' means over √n. The
    interval is mean ± t · error with n − 1 degrees of freedom, cut to [0, 1].

    Wilson's interval takes its place where that one would be too narrow or nothing at all: for one score of 0 or 1 per
    item, where it is the better one for few items and near 0 and 1, and where the items' means do not vary (all right,
    or one item), as if the repeats of an item were one.

    Raises ValueError where there is no score.
    """
    scores = [values for values in by_item.values() if values]
    if not scores:
        raise ValueError("there is no score to take the mean of")
    means = [fmean(values) for values in scores]
    items, values = len(means), sum(map(len, scores))
    mean = fmean(means)
    error = math.sqrt(variance(means) / items) if items > 1 else 0.0
    single = values == items and all(score in (0.0, 1.0) for score in means)
    # All equal, up to rounding in the means of repeats.
    if single or error < 1e-12:
        low, high = wilson(min(max(mean, 0.0), 1.0), items, level)
        if error < 1e-12:
            error = (high - low) / (2 * normal_quantile((1 + level) / 2))
        return Estimate(mean, low, high, items, values, "Wilson interval over items", error)
    half = t_quantile((1 + level) / 2, items - 1) * error
    method = "t interval over items" if values == items else "t interval, clustered by item"
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), items, values, method, error)


def mean_over(parts: "Sequence[Estimate | Difference]", level: float = 0.95) -> Estimate:
    """The mean of independent means, such as of several suites, each counting the same.

    Its error is √(Σ error²) over their number, with the degrees of freedom of Welch and Satterthwaite (1946). One part
    alone keeps its own interval.
    """
    if not parts:
        raise ValueError("there is nothing to take the mean over")
    items = sum(part.items for part in parts)
    values = sum(part.values if isinstance(part, Estimate) else part.items for part in parts)
    if len(parts) == 1:
        part = parts[0]
        return Estimate(part.mean, part.low, part.high, items, values, part.method, part.error)
    mean = fmean(part.mean for part in parts)
    squares = [part.error**2 for part in parts]
    error = math.sqrt(math.fsum(squares)) / len(parts)
    freedom = math.fsum(squares) ** 2 / math.fsum(
        square**2 / max(part.items - 1, 1) for square, part in zip(squares, parts, strict=True)
    )
    half = t_quantile((1 + level) / 2, freedom) * error
    # Scores end at 0 and 1, differences at their reach.
    floor, ceiling = fmean(_ends(part)[0] for part in parts), fmean(_ends(part)[1] for part in parts)
    low, high = max(floor, mean - half), min(ceiling, mean + half)
    return Estimate(mean, low, high, items, values, f"t interval over {len(parts)} suites", error)


def _ends(part: "Estimate | Difference") -> tuple[float, float]:
    return (0.0, 1.0) if isinstance(part, Estimate) else (-part.reach, part.reach)
