"""Graders of text: exact match, token F1 and ROUGE-L, each over the best of several references.

The text that is graded follows the last line that begins with `Answer:`, to the end; without one it is the whole
answer. Of short answers (exact match, F1) a box in it counts alone, and without line and box what "the answer is".
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from workroom.bench.graders.statement import concluded, stated
from workroom.bench.graders.tokens import compared
from workroom.bench.score import Score
from workroom.task import Task

_WORDS = re.compile(r"\w+")


def grade_exact(task: Task, answer: str) -> Score:
    """1 where what is stated is a reference, but for case, articles, white space and punctuation that means nothing."""
    given = stated(answer)
    return Score(best(exact, given, references(task)), extracted=given)


def grade_f1(task: Task, answer: str) -> Score:
    """The token F1 of what is stated; `details` has the exact match as well."""
    given = stated(answer)
    value = best(token_f1, given, references(task))
    return Score(value, extracted=given, details={"f1": value, "exact": best(exact, given, references(task))})


def grade_rouge(task: Task, answer: str) -> Score:
    """ROUGE-L F of what follows the last `Answer:`, else of the whole answer."""
    given = concluded(answer)
    return Score(best(rouge_l, given, references(task)), extracted=given)


def references(task: Task) -> list[str]:
    """The reference answers: `answers` of the metadata, else the task's answer."""
    answers = task.meta.get("answers")
    found = [str(answer) for answer in answers] if isinstance(answers, list) else []
    return found or [task.answer or ""]


def best(measure: Callable[[str, str], float], given: str, accepted: Sequence[str]) -> float:
    """The best that a measure gives over the references."""
    return max(measure(given, reference) for reference in accepted)


def exact(given: str, reference: str) -> float:
    """1 or 0. Texts of nothing but punctuation are compared as they are."""
    left, right = compared(given, reference)
    return float(left == right if left or right else given.strip() == reference.strip())


def token_f1(given: str, reference: str) -> float:
    """The harmonic mean of precision and recall over tokens."""
    left, right = compared(given, reference)
    if not left or not right:
        return exact(given, reference)
    common = (Counter(left) & Counter(right)).total()
    return 2 * common / (len(left) + len(right))


def rouge_l(given: str, reference: str) -> float:
    """The F measure (beta 1) over the longest common subsequence of words: Lin, "ROUGE", 2004. No stemming."""
    left, right = (_WORDS.findall(unicodedata.normalize("NFKC", text).lower()) for text in (given, reference))
    if not left or not right:
        return exact(given, reference)
    return 2 * common_length(left, right) / (len(left) + len(right))


def common_length(left: Sequence[str], right: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of the table at a time, as bits of one integer.

    Hyyrö, "Bit-parallel LCS-length computation revisited", 2004. Long texts take milliseconds.
    """
    places: dict[str, int] = {}
    for index, word in enumerate(right):
        places[word] = places.get(word, 0) | 1 << index
    every = (1 << len(right)) - 1
    row = every
    for word in left:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & every
    return len(right) - row.bit_count()
