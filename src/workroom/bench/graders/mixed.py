"""Questions of mixed kinds about a text, graded by the kind of the reference.

A letter: multiple choice. Letters: F1 over the sets. Mathematics: equal, else ROUGE-L F. Anything else: ROUGE-L F.
"""

import re

from workroom.bench.graders import choice, mathematics, text
from workroom.bench.score import Score
from workroom.task import Task

_LETTERS = re.compile(r"\(?[A-Z]\)?(?:(?:\s*[,;/&]\s*|\s+and\s+|\s+)\(?[A-Z]\)?)*\.?")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_MOST_WORDS = 2  # in mathematics: of a unit, or "or"


def grade(task: Task, answer: str) -> Score:
    """The score by the kind of the reference."""
    reference = (task.answer or "").strip()
    if _LETTERS.fullmatch(reference):
        expected = set(re.findall(r"[A-Z]", reference.replace("and", "")))
        if len(expected) > 1:
            return grade_letters(task, answer, expected)
        return choice.grade(task, answer)
    # Prose has numbers in it too: math-verify would take one for the whole.
    if re.search(r"\d|\\", reference) and len(_WORD.findall(reference)) <= _MOST_WORDS:
        score = mathematics.grade(task, answer)
        if score.value == 1:
            return score
    return text.grade_rouge(task, answer)


def grade_letters(task: Task, answer: str, expected: set[str]) -> Score:
    """F1 of the letters that are stated."""
    given = choice.choose_several(answer, choice.options(task, *expected), task.choices)
    value = 2 * len(given & expected) / (len(given) + len(expected))
    return Score(value, extracted=", ".join(sorted(given)) or None)
