"""Two observations of one call: what differs by nature, and a unified diff of the rest.

The rules, each of which puts a word like `<time>` in the place of what it finds, on both sides:

- `<time>`: dates and times of the day of the run (and the days beside it), clock times with seconds, and seconds since
  the epoch within these days. Other dates are data and stay.
- `<duration>`, `<speed>`: numbers with a unit of time up to minutes, or of bytes a second.
- `<pid>`: the process id that bash tells of a background job, and a number after the word pid.
- `<temporary>`: names below /tmp that begin with tmp or pip, as `mktemp` and `tempfile` make them.
- `<address>`: addresses in memory, hexadecimal with six digits or more.

The line at the end of an observation that tells the budget is the harness's own, and never compared.
"""

import difflib
import hashlib
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workroom.trajectory.events import EpisodeFinished, ToolFinished

_DAY = 86_400
_BUDGET = re.compile(r"\n\[\d+ turns?(?:, [\d,]+ tokens)?(?:, [\d.e+-]+ USD)?(?:, \d+ seconds)? left\]\Z")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_ZONE = r"(?: ?(?:UTC|GMT|Z\b|[+-]\d{2}:?\d{2}\b))?"
_RULES = (
    (re.compile(r"\b\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b\d+(?:\.\d+)? ?[kMG]?i?B/s\b"), "<speed>"),
    (re.compile(r"\b\d+m\d+(?:\.\d+)?s\b"), "<duration>"),
    (re.compile(r"\b\d+(?:\.\d+)?(?:e-\d+)? ?(?:ns|µs|us|ms|s|secs?|seconds?|mins?|minutes?)\b"), "<duration>"),
    (re.compile(r"^(\[\d+\]) \d+$", re.MULTILINE), r"\1 <pid>"),
    (re.compile(r"\b(pid[ :=#]{0,3})\d+\b", re.IGNORECASE), r"\1<pid>"),
    (re.compile(r"/tmp/(?:tmp|pip)[\w.-]*"), "<temporary>"),
    (re.compile(r"\b0x[0-9a-f]{6,16}\b", re.IGNORECASE), "<address>"),
)
_EPOCH = re.compile(r"\b\d{10}(?:\.\d+)?\b")


def difference(
    recorded: "ToolFinished | EpisodeFinished", replayed: "ToolFinished | EpisodeFinished", *, exact: bool = False
) -> str:
    """A unified diff of what the two show, empty where that is the same. `exact`: none of the rules is used."""
    was, now = _text(recorded), _text(replayed)
    if not exact:
        was, now = normal(was, recorded.time), normal(now, replayed.time)
    if was == now:
        return ""
    lines = difflib.unified_diff(was.split("\n"), now.split("\n"), "recorded", "replayed", lineterm="")
    return "\n".join(lines)


def normal(text: str, when: float) -> str:
    """The text with everything that differs by nature replaced; `when` is the moment of its recording."""
    when = when or time.time()
    text = _day_pattern(when).sub("<time>", text)
    text = _EPOCH.sub(lambda match: "<time>" if abs(float(match[0]) - when) < 2 * _DAY else match[0], text)
    for pattern, word in _RULES:
        text = pattern.sub(word, text)
    return text


def _text(event: "ToolFinished | EpisodeFinished") -> str:
    if event.type == "episode_finished":
        return event.answer or ""
    text = _BUDGET.sub("", event.observation)
    for image in event.images:
        text += f"\n[{image.media_type}, SHA-256 {hashlib.sha256(image.data.encode()).hexdigest()}]"
    return text


def _day_pattern(when: float) -> "re.Pattern[str]":
    """Dates of the day, of the one before and the one after, as programs usually write them, with their times."""
    try:
        days = [datetime.fromtimestamp(when, UTC) + timedelta(days=shift) for shift in (-1, 0, 1)]
    except (OverflowError, ValueError, OSError):
        days = []
    forms = []
    for day in days:
        month, of_month = f"{day:%b}(?:{day:%B})?".replace(f"{day:%b}(?:", f"(?:{day:%b}|"), f"0?{day.day}"
        forms += [
            rf"{day:%Y-%m-%d}",
            rf"{day:%Y/%m/%d}",
            rf"{month} +{of_month}\b(?:,? {day:%Y})?",
            rf"\b{of_month} {month}(?: {day:%Y})?",
        ]
    weekday = r"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?"
    year = rf"(?: {days[1]:%Y}\b)?" if days else ""
    return re.compile(rf"{weekday}(?:{'|'.join(forms) or '(?!)'})(?:[T ,]+{_CLOCK})?{_ZONE}{year}")
