"""Behaviour phrases: how often responses verify, organise, plan and turn back, by the lexicon of `phrases.toml`."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from workroom.trajectory.events import Event

LIMIT: Final = 1_000_000  # characters of one response that are looked at


@dataclass(frozen=True, slots=True)
class PhraseUse:
    """`counts`: occurrences by kind in `responses` of a model; a response is what one model call gave."""

    responses: int
    counts: dict[str, int]

    def per_response(self, kind: str) -> float | None:
        """Occurrences per response; None without responses."""
        return self.counts[kind] / self.responses if self.responses else None


def kinds() -> tuple[str, ...]:
    """The kinds of phrases, as the lexicon names them."""
    return tuple(_lexicon())


def count(text: str) -> dict[str, int]:
    """Occurrences by kind in one text. Of phrases that overlap the longest counts."""
    text = text[:LIMIT].replace("’", "'")
    return {kind: sum(1 for _ in pattern.finditer(text)) for kind, pattern in _lexicon().items()}


def phrases(events: "Iterable[Event]") -> PhraseUse:
    """The phrases of an episode: of what its model wrote and thought, as far as the server shows it."""
    responses, counts = 0, dict.fromkeys(kinds(), 0)
    for event in kept(events):
        if event.type == "assistant":
            responses += 1
            for kind, found in count(f"{event.reasoning or ''}\n{event.content}").items():
                counts[kind] += found
    return PhraseUse(responses, counts)


def phrases_together(uses: Iterable[PhraseUse]) -> PhraseUse:
    """The phrases of several episodes."""
    found = list(uses)
    return PhraseUse(
        sum(use.responses for use in found), {kind: sum(use.counts[kind] for use in found) for kind in kinds()}
    )


@cache
def _lexicon() -> dict[str, re.Pattern[str]]:
    data = tomllib.loads(files("workroom.analysis").joinpath("phrases.toml").read_text("utf-8"))
    return {name: _pattern(entry) for name, entry in data.items() if isinstance(entry, dict)}


def _pattern(entry: dict[str, Any]) -> re.Pattern[str]:
    """One expression for all phrases of a kind; the longest come first, for the first that fits is taken."""
    words = "|".join(_phrase(phrase) for phrase in sorted(entry["phrases"], key=len, reverse=True))
    initials = "".join(sorted({phrase[0] for phrase in entry["phrases"]}))
    beginnings = [_line(line) for line in sorted(entry.get("lines", ()), key=len, reverse=True)]
    whole = rf"\b(?=[{initials}])(?:{words})\b"
    return re.compile("|".join([*beginnings, whole]), re.IGNORECASE | re.MULTILINE)


def _phrase(phrase: str) -> str:
    gap = r"(?:\s+[^\s]{1,40}){0,3}?"
    parts = [gap if word == "..." else re.escape(word) for word in phrase.split()]
    return "".join(part if part == gap or not index else r"\s+" + part for index, part in enumerate(parts))


def _line(line: str) -> str:
    # A `#` before a blank or another `#` is a heading's; any other stands for a digit.
    heading = not line.strip("# ")
    return r"^[ \t]{0,8}" + (re.escape(line) if heading else re.escape(line).replace(r"\#", r"\d"))
