"""The figures of one step of our own trainer, over its updates and their micro-batches."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Figures:
    """Means, over what they were added for; `updates` made, of which so many `failed`."""

    def __init__(self) -> None:
        self.updates = 0
        self.failed = 0
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def add(self, name: str, value: float, weight: float = 1.0) -> None:
        """Adds the sum of so many values, or one."""
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def add_tokens(self, name: str, values: "Tensor", mask: "Tensor") -> None:
        """Adds the values of the sampled tokens."""
        self.add(name, float((values.detach() * mask).sum()), float(mask.sum()))

    def peak(self, name: str, value: float) -> None:
        """Keeps the largest."""
        self._sums[name] = max(value, self._sums.get(name, value))
        self._weights[name] = 1.0

    def result(self) -> dict[str, float]:
        """All of them that are numbers."""
        means = {name: value / self._weights[name] for name, value in self._sums.items()}
        counts = {"updates": float(self.updates), "failed_updates": float(self.failed)}
        return {name: value for name, value in means.items() if math.isfinite(value)} | counts
