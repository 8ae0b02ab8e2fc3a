"""What is handed from rollouts to trainers: token ids as they were sampled, masks, log-probabilities and a reward.

This is the record that trainers agree on (verl's AgentLoopOutput, TRL's rollout_func, prime-rl's traces). Nothing on
the way from the sampler to here decodes and encodes: ids are taken as they are.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workroom.trajectory.events import StopReason


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One contiguous token sequence of an episode.

    `mask` is 1 where the policy sampled, 0 where the harness put something between; `logprobs` are the sampler's own,
    0.0 where the mask is 0. All three are as long as `response_ids`. Raises ValueError where they are not.
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    mask: tuple[int, ...]
    logprobs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.response_ids) == len(self.mask) == len(self.logprobs):
            raise ValueError("response_ids, mask and logprobs of a row must be of one length")

    @property
    def length(self) -> int:
        """Tokens of prompt and response."""
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One episode for the trainer. Rows of one rollout share its reward; there are several only where the context was
    edited, so that a prompt does not go on from the one before.

    `group` is the task, of which `sample` counts the rollouts. `reward` is None where the plant failed: such a rollout
    is dropped, and never counts as 0. `components`: what the reward was made of. Times in seconds.
    """

    group: str
    sample: int
    rows: tuple[TrainRow, ...]
    reward: float | None
    stop_reason: "StopReason"
    answer: str | None = None
    error: str | None = None
    components: "Mapping[str, float]" = field(default_factory=dict)
    turns: int = 0
    tool_calls: "Mapping[str, int]" = field(default_factory=dict)
    seconds: float = 0.0
    model_seconds: float = 0.0
    sandbox_seconds: float = 0.0
    path: Path | None = None

    @property
    def sampled(self) -> int:
        """Tokens that the policy sampled."""
        return sum(sum(row.mask) for row in self.rows)
