"""Groups: the rollouts of one task, which are compared with each other."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from workroom.errors import WorkroomError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workroom.train.records import Rollout, TrainRow

LEAST: Final = 2  # rollouts of a group of which one can be better than another


def grouped(rollouts: "Sequence[Rollout]") -> "dict[str, list[Rollout]]":
    """Those that earned something, be it 0, by group, both in the order they came."""
    groups: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        if rollout.reward is not None:
            groups.setdefault(rollout.group, []).append(rollout)
    return groups


def usable(rollouts: "Sequence[Rollout]") -> "list[Rollout]":
    """Those that can be learnt from: without what was dropped, and without groups in which fewer than two are left."""
    sizes = {group: len(members) for group, members in grouped(rollouts).items()}
    return [rollout for rollout in rollouts if rollout.reward is not None and sizes[rollout.group] >= LEAST]


def fill(rollouts: "Sequence[Rollout]") -> "list[Rollout]":
    """As many as came, for an engine that takes whole groups and one row at least of each (TRL).

    What cannot be learnt from is made to teach nothing: a dropped rollout gets its group's mean reward, so that it
    moves no one's baseline and has no advantage itself, and rows whose mask is 0 throughout, so that it has no gradient
    either. So does a group in which fewer than two are left. Such rollouts have the component `filled`.

    Raises WorkroomError where no rollout has a row.
    """
    rows = sorted((row for rollout in rollouts for row in rollout.rows), key=lambda row: row.length)
    if not rows:
        raise WorkroomError("no episode of the batch came to sample a token, so that there is nothing to learn from")
    groups = grouped(rollouts)
    filled = []
    for rollout in rollouts:
        earned = [reward for other in groups.get(rollout.group, ()) if (reward := other.reward) is not None]
        if rollout.reward is not None and len(earned) >= LEAST:
            filled.append(rollout if rollout.rows else replace(rollout, rows=(_silent(rows[0]),)))
            continue
        own = rollout.rows[:1] or rows[:1]
        mean = sum(earned) / len(earned) if earned else 0.0
        components = {**rollout.components, "filled": 1.0}
        filled.append(replace(rollout, reward=mean, rows=(_silent(own[0]),), components=components))
    return filled


def _silent(row: "TrainRow") -> "TrainRow":
    """The row with nothing in it that the policy sampled."""
    length = len(row.response_ids)
    return replace(row, mask=(0,) * length, logprobs=(0.0,) * length)
