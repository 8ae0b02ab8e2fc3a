"""Arms: what is compared. `llm`, `sandbox`, or the sandbox with something enforced otherwise, `sandbox+no_network`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from workroom.errors import ConfigError

# Each variation is a change of settings, so that it is enforced and not asked for.
VARIATIONS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "in_prompt": {"documents": "prompt"},
        "no_network": {"network": "none"},
        "no_execution": {"execution": False},
        "read_only": {"read_only": True},
        "neutral": {"style": "neutral"},
    }
)


@dataclass(frozen=True, slots=True)
class Arm:
    """A mode and the variations of it. Its text, such as `sandbox+in_prompt`, is the `mode` of a score."""

    mode: Literal["sandbox", "llm"]
    variations: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.mode, *self.variations))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a run (`RunConfig`) that make this arm."""
        settings: dict[str, Any] = {"mode": self.mode}
        for name in self.variations:
            settings |= VARIATIONS[name]
        return settings


def parse_arm(text: str) -> Arm:
    """The arm of a text such as `llm`, `sandbox+in_prompt` or `no_network+neutral` (in the sandbox).

    Variations are put into the order of `VARIATIONS`. Raises ConfigError for what is none.
    """
    first, *names = text.split("+")
    if first not in ("sandbox", "llm"):
        first, names = "sandbox", [first, *names]
    for name in names:
        if name not in VARIATIONS:
            raise ConfigError(f"there is no arm {name!r}; the arms are: {', '.join(VARIATIONS)}")
    if first == "llm" and names:
        raise ConfigError(f"{text!r} is no arm: {names[0]} is a variation of the sandbox, which llm mode has not")
    return Arm("llm" if first == "llm" else "sandbox", tuple(name for name in VARIATIONS if name in names))
