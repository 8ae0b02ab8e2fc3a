"""The rules against hand-labelled calls: what `docs/analysis.md` states holds."""

import pytest

from benchmarks.capabilities import SAMPLES, agreement, misses, sample
from workroom.analysis.rules import CAPABILITIES, Capability

# Below what was measured by the width of a call or two, so that a rule can be added without harm and none is lost.
FLOORS: dict[Capability, tuple[float, float]] = {
    "external": (0.97, 0.97),
    "files": (0.93, 0.95),
    "computation": (0.94, 0.95),
}


@pytest.mark.parametrize("name", CAPABILITIES)
def test_precision_and_recall_on_calls_that_others_labelled(name: Capability) -> None:
    rows = sample(SAMPLES / "labelled.jsonl")
    one = agreement(rows)[name]
    assert len(rows) >= 120
    assert one.right + one.missed >= 30
    precision, recall = FLOORS[name]
    assert one.precision >= precision
    assert one.recall >= recall


def test_the_rules_hold_for_the_calls_that_they_were_made_with() -> None:
    rows = sample(SAMPLES / "dev.jsonl")
    assert len(rows) >= 60
    assert list(misses(rows)) == []
