"""Several tests at once: each of them could find something by chance."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values after the correction of Holm (1979), in the order given.

    Comparing each with a level keeps the probability of even one false finding in the whole family below that level,
    whatever the tests have to do with one another. The family of a bench is its suites.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
