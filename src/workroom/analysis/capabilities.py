"""How often an episode used which capability: external resources, file management, computation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from workroom.analysis.calls import CallReader
from workroom.analysis.rules import CAPABILITIES, Capability
from workroom.trajectory.reader import answers, kept

if TYPE_CHECKING:
    from workroom.trajectory.events import Event


class Evidence(NamedTuple):
    """Why a turn counts: the rule that holds, and the command or the line of code that it holds for."""

    turn: int
    call_id: str
    capability: Capability
    rule: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class CapabilityUse:
    """Of one episode, or of several together. `turns`: all of them; `matched`: those in which the capability was used.

    `episodes`: how many there are; `used`: those that used the capability at all.
    """

    turns: int
    matched: dict[Capability, int]
    episodes: int
    used: dict[Capability, int]
    evidence: tuple[Evidence, ...] = ()

    def rate(self, capability: Capability) -> float | None:
        """Turns that used it, of all turns, as the paper counts; None without turns."""
        return self.matched[capability] / self.turns if self.turns else None

    def share(self, capability: Capability) -> float | None:
        """Episodes that used it, of all episodes; None without episodes."""
        return self.used[capability] / self.episodes if self.episodes else None


def usage(events: "Iterable[Event]") -> CapabilityUse:
    """The use of one episode, by the rules of `rules.toml`. Turns that a resumed run has put aside do not count."""
    history = kept(events)
    documents = next((event.documents for event in history if event.type == "episode_started"), [])
    reader = CallReader(documents)
    turns, evidence = 0, []
    for place, event in enumerate(history):
        if event.type != "assistant":
            continue
        turns += 1
        results = answers(history, place)
        for call in event.calls:
            result = results.get(call.id)
            hits = reader.read(call.name, call.arguments, result.facts if result is not None else None)
            evidence += [Evidence(event.turn, call.id, *hit) for hit in hits]
    matched: dict[Capability, int] = {
        capability: len({one.turn for one in evidence if one.capability == capability}) for capability in CAPABILITIES
    }
    return CapabilityUse(turns, matched, 1, {name: int(count > 0) for name, count in matched.items()}, tuple(evidence))


def together(uses: Iterable[CapabilityUse]) -> CapabilityUse:
    """The use of several episodes: sums of turns and episodes, without the evidence."""
    found = list(uses)
    return CapabilityUse(
        sum(use.turns for use in found),
        {name: sum(use.matched[name] for use in found) for name in CAPABILITIES},
        sum(use.episodes for use in found),
        {name: sum(use.used[name] for use in found) for name in CAPABILITIES},
    )
