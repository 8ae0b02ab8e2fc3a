"""Yes, no or maybe: the last of them that an answer states."""

import re

from workroom.bench.graders import choice
from workroom.bench.graders.choice_words import WITHDRAWN
from workroom.bench.graders.statement import ANSWER, lined, plain
from workroom.bench.score import Score
from workroom.task import Task

LABELS = ("yes", "no", "maybe")
_CLAUSE = 200  # characters
_LABEL = r"[(\[']?(?P<label>yes|no|maybe)[)\]']?"
_ENDS = r"\s*(?:[.,;:!)}\n—–-]|$)|\s+(?:because|since|due\s+to)\b"
_ITEM = r"[ \t]*\(?(?:[A-C][).:][ \t]*)?"
_STATED = re.compile(
    rf"(?:{ANSWER}(?:therefore|thus|probably|most likely|likely)?,?\s*|"
    r"\b(?:conclusion|label|decision|verdict|conclude|prediction)[ \t]*(?::|is|with|that it is)?\s*|"
    rf"{WITHDRAWN.pattern}[ \t]*[,:.]?[ \t]*(?:it[ \t]+is[ \t]+)?|"
    r"\bnot[ \t]+(?:yes|no|maybe),?[ \t]+but[ \t]+|"
    r"(?P<chosen>\b(?:i|we|i'd|we'd|i'll|we'll)[ \t]+(?:(?:would|will|therefore|must|have to)[ \t]+)?"
    r"(?:choose|chose|select|pick|answer|say|(?:go|went)[ \t]+(?:with|for)|opt[ \t]+for|settle[ \t]+on)[ \t]*:?[ \t]*)|"
    r"\A)"
    rf"{_LABEL}(?={_ENDS}|\s+(?:as|given|based\s+on)\b|[ \t]*[(\[])",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\bif\b[^.!?;\n]*$", re.IGNORECASE)
# These conclude as well: "hence no", and a line of nothing else that answers no question of the line before.
_CONCLUDED = re.compile(
    rf"\b(?:so|thus|therefore|hence),?\s+{_LABEL}(?={_ENDS})"
    rf"|(?<![?\n])\n+{_ITEM}{_LABEL.replace('<label>', '<alone>')}[.!]?[ \t]*(?=\n|$)",
    re.IGNORECASE,
)
_BEGUN = re.compile(rf"(?:(?:^|\n){_ITEM}|[.!?]\s+){_LABEL}(?={_ENDS})", re.IGNORECASE)


def grade(task: Task, answer: str) -> Score:
    """1 where the label is the reference's. An answer that states none is wrong."""
    given = label(answer)
    if given is None and len(task.choices) == len(LABELS):
        letter = choice.choose(answer, len(LABELS))
        given = task.choices["ABC".index(letter)].lower() if letter else None
    return Score(float(given == (task.answer or "").strip().lower()), extracted=given)


def label(answer: str) -> str | None:
    """The label an answer states last: alone, after a mark of an answer, or at the head of a line or sentence.

    "No evidence was found" and "there is no effect" state none. Below a line `Answer: yes`, what is only the head of a
    line or sentence explains it: "Was there harm? No, none."
    """
    text = lined(answer)
    if alone := _alone(text):
        return alone
    stated = [
        found
        for found in _STATED.finditer(text)
        if not (found["chosen"] and _SUPPOSED.search(text, max(0, found.start() - _CLAUSE), found.start()))
    ]
    places = [found.start("label") for found in stated]
    line = next((at for at in places if choice.is_on_a_line(text, at)), len(text))
    begun = (found for found in _BEGUN.finditer(text) if found.start() < line)
    last = max([*stated, *_CONCLUDED.finditer(text), *begun], key=lambda found: found.end(), default=None)
    return (last["label"] or last["alone"]).lower() if last else None


def _alone(text: str) -> str | None:
    word = plain(text).strip().strip(".!()[]'").strip().lower()
    return word if word in LABELS else None
