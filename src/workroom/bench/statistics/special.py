"""Distributions, in double precision and without other packages.

The tests compare them with scipy to 1e-9.
"""

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_TURNS = 10_000
_ALMOST_NORMAL = 1e6


def normal_cdf(x: float) -> float:
    """P(Z ≤ x) of the standard normal distribution, exact in its tails too."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """The x with P(Z ≤ x) = p, for 0 < p < 1."""
    return _NORMAL.inv_cdf(p)


def beta_cdf(x: float, a: float, b: float, *, rest: float | None = None) -> float:
    """The regularised incomplete beta function I_x(a, b), by the continued fraction DLMF 8.17.22.

    `rest` is 1 − x where the caller knows it more exactly than this subtraction would.
    """
    rest = 1.0 - x if rest is None else rest
    if x <= 0.0:
        return 0.0
    if rest <= 0.0:
        return 1.0
    # Near 1 the logarithm is taken of the rest, which is known more exactly.
    log_x = math.log(x) if x < 0.5 else math.log1p(-rest)
    log_rest = math.log(rest) if rest < 0.5 else math.log1p(-x)
    front = math.exp(a * log_x + b * log_rest - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)))
    # The fraction converges fast below the mean; above it the other tail is computed.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation, as Thompson and Barnett (1986) modified it."""
    value = c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    value = d = 1.0 / (d or _TINY)
    for m in range(1, _TURNS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for term in (even, odd):
            d = 1.0 / ((1.0 + term * d) or _TINY)
            c = (1.0 + term / c) or _TINY
            value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p, for 0 ≤ p ≤ 1."""
    if p in (0.0, 1.0):
        return p
    if p < 0.5:
        return _root(lambda x: beta_cdf(x, a, b) - p, 0.0, 1.0)
    # By the other tail, which has digits where this one is nearly 1.
    return _root(lambda x: 1.0 - p - beta_cdf(1.0 - x, b, a, rest=x), 0.0, 1.0)


def t_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's t distribution with so many degrees of freedom."""
    square = t * t
    if freedom > _ALMOST_NORMAL:
        # Abramowitz and Stegun 26.7.8: here nearer than the fraction, whose logarithms of Γ have lost their digits.
        return normal_cdf(-t * (1 - 1 / (4 * freedom)) / math.sqrt(1 + square / (2 * freedom)))
    # By symmetry the tail beyond |t| is half of I_x(ν/2, 1/2) with x = ν / (ν + t²).
    share, rest = freedom / (freedom + square), square / (freedom + square)
    beyond = 0.5 * beta_cdf(share, freedom / 2, 0.5, rest=rest)
    return beyond if t >= 0 else 1.0 - beyond


def t_cdf(t: float, freedom: float) -> float:
    """P(T ≤ t) of Student's t distribution."""
    return t_tail(-t, freedom)


@cache
def t_quantile(p: float, freedom: float) -> float:
    """The t with P(T ≤ t) = p, for 0 < p < 1."""
    if p < 0.5:
        return -t_quantile(1.0 - p, freedom)
    if p == 0.5:
        return 0.0
    tail = 1.0 - p
    high = 1.0
    while t_tail(high, freedom) > tail:
        high *= 2
    return _root(lambda t: tail - t_tail(t, freedom), 0.0, high)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where the rising function is 0 between the two, by bisection: it cannot fail, and takes some 60 turns."""
    while high - low > 1e-15 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if function(middle) < 0.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
