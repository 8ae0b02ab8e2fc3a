"""Groups: the rollouts of one task, which are compared with each other."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workroom.train.records import Rollout

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
