"""How many items a paired comparison needs, and what so many items can show.

For the two-sided paired t test. Its power is that of the noncentral t distribution with n − 1 degrees of freedom and
noncentrality √n · difference / spread. It is integrated over the distribution of the estimated spread, so that nothing
is approximated but the integral (to some 1e-12).
"""

import math

from workroom.bench.statistics.special import normal_cdf, normal_quantile, t_quantile


def power(items: int, spread: float, difference: float, level: float = 0.05) -> float:
    """The probability that the test finds a true difference, where differences vary over items by `spread`.

    `spread` is a standard deviation (`Difference.spread`), above 0; `items` at least 2.
    """
    freedom = items - 1
    bound = t_quantile(1 - level / 2, freedom)
    shift = math.sqrt(items) * abs(difference) / spread
    # T > bound just where Z + shift > bound · s, s being the estimated spread over the true one. With s = exp(u) the
    # density of u is proportional to exp(freedom · (u − (exp(2u) − 1) / 2)), smooth and with its peak at 0, for which
    # the sum over equal steps converges faster than any power of the step.
    step = min(0.05, 0.35 / math.sqrt(2 * freedom))
    weights = found = 0.0
    for direction in (1, -1):
        index = 0 if direction == 1 else 1
        while True:
            u = direction * index * step
            weight = math.exp(freedom * (u - math.expm1(2 * u) / 2))
            if weight < 1e-18:
                break
            edge = bound * math.exp(u)
            weights += weight
            found += weight * (normal_cdf(shift - edge) + normal_cdf(-shift - edge))
            index += 1
    return found / weights


def items_needed(spread: float, difference: float, power_wanted: float = 0.8, level: float = 0.05) -> int | None:
    """How many items find a true difference with that probability; None for a difference of 0, which none finds.

    With a difference that was measured this plans the next study. It says nothing of the present one that its p-value
    does not.
    """
    if difference == 0:
        return None
    if spread <= 0:
        return 2
    # The normal distribution's answer, from which the t distribution's is a few items up.
    reach = normal_quantile(1 - level / 2) + normal_quantile(power_wanted)
    low, high = 1, max(2, math.ceil((reach * spread / difference) ** 2))
    while power(high, spread, difference, level) < power_wanted:
        low, high = high, high + max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        if power(middle, spread, difference, level) < power_wanted:
            low = middle
        else:
            high = middle
    return high


def detectable(items: int, spread: float, power_wanted: float = 0.8, level: float = 0.05) -> float:
    """The smallest true difference that so many items (at least 2) find with that probability."""
    if spread <= 0:
        return 0.0
    low, high = 0.0, spread
    while power(items, spread, high, level) < power_wanted:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if power(items, spread, middle, level) < power_wanted:
            low = middle
        else:
            high = middle
    return high
