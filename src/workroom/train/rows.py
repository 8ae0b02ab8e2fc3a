"""Rows of token ids for the trainer, from an episode's events or from calls that a gateway has recorded."""

from typing import TYPE_CHECKING

from workroom.errors import ConfigError
from workroom.train.records import TrainRow
from workroom.trajectory.rows import calls_of, merged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workroom.trajectory.events import Event
    from workroom.trajectory.rows import Called


def rows_of(events: "Iterable[Event]") -> tuple[TrainRow, ...]:
    """The rows of an episode, none where the model was never asked. Raises ConfigError as `train_rows` does."""
    return train_rows(calls_of(events))


def train_rows(calls: "Iterable[Called]", *, interleaved: bool = False) -> tuple[TrainRow, ...]:
    """The calls as rows, see `workroom.trajectory.rows.merged`.

    Raises ConfigError where log-probabilities are missing: without them there is nothing to compare the policy with.
    """
    rows = merged(calls, interleaved=interleaved)
    if not all(row.complete for row in rows):
        raise ConfigError(
            "the sampler tells no log-probabilities of what it sampled, which training needs; use a server that does "
            "(vLLM, SGLang)"
        )
    return tuple(TrainRow(tuple(row.prompt), tuple(row.response), tuple(row.mask), tuple(row.logprobs)) for row in rows)
