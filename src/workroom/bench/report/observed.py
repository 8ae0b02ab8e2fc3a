"""What the report takes from the events of one attempt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from workroom.trajectory.events import Event

EXAMPLES = 3  # pieces of evidence that are kept of an attempt, for each capability
EXCERPT = 160  # characters


class Example(NamedTuple):
    """A call that shows a capability, and the rule that found it."""

    capability: str
    turn: int
    rule: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Of one attempt. `turns` are the model's answers; `capabilities`: how many of the turns show each; `phrases`: how
    often each kind occurs, over all of the answers.

    `first_prompt`: tokens of the first call. `egress`: requests by (host, verdict) as "HOST VERDICT". `sandbox`: the
    facts of `run.json`; `memory`: bytes, by `start` and `peak`, where they were measured. `versions`: as in `run.json`.
    """

    turns: int = 0
    capabilities: Mapping[str, int] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    phrases: Mapping[str, int] = field(default_factory=dict)
    first_prompt: int | None = None
    egress: Mapping[str, int] = field(default_factory=dict)
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def observe(events: "Sequence[Event]", run: Mapping[str, Any]) -> Observed:
    """The observations of an attempt with these events and this `run.json`."""
    from workroom.analysis.capabilities import usage
    from workroom.analysis.phrases import phrases

    history = kept(events)
    answers = [event for event in history if event.type == "assistant"]
    use = usage(history)
    seen: Counter[str] = Counter()
    examples = []
    for evidence in use.evidence:
        seen[evidence.capability] += 1
        if seen[evidence.capability] <= EXAMPLES:
            excerpt = evidence.excerpt[:EXCERPT]
            examples.append(Example(evidence.capability, evidence.turn, evidence.rule, excerpt))
    return Observed(
        turns=len(answers),
        capabilities={str(name): count for name, count in use.matched.items()},
        examples=examples,
        phrases=phrases(history).counts,
        first_prompt=answers[0].usage.prompt if answers else None,
        egress=dict(Counter(f"{event.host} {event.verdict}" for event in history if event.type == "egress")),
        sandbox=_mapping(run.get("sandbox")),
        memory=_mapping(run.get("sandbox_memory")),
        versions=_mapping(run.get("versions")),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
