"""The sign-flip test: are differences symmetric about 0?

Where neither side is better, each difference could as well have had the other sign. The p-value is the share of all
2ⁿ choices of signs whose sum is at least as far from 0 as the one that was seen. Nothing is assumed of how the
differences are distributed. With differences of 0, 1 and −1 it is McNemar's exact test.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

DRAWS = 20_000
_LARGEST_LISTED = 20
_LARGEST_DENOMINATOR = 1000
# Twice the steps of the count below, of which a second has some twenty million.
_LARGEST_COUNT = 4_000_000
_SEED = 20260116
_BYTE = 8


def sign_flip_test(differences: Sequence[float | Fraction]) -> tuple[float, str]:
    """The two-sided p-value and how it was found.

    It is exact wherever the differences are fractions with a small common denominator, such as of 0/1 scores over
    repeats, and for up to 20 others; else it is from `DRAWS` random choices of signs with a fixed seed, the seen one
    counted with them (Phipson and Smyth 2010), so that it is never 0.
    """
    fractions = [as_fraction(difference) for difference in differences]
    exact = [fraction for fraction in fractions if fraction is not None]
    if len(exact) == len(fractions):
        scale = math.lcm(*(fraction.denominator for fraction in exact))
        whole = [abs(int(fraction * scale)) for fraction in exact if fraction]
        step = math.gcd(*whole) or 1
        sizes = [size // step for size in whole]
        if len(sizes) * sum(sizes) <= _LARGEST_COUNT:
            seen = abs(int(sum(exact, Fraction(0)) * scale)) // step
            return _counted(sizes, seen), "exact sign-flip test"
    numbers = [float(difference) for difference in differences if difference]
    if len(numbers) <= _LARGEST_LISTED:
        return _listed(numbers), "exact sign-flip test"
    return _drawn(numbers), f"sign-flip test with {DRAWS:,} random draws"


@lru_cache(maxsize=4096)
def as_fraction(value: float | Fraction) -> Fraction | None:
    """The fraction with a small denominator that this number is meant to be, None where there is none."""
    if isinstance(value, Fraction):
        return value
    fraction = Fraction(value).limit_denominator(_LARGEST_DENOMINATOR)
    return fraction if abs(float(fraction) - value) < 1e-12 else None


def _counted(sizes: Sequence[int], seen: int) -> float:
    """By the distribution of the sum of those with a positive sign, one item after the other (Pagano, Tritchler 1983).

    All terms are positive, so that rounding adds up to no more than n · 10⁻¹⁶ of the result.
    """
    shares = [1.0]  # by the sum
    for size in sizes:
        zeros = [0.0] * size
        shares = [0.5 * (a + b) for a, b in zip(shares + zeros, zeros + shares, strict=True)]
    total = sum(sizes)
    # The signed sum is twice the positive part less the total.
    return min(1.0, math.fsum(share for index, share in enumerate(shares) if abs(2 * index - total) >= seen))


def _listed(numbers: Sequence[float]) -> float:
    sums = [0.0]
    for number in numbers:
        sums = [value + sign * number for value in sums for sign in (1, -1)]
    least = abs(math.fsum(numbers)) - _rounding(numbers)
    return sum(abs(value) >= least for value in sums) / len(sums)


def _drawn(numbers: Sequence[float]) -> float:
    sizes = Counter(abs(number) for number in numbers)
    # Of many equal ones only the number of positive signs matters, which is the number of ones in as many random bits.
    alike = [(size, count) for size, count in sizes.items() if count >= _BYTE]
    others = [number for number in numbers if sizes[abs(number)] < _BYTE]
    # Of the others a byte of random bits decides eight signs; the sums of all 256 choices are made ready.
    tables = [_sums_of_signs(others[start : start + _BYTE]) for start in range(0, len(others), _BYTE)]
    draw = random.Random(_SEED)
    least = abs(math.fsum(numbers)) - _rounding(numbers)
    hits = 0
    for _ in range(DRAWS):
        total = sum(map(list.__getitem__, tables, draw.randbytes(len(tables))))
        for size, count in alike:
            total += size * (2 * draw.getrandbits(count).bit_count() - count)
        hits += abs(total) >= least
    return (hits + 1) / (DRAWS + 1)


def _sums_of_signs(numbers: Sequence[float]) -> list[float]:
    padded = [*numbers, *[0.0] * (_BYTE - len(numbers))]
    return [sum(number if byte >> bit & 1 else -number for bit, number in enumerate(padded)) for byte in range(256)]


def _rounding(numbers: Sequence[float]) -> float:
    """How far apart equal sums can be by rounding alone."""
    return 1e-12 * sum(map(abs, numbers))
