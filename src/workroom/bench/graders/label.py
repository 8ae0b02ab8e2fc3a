"""Yes, no or maybe: the last of them that an answer states."""

import re

from workroom.bench.graders import choice
from workroom.bench.graders.statement import ANSWER, lined, plain
from workroom.bench.score import Score
from workroom.task import Task

LABELS = ("yes", "no", "maybe")
_END = r"(?=\s*(?:[.,;:!)\n—–-]|$))"
_STATEMENTS = re.compile(
    rf"(?:{ANSWER}(?:therefore|thus|probably|most likely|likely)?,?\s*|"
    r"\b(?:conclusion|label|decision|verdict|conclude|prediction)[ \t]*(?::|is|with|that it is)?\s*|"
    r"(?:^|\n)[ \t]*\(?(?:[A-C][).:][ \t]*)?|"
    r"[.!?]\s+|\b(?:so|thus|therefore|hence),?\s+)"
    rf"[(\[']?(?P<label>yes|no|maybe)[)\]']?{_END}",
    re.IGNORECASE,
)


def grade(task: Task, answer: str) -> Score:
    """1 where the label is the reference's. An answer that states none is wrong."""
    given = label(answer)
    if given is None and len(task.choices) == len(LABELS):
        letter = choice.choose(answer, len(LABELS))
        given = task.choices["ABC".index(letter)].lower() if letter else None
    return Score(float(given == (task.answer or "").strip().lower()), extracted=given)


def label(answer: str) -> str | None:
    """The label an answer states last: alone, after a mark of an answer, or at the head of a line or sentence.

    "No evidence was found" and "there is no effect" state none.
    """
    text = lined(answer)
    if alone := _alone(text):
        return alone
    found = list(_STATEMENTS.finditer(text))
    return found[-1]["label"].lower() if found else None


def _alone(text: str) -> str | None:
    word = plain(text).strip().strip(".!()[]'").strip().lower()
    return word if word in LABELS else None
