"""What a grader says of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NO_JUDGE: Final = "there is no judge"


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is 0 to 1, or None where the answer could not be graded: `reason` then says why.

    `extracted` is what was compared with the reference, None where the answer holds nothing of the kind. `details`:
    what else the grader can tell (JSON values only).
    """

    value: float | None
    reason: str = ""
    extracted: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
