"""Honest numbers: intervals, paired differences, exact tests, corrections, power. Pure Python, no other package.

special ─▶ proportions ─▶ means ─▶ passes
   │                        ▲
   ├─▶ paired ◀─ signflip   └ mean_over: several suites
   └─▶ power ─▶ planning     corrections: several tests

An *item* is a task; its scores are one for each repeat. All of them lie between 0 and 1.
"""

from workroom.bench.statistics.corrections import holm
from workroom.bench.statistics.means import Estimate, mean_interval, mean_over
from workroom.bench.statistics.paired import Difference, differences, paired_difference
from workroom.bench.statistics.passes import pass_at_k, pass_hat_k, passes
from workroom.bench.statistics.planning import sign_flip_items, sign_power
from workroom.bench.statistics.power import detectable, items_needed, power
from workroom.bench.statistics.proportions import Interval, binomial_test, clopper_pearson, wilson
from workroom.bench.statistics.signflip import sign_flip_test

__all__ = [
    "Difference",
    "Estimate",
    "Interval",
    "binomial_test",
    "clopper_pearson",
    "detectable",
    "differences",
    "holm",
    "items_needed",
    "mean_interval",
    "mean_over",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "passes",
    "power",
    "sign_flip_items",
    "sign_flip_test",
    "sign_power",
    "wilson",
]
