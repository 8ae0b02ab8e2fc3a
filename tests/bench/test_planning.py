"""How many items a comparison needs: the power of the test that the report uses."""

import math
import random

import pytest
from scipy import stats

from workroom.bench.statistics import sign_flip_items, sign_flip_test, sign_power


def by_scipy(items: int, wins: float, losses: float) -> float:
    """All numbers of items won and lost, each with McNemar's test."""
    total = 0.0
    for differ in range(items + 1):
        chance = stats.binom.pmf(differ, items, min(1.0, wins + losses))
        for won in range(differ + 1):
            if differ and stats.binomtest(won, differ).pvalue < 0.05:
                total += chance * stats.binom.pmf(won, differ, wins / (wins + losses))
    return total


@pytest.mark.parametrize(("wins", "losses"), [(1.0, 0.0), (0.9, 0.0), (0.5, 0.0), (0.4, 0.1), (0.3, 0.7)])
@pytest.mark.parametrize("items", [1, 5, 6, 23])
def test_power_of_the_exact_test(items: int, wins: float, losses: float) -> None:
    assert sign_power(items, wins, losses) == pytest.approx(by_scipy(items, wins, losses), abs=1e-9)


@pytest.mark.parametrize(("wins", "losses", "items"), [(3, 0, 3), (9, 0, 10), (5, 0, 10), (4, 1, 10), (0, 8, 20)])
def test_the_number_of_items_suffices_and_one_fewer_does_not(wins: int, losses: int, items: int) -> None:
    needed = sign_flip_items([1] * wins + [-1] * losses + [0] * (items - wins - losses))
    assert isinstance(needed, int)
    assert needed >= 6  # with fewer, no outcome has p < 0.05
    assert by_scipy(needed, wins / items, losses / items) >= 0.8 > by_scipy(needed - 1, wins / items, losses / items)


def test_differences_of_several_sizes_against_simulation() -> None:
    values = [0.25, 0.5, 0.0, 0.75, -0.25, 0.5, 0.0, 0.25, -0.5, 0.5]
    needed = sign_flip_items(values)
    assert isinstance(needed, int)
    draw = random.Random(7)
    found = sum(sign_flip_test(draw.choices(values, k=needed))[0] < 0.05 for _ in range(1000)) / 1000
    assert found == pytest.approx(0.8, abs=0.06)


def test_no_difference_and_one_that_is_too_small() -> None:
    assert sign_flip_items([1, -1, 0]) is None
    assert sign_flip_items([1] * 501 + [-1] * 499) == math.inf
    assert sign_flip_items([0.5] * 101 + [-0.25] * 200) == math.inf
