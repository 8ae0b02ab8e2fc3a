"""What a judge's reply says in the end: correct, not correct, or nothing that can be told."""

import re
from typing import Final, Literal

from workroom.bench.graders.statement import THOUGHTS

Verdict = Literal["correct", "incorrect"]

# `verdict: ...`, `the verdict is ...`, and "verdict" as a key of JSON. What stands in quotation marks is quoted from
# the candidate, and is no verdict of the judge.
_MARK: Final = re.compile(r"(?<![\w\"'`“‘«])verdict[*_`\s]*(?::|=|-|–|—|\bis\b)", re.IGNORECASE)
_JSON: Final = re.compile(r"\"verdict\"\s*:\s*\"([^\"]*)\"", re.IGNORECASE)
# But not as in "the correct answer is 5", which tells what would have been.
_WORD: Final = re.compile(
    r"\b(?:(?P<wrong>incorrect|(?:in|non|un)[ -]correct|wrong)|correct)\b"
    r"(?!\s+(?:answer|value|one|result|option|response|solution|choice|unit)s?\s+(?:is|are|was|would|should|has|=))",
    re.IGNORECASE,
)
_CHOICE: Final = re.compile(r"[\s\"'`*_)\]]*(?:/|\||,|\bor\b)[\s\"'`*_(\[]*", re.IGNORECASE)
_DENIES: Final = re.compile(r"\b(?:not|never|neither|hardly|cannot|far from|fails to be|\w+n't)\b", re.IGNORECASE)
_PARTLY: Final = re.compile(
    r"\b(?:partial(?:ly)?|part(?:ly)?|half|almost|nearly|mostly|largely|somewhat|only in part)\b", re.IGNORECASE
)
_UNSURE: Final = re.compile(r"\b(?:if|may|might|could|unclear|unsure|uncertain|whether)\b", re.IGNORECASE)
_TAKEN_BACK: Final = re.compile(r"[\s\"'`*_]*(?:\?|[:=-][\s\"'`*_]*(?:no|false)\b)", re.IGNORECASE)
_LONGEST: Final = 120
# A sentence of at most so many characters that says nothing else, for judges that leave out the word "verdict".
_SENTENCE: Final = re.compile(
    r"(?:(?:so|thus|therefore|hence|overall|finally|conclusion|judge?ment|result|assessment|answer)\b[,: ]\s*)*"
    r"(?:(?:it|the|this|that|candidate|candidate's|model's|student's|given|final|answer|response|solution)\s+)*"
    r"(?:is|was|isn't|wasn't|cannot be called)?\s*"
    r"(?:(?:not|only|fully|entirely|completely|partially|partly|almost|nearly|mostly)\s+)*"
    r"(?:correct|incorrect|(?:in|non)[ -]correct|wrong)",
    re.IGNORECASE,
)


def read_verdict(reply: str) -> Verdict | None:
    """The last verdict of the reply; None where the last one cannot be told, or there is none.

    A verdict follows the word "verdict", or is a sentence of its own at the end of a line, such as "The answer is
    correct." Half-correct is not correct. Thoughts in tags before the reply are left out.
    """
    text = THOUGHTS.sub("", reply.replace("’", "'"))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    last: Verdict | None = None
    for number, line in enumerate(lines):
        if line.startswith(">"):
            continue
        said = _marked(line)
        if said is not None:
            if not re.search(r"\w", said) and number + 1 < len(lines):
                said = lines[number + 1]
            last = _polarity(said)
        elif sentence := _bare(line):
            last = _polarity(sentence)
    return last


def _marked(line: str) -> str | None:
    """What follows the last "verdict" of the line."""
    if keys := _JSON.findall(line):
        return str(keys[-1])
    ends = [mark.end() for mark in _MARK.finditer(line)]
    return line[ends[-1] :] if ends else None


def _bare(line: str) -> str | None:
    """The last sentence of the line, where it is a verdict and nothing else."""
    plain = re.sub(r"[*_`#${}()\[\]]|\\boxed|\\text", "", line)
    sentence = re.split(r"(?<=[.!?;])\s+", plain.strip())[-1].strip(" .!")
    return sentence if len(sentence) <= _LONGEST and _SENTENCE.fullmatch(sentence) else None


def _polarity(said: str) -> Verdict | None:
    words = list(_WORD.finditer(said))
    if not words:
        return None
    if len(words) > 1 and _CHOICE.fullmatch(said, words[0].end(), words[1].start()):
        return None  # it repeats what it was asked to write
    word, before = words[0], said[: words[0].start()]
    if _UNSURE.search(before) or _TAKEN_BACK.match(said, word.end()):
        return None
    denied = bool(_DENIES.search(before) or _PARTLY.search(before))
    if word["wrong"]:
        return None if denied else "incorrect"  # "not incorrect", "partly wrong": what that means is not clear
    return "incorrect" if denied else "correct"
