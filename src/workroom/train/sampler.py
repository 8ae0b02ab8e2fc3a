"""The seam to whatever samples from the policy: token ids in, token ids out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one call sampled, the end-of-turn token included where it was. `logprobs` is as long as `ids`.

    `finish` is `length` where the bound on tokens ended it.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]


class Sampler(Protocol):
    """Samples from the policy as it is now. Many calls may wait at a time; a sampler batches them as it likes."""

    async def sample(
        self, ids: Sequence[int], *, max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> Sampled:
        """Goes on after `ids` until an end-of-turn token or `max_tokens`.

        No top-p, no top-k: what is cut off would bias the ratios. Temperature 0 takes the likeliest token, and the
        log-probabilities are then those at temperature 1. Raises a ModelError where it fails.
        """
        ...

    async def aclose(self) -> None:
        """Frees what it holds; safe to call twice."""
        ...
