"""`tokens`: what a trainer needs, from the token ids that the server told.

A row is one contiguous sequence: a prompt, and then what the model sampled (mask 1) with what the harness put between
(mask 0). A new row begins where a prompt does not go on from the one before and its completion, as after old
observations were shortened. Nothing is ever tokenised here, so that no token drifts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from workroom.trajectory.events import Tokens
    from workroom.trajectory.rundir import RunDirectory


@dataclass
class _Row:
    prompt: list[int]
    response: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    complete: bool = True  # every sampled token has its log-probability

    def goes_on_with(self, tokens: "Tokens") -> bool:
        length = len(self.prompt)
        return (
            len(tokens.prompt) >= length + len(self.response)
            and tokens.prompt[:length] == self.prompt
            and tokens.prompt[length : length + len(self.response)] == self.response
        )

    def add(self, tokens: "Tokens") -> None:
        between = tokens.prompt[len(self.prompt) + len(self.response) :]
        sampled = tokens.completion
        self.response += between + sampled
        self.mask += [0] * len(between) + [1] * len(sampled)
        told = len(tokens.logprobs) == len(sampled)
        self.complete = self.complete and told
        self.logprobs += [0.0] * len(between) + (tokens.logprobs if told else [0.0] * len(sampled))


def to_rows(run: "RunDirectory") -> Iterator[dict[str, Any]]:
    """A record for each row of the run. Raises ConfigError where the run has no token ids."""
    started, end = run.started, run.finished
    rows: list[_Row] = []
    for event in kept(run.events):
        if event.type == "assistant" and event.tokens is not None:
            if not rows or not rows[-1].goes_on_with(event.tokens):
                rows.append(_Row(event.tokens.prompt))
            rows[-1].add(event.tokens)
    if not rows or started is None:
        raise ConfigError(
            f"the run in {run.path} has no token ids; record them with `workroom run --token-ids` and a server that "
            "tells them (vLLM, SGLang, llama.cpp)"
        )
    for number, row in enumerate(rows):
        yield {
            "task": started.task,
            "rollout": started.episode,
            "row": number,
            "rows": len(rows),
            "model": started.model,
            "prompt_ids": row.prompt,
            "response_ids": row.response,
            "mask": row.mask,
            "logprobs": row.logprobs if row.complete else None,
            "reward": None,
            "stop_reason": end.stop_reason if end else None,
        }
