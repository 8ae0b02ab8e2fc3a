"""Means, paired differences and tests: against scipy, by hand, and where there is next to nothing to compute from."""

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from workroom.bench.statistics import (
    binomial_test,
    holm,
    mean_interval,
    mean_over,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    passes,
    sign_flip_test,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

quick = settings(max_examples=40, deadline=None)
scores = st.floats(0, 1)
repeats = st.lists(scores, min_size=1, max_size=5)


def near(expected: Any) -> Any:
    return pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def items(values: "Sequence[list[float] | float]") -> dict[str, list[float]]:
    return {str(index): value if isinstance(value, list) else [value] for index, value in enumerate(values)}


@quick
@given(st.lists(repeats, min_size=2, max_size=30))
def test_the_interval_is_that_of_the_items_means(values: list[list[float]]) -> None:
    means = [math.fsum(some) / len(some) for some in values]
    assume(np.std(means) > 1e-6)
    assume(any(value not in (0, 1) for some in values for value in some))
    estimate = mean_interval(items(values))
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert estimate.mean == near(np.mean(means))
    assert (estimate.low, estimate.high) == (near(max(low, 0)), near(min(high, 1)))
    assert estimate.error == near(stats.sem(means))
    assert (estimate.items, estimate.values) == (len(values), sum(map(len, values)))


@quick
@given(st.integers(2, 12), st.integers(1, 4), st.data())
def test_with_equal_repeats_the_error_is_the_clustered_one(count: int, tries: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.lists(scores, min_size=tries, max_size=tries), min_size=count, max_size=count))
    everything = np.array(values)
    mean = everything.mean()
    # Miller (2024): the root of the sum over clusters of squared sums of deviations, over the number of values.
    clustered = math.sqrt(((everything - mean).sum(axis=1) ** 2).sum()) / everything.size
    assume(clustered > 1e-6)
    assert mean_interval(items(values)).error == near(clustered * math.sqrt(count / (count - 1)))


def test_one_zero_or_one_per_item_has_wilsons_interval() -> None:
    estimate = mean_interval(items([1.0] * 15 + [0.0] * 5))
    theirs = stats.binomtest(15, 20).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == (near(theirs.low), near(theirs.high))
    assert estimate.method.startswith("Wilson")


@pytest.mark.parametrize(("values", "mean"), [([[1.0] * 4] * 20, 1.0), ([[0.0]] * 20, 0.0), ([[0.5, 1.0]] * 20, 0.75)])
def test_items_that_do_not_vary_are_not_taken_for_certainty(values: list[list[float]], mean: float) -> None:
    estimate = mean_interval(items(values))
    assert (estimate.low, estimate.high) == wilson(mean, 20)
    assert estimate.low < estimate.high
    assert estimate.error > 0


def test_one_item_tells_little() -> None:
    estimate = mean_interval({"a": [1.0, 1.0, 1.0]})
    assert (estimate.low, estimate.high) == (near(0.20654931437723745), 1.0)


def test_items_without_a_score_are_left_out() -> None:
    assert mean_interval({"a": [1.0], "b": [], "c": [0.0]}) == mean_interval({"a": [1.0], "c": [0.0]})
    with pytest.raises(ValueError, match="no score"):
        mean_interval({"a": []})


@quick
@given(st.lists(st.tuples(repeats, repeats), min_size=2, max_size=9))
def test_paired_differences(pairs: list[tuple[list[float], list[float]]]) -> None:
    first, second = items([a for a, _ in pairs]), items([b for _, b in pairs])
    means = [(math.fsum(a) / len(a), math.fsum(b) / len(b)) for a, b in pairs]
    apart = np.array([a - b for a, b in means])
    assume(apart.std() > 1e-6)
    found = paired_difference({**first, "alone": [1.0]}, second)
    low, high = stats.ttest_rel(*zip(*means, strict=True)).confidence_interval(0.95)
    assert found.mean == near(apart.mean())
    assert (found.low, found.high) == (near(max(low, -1)), near(min(high, 1)))
    assert (found.spread, found.error) == (near(apart.std(ddof=1)), near(stats.sem(apart)))
    assert found.items == len(pairs) == found.wins + found.losses + found.ties
    back = paired_difference(second, first)
    assert (back.mean, back.low, back.high, back.p) == (near(-found.mean), near(-found.high), near(-found.low), found.p)


@quick
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=400))
def test_zeros_and_ones_give_mcnemars_exact_test(pairs: list[tuple[float, float]]) -> None:
    found = paired_difference(items([a for a, _ in pairs]), items([b for _, b in pairs]))
    assert found.p == near(binomial_test(found.wins, found.wins + found.losses))
    assert found.wins == sum(a > b for a, b in pairs)
    assert "exact" in found.method


@quick
@given(st.lists(st.integers(-16, 16), min_size=1, max_size=11), st.sampled_from([1, 3, 16, 48]))
def test_the_count_is_the_share_of_all_choices_of_signs(numerators: list[int], denominator: int) -> None:
    seen = abs(sum(numerators))
    sums = [sum(s * n for s, n in zip(signs, numerators, strict=True)) for signs in all_signs(len(numerators))]
    p, method = sign_flip_test([Fraction(n, denominator) for n in numerators])
    assert p == near(sum(abs(value) >= seen for value in sums) / len(sums))
    assert sign_flip_test([n / denominator for n in numerators]) == (near(p), method)


@quick
@given(st.lists(scores, min_size=2, max_size=10))
def test_the_exact_test_is_scipys(values: list[float]) -> None:
    numbers = [value - 0.4 for value in values]
    theirs = stats.permutation_test((numbers,), np.sum, permutation_type="samples", n_resamples=np.inf)
    p, method = sign_flip_test(numbers)
    # scipy doubles the smaller tail, which for a distribution that is symmetric is the same.
    assert p == pytest.approx(float(theirs.pvalue), rel=1e-9)
    assert method == "exact sign-flip test"


def all_signs(count: int) -> "itertools.product[tuple[int, ...]]":
    return itertools.product((1, -1), repeat=count)


def test_many_items_with_repeats_are_counted_exactly() -> None:
    # 500 items of 16 repeats; the normal distribution is near, and exactly 2⁻⁴⁹⁹ is what all on one side give.
    values = [Fraction((7 * index) % 33 - 15, 16) for index in range(500)]
    p, method = sign_flip_test(values)
    z = abs(float(sum(values))) / math.sqrt(sum(float(value) ** 2 for value in values))
    assert method == "exact sign-flip test"
    assert p == pytest.approx(2 * stats.norm.sf(z), rel=0.05)
    assert sign_flip_test([Fraction(3, 16)] * 500)[0] == pytest.approx(2.0**-499, rel=1e-12)


def test_what_cannot_be_counted_is_drawn_and_says_so() -> None:
    values = [math.sin(index) + 0.2 for index in range(60)]
    p, method = sign_flip_test(values)
    z = abs(sum(values)) / math.sqrt(sum(value**2 for value in values))
    assert "20,000 random draws" in method
    assert p == pytest.approx(2 * stats.norm.sf(z), abs=0.02)
    assert sign_flip_test(values) == (p, method)
    assert sign_flip_test([math.sqrt(index + 2) for index in range(60)])[0] == pytest.approx(1 / 20_001)


def test_drawing_takes_equal_differences_together() -> None:
    # Too many for a count, with a common denominator of 7 · 997; the exact p-value is near the normal distribution's.
    values = (
        [Fraction(1, 997)] * 300 + [-Fraction(1, 997)] * 250 + [Fraction(index - 10, 7) / 40 for index in range(30)]
    )
    p, method = sign_flip_test([*values, math.pi / 1000])
    z = abs(float(sum(values))) / math.sqrt(sum(float(value) ** 2 for value in values))
    assert "random" in method
    assert p == pytest.approx(2 * stats.norm.sf(z), abs=0.02)


def test_no_difference_is_no_finding() -> None:
    found = paired_difference(items([1.0] * 20), items([1.0] * 20))
    assert (found.mean, found.p, found.ties) == (0.0, 1.0, 20)
    # Agresti and Min: 22 items, squares of 1, so that the error is √(1/22 / 22).
    assert (found.low, found.high) == (near(-1.959963984540054 / 22), near(1.959963984540054 / 22))


def test_one_pair_tells_next_to_nothing() -> None:
    found = paired_difference({"a": [1.0]}, {"a": [0.0]})
    assert (found.mean, found.p) == (1.0, 1.0)
    assert found.low < 0 < found.high == 1.0
    with pytest.raises(ValueError, match="both sides"):
        paired_difference({"a": [1.0]}, {"b": [1.0]})


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == [near(0.03), near(0.06), near(0.06), near(0.02)]
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


@quick
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for (p, after), (q, later) in itertools.product(zip(p_values, adjusted, strict=True), repeat=2):
        assert p <= after <= min(1, p * len(p_values))
        assert p > q or after <= later
    assert min(adjusted) == near(min(1, min(p_values) * len(p_values)))


@quick
@given(st.integers(1, 9), st.data())
def test_passes_are_the_share_of_all_draws(tries: int, data: st.DataObject) -> None:
    right, k = data.draw(st.integers(0, tries)), data.draw(st.integers(1, tries))
    outcomes = [True] * right + [False] * (tries - right)
    draws = list(itertools.combinations(outcomes, k))
    assert pass_at_k(tries, right, k) == near(sum(map(any, draws)) / len(draws))
    assert pass_hat_k(tries, right, k) == near(sum(map(all, draws)) / len(draws))


def test_passes_over_items() -> None:
    by_item = {"a": [1.0, 0.0], "b": [0.0, 0.0], "c": [1.0]}
    found = passes(by_item, 2)
    assert found is not None
    assert (found.mean, found.items) == (0.5, 2)
    every = passes(by_item, 2, pass_hat_k)
    assert every is not None
    assert every.mean == 0.0
    assert passes(by_item, 3) is None
    with pytest.raises(ValueError, match="no 3 of 2 tries"):
        pass_at_k(2, 1, 3)


def test_the_mean_over_suites_is_welchs() -> None:
    one, two = [0.1, 0.5, 0.9, 0.4], [0.7, 0.8, 0.3, 0.6, 0.55, 0.2]
    over = mean_over([mean_interval(items(one)), mean_interval(items(two))])
    # The difference of the one and 1 − the other, halved, has the same error, which is what Welch's test computes.
    low, high = stats.ttest_ind(one, [-value for value in two], equal_var=False).confidence_interval(0.95)
    assert over.mean == near((np.mean(one) + np.mean(two)) / 2)
    assert (over.low, over.high) == (near(low / 2), near(high / 2))
    assert (over.items, over.values) == (10, 10)
    alone = mean_interval(items(one))
    assert mean_over([alone]) == alone
    with pytest.raises(ValueError, match="nothing"):
        mean_over([])


def test_the_mean_of_differences_may_be_negative() -> None:
    parts = [paired_difference(items([0.0, 0.0, 1.0]), items([1.0, 1.0, 1.0]))] * 2
    over = mean_over(parts)
    assert over.mean == near(-2 / 3)
    assert over.low == -1.0
    wide = paired_difference({"a": [1.0], "b": [0.0]}, {"a": [-1.0], "b": [0.0]}, reach=2.0)
    assert (wide.mean, wide.low, wide.high) == (1.0, -2.0, 2.0)
    assert mean_over([wide, wide]).high == 2.0
