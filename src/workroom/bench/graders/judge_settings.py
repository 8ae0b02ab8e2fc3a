"""What a suite says of its judge, in `[judge]` of its `suite.toml` and, for a variant, in `[judge.VARIANT]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Self

from workroom.bench.graders.judge_prompt import variant_of
from workroom.errors import ConfigError
from workroom.models.base import Sampling

if TYPE_CHECKING:
    from workroom.bench.suite import Suite

VOTES: Final = 3
# What each setting may be, and that in words.
_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "votes": ((int,), "a whole number"),
    "first": ((str,), "the name of a grader"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "seed": ((int,), "a whole number"),
    "max_tokens": ((int,), "a whole number"),
}


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How to judge. `first`: the grader that is asked before; where it finds an answer right, no judge is asked."""

    votes: int = VOTES
    sampling: Sampling = field(default_factory=Sampling)
    first: str | None = None

    @classmethod
    def of(cls, suite: "Suite", grader: str) -> Self:
        """Those of the suite for this grader (`llm_judge:VARIANT`). Raises ConfigError for a setting that is none."""
        table: dict[str, Any] = {name: value for name, value in suite.judge.items() if not isinstance(value, Mapping)}
        own = suite.judge.get(variant_of(grader), {})
        table |= own if isinstance(own, Mapping) else {}
        place = f"[judge] of {suite.folder / 'suite.toml'}"
        for name, value in table.items():
            if name not in _KINDS:
                raise ConfigError(f"{place} has the unknown setting {name!r}; there are: {', '.join(_KINDS)}")
            kinds, words = _KINDS[name]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ConfigError(f"{name} in {place} cannot be {value!r}: give {words}")
        sampling = Sampling(**{entry.name: table.get(entry.name) for entry in fields(Sampling)})
        return cls(checked_votes(table.get("votes", VOTES)), sampling, table.get("first"))


def checked_votes(votes: int) -> int:
    """The number itself. Raises ConfigError where it is none of votes."""
    if votes < 1:
        raise ConfigError(f"a judge needs at least one vote, not {votes}")
    return votes
