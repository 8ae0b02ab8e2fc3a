"""Our distributions, proportions and power against scipy's, to 1e-9."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workroom.bench.statistics import (
    binomial_test,
    clopper_pearson,
    detectable,
    items_needed,
    power,
    wilson,
)
from workroom.bench.statistics.special import (
    beta_cdf,
    beta_quantile,
    normal_cdf,
    normal_quantile,
    t_cdf,
    t_quantile,
    t_tail,
)

quick = settings(max_examples=40, deadline=None)
probabilities = st.floats(1e-9, 1 - 1e-9)
freedoms = st.one_of(st.integers(1, 100_000), st.floats(0.6, 5000))


def near(expected: float) -> Any:
    return pytest.approx(float(expected), rel=1e-9, abs=1e-13)


@quick
@given(st.floats(-37, 37))
def test_normal_cdf(x: float) -> None:
    assert normal_cdf(x) == pytest.approx(float(stats.norm.cdf(x)), rel=1e-9, abs=0)


@quick
@given(probabilities)
def test_normal_quantile(p: float) -> None:
    assert normal_quantile(p) == near(stats.norm.ppf(p))


@quick
@given(st.floats(0, 1), st.floats(0.5, 5000), st.floats(0.5, 5000))
def test_beta_cdf(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == near(stats.beta.cdf(x, a, b))


@quick
@given(probabilities, st.floats(0.5, 2000), st.floats(0.5, 2000))
def test_beta_quantile(p: float, a: float, b: float) -> None:
    assert beta_quantile(p, a, b) == near(stats.beta.ppf(p, a, b))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_beta_quantile_at_its_ends(p: float) -> None:
    assert beta_quantile(p, 2, 3) == p


@quick
@given(st.floats(-1e6, 1e6), freedoms)
def test_t_cdf(t: float, freedom: float) -> None:
    assert t_cdf(t, freedom) == near(stats.t.cdf(t, freedom))


@quick
@given(st.floats(0, 30), freedoms)
def test_t_tail_is_exact_far_out(t: float, freedom: float) -> None:
    expected = float(stats.t.sf(t, freedom))
    assert t_tail(t, freedom) == pytest.approx(expected, rel=1e-8, abs=1e-200)


@quick
@given(st.floats(1e-4, 1 - 1e-4), freedoms)
def test_t_quantile(p: float, freedom: float) -> None:
    assert t_quantile(p, freedom) == near(stats.t.ppf(p, freedom))


@pytest.mark.parametrize("freedom", [1e6, 2e6, 1e9, 1e15])
@pytest.mark.parametrize("t", [-3.0, 0.1, 1.96, 5.0])
def test_t_with_ever_more_degrees_of_freedom(t: float, freedom: float) -> None:
    assert t_tail(t, freedom) == near(stats.t.sf(t, freedom))
    assert t_quantile(0.975, freedom) == near(stats.t.ppf(0.975, freedom))


@quick
@given(st.integers(1, 300), st.data())
def test_binomial_test(items: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, items))
    share = data.draw(st.sampled_from([0.5, 0.1, 0.25, 0.9, 1 / 3]))
    expected = stats.binomtest(hits, items, share).pvalue
    assert binomial_test(hits, items, share) == pytest.approx(float(expected), rel=1e-9)


def test_binomial_test_of_nothing_finds_nothing() -> None:
    assert binomial_test(0, 0) == 1.0


@quick
@given(st.integers(1, 2000), st.sampled_from([0.8, 0.95, 0.99]), st.data())
def test_intervals_of_shares(items: int, level: float, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, items))
    theirs = stats.binomtest(hits, items).proportion_ci(level, "wilson")
    assert wilson(hits / items, items, level) == (near(theirs.low), near(theirs.high))
    # Not `proportion_ci("exact")`, which stops searching at 2e-12.
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, hits, items - hits + 1) if hits else 0.0
    high = stats.beta.isf(tail, hits + 1, items - hits) if hits < items else 1.0
    assert clopper_pearson(hits, items, level) == (near(low), near(high))


@quick
@given(st.integers(2, 2000), st.floats(0, 8), st.sampled_from([0.05, 0.01]))
def test_power(items: int, shift: float, level: float) -> None:
    bound = stats.t.ppf(1 - level / 2, items - 1)
    # P(T < −bound) with this shift is P(T > bound) with the other; for its left tail scipy may say nan.
    expected = sum(stats.nct.sf(bound, items - 1, side * shift) for side in (1, -1))
    ours = power(items, spread=0.5, difference=0.5 * shift / math.sqrt(items), level=level)
    assert ours == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


def test_power_of_no_difference_is_the_level() -> None:
    assert power(20, 0.4, 0.0, level=0.03) == pytest.approx(0.03, abs=1e-9)


@quick
@given(st.floats(0.05, 1), st.floats(0.02, 1), st.sampled_from([0.8, 0.9]))
def test_items_needed_is_the_least_number_that_suffices(spread: float, difference: float, wanted: float) -> None:
    items = items_needed(spread, difference, wanted)
    assert items is not None
    assert power(items, spread, difference) >= wanted
    assert items == 2 or power(items - 1, spread, difference) < wanted
    assert items_needed(spread, -difference, wanted) == items


def test_items_needed_of_the_textbooks() -> None:
    # Cohen (1988): a standardised difference of 0.5 takes 34 pairs for 80 % at 5 %.
    assert items_needed(1.0, 0.5) == 34
    assert items_needed(0.4, 0.0) is None
    assert items_needed(0.0, 0.2) == 2
    # A difference of rounding only: (1.960 + 0.842)² · 10²⁴, less a little for the tail on the other side.
    assert items_needed(1.0, 1e-12) == pytest.approx(7.84888e24, rel=1e-5)


@quick
@given(st.integers(2, 1000), st.floats(0.01, 1))
def test_detectable_is_what_so_many_items_find(items: int, spread: float) -> None:
    smallest = detectable(items, spread)
    assert power(items, spread, smallest) == pytest.approx(0.8, abs=1e-9)
    assert detectable(items, 0.0) == 0.0
