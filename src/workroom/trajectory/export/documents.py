"""`atif`: the ATIF document of a run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workroom.trajectory.atif import to_atif

if TYPE_CHECKING:
    from workroom.trajectory.rundir import RunDirectory


def to_document(run: "RunDirectory") -> Iterator[dict[str, Any]]:
    """One document; it is made anew from the events, so that it is there for a killed run, too."""
    yield to_atif(run.events, run.agent, inline=True)
