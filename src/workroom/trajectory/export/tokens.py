"""`tokens`: what a trainer needs, from the token ids that the server told; see `workroom.trajectory.rows`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.trajectory.rows import calls_of, merged

if TYPE_CHECKING:
    from workroom.trajectory.rundir import RunDirectory


def to_rows(run: "RunDirectory") -> Iterator[dict[str, Any]]:
    """A record for each row of the run. Raises ConfigError where the run has no token ids."""
    started, end = run.started, run.finished
    rows = merged(calls_of(run.events))
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
