"""Model calls as rows of token ids: one contiguous sequence each, in which it is known what was sampled.

Nothing is ever tokenised here, so that no token drifts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from workroom.trajectory.events import Event, Tokens


class Called(Protocol):
    """The ids of one call. `logprobs` is as long as `completion`, or empty where the server told none."""

    @property
    def prompt(self) -> Sequence[int]: ...

    @property
    def completion(self) -> Sequence[int]: ...

    @property
    def logprobs(self) -> Sequence[float]: ...


@dataclass
class Row:
    """A prompt, and then what the model sampled (mask 1) with what the harness put between (mask 0).

    `response`, `mask` and `logprobs` are of one length; `logprobs` are 0.0 where the mask is 0.
    """

    prompt: list[int]
    response: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    complete: bool = True  # every sampled token has its log-probability

    def goes_on_with(self, call: Called) -> bool:
        """Whether the call's prompt begins with all of this row."""
        whole = len(self.prompt) + len(self.response)
        told = list(call.prompt[:whole])
        return told[: len(self.prompt)] == self.prompt and told[len(self.prompt) :] == self.response

    def add(self, call: Called) -> None:
        between = list(call.prompt[len(self.prompt) + len(self.response) :])
        sampled = list(call.completion)
        self.response += between + sampled
        self.mask += [0] * len(between) + [1] * len(sampled)
        told = len(call.logprobs) == len(sampled)
        self.complete = self.complete and told
        self.logprobs += [0.0] * len(between) + (list(call.logprobs) if told else [0.0] * len(sampled))


def merged(calls: Iterable[Called], *, interleaved: bool = False) -> list[Row]:
    """The calls as rows, in the order in which they begin.

    A new row begins where a prompt does not go on from the row before, as after old observations were shortened.
    `interleaved`: calls of several conversations may take turns, so that a prompt may go on from any row.
    """
    rows: list[Row] = []
    for call in calls:
        open_rows = rows if interleaved else rows[-1:]
        row = next((row for row in reversed(open_rows) if row.goes_on_with(call)), None)
        if row is None:
            row = Row(list(call.prompt))
            rows.append(row)
        row.add(call)
    return rows


def calls_of(events: "Iterable[Event]") -> "list[Tokens]":
    """The ids of an episode's calls, without those that a resumed run has put aside."""
    return [event.tokens for event in kept(events) if event.type == "assistant" and event.tokens is not None]
