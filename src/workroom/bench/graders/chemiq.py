"""ChemIQ's forms of answer, as far as they can be checked without a chemistry library.

Molecules and names would have to be parsed (RDKit, OPSIN): a SMILES is compared as text, and a name is unscored.
"""

import re
from decimal import Decimal

from workroom.bench.graders.expression import own
from workroom.bench.graders.statement import boxed, concluded, plain, stated
from workroom.bench.score import Score
from workroom.task import Task

_NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
_PAIR = re.compile(r"[(\[]\s*(\d+)\s*,\s*(\d+)\s*[)\]]")
_SMILES = re.compile(r"(?:[A-Za-z0-9@+\-\[\]()=#$%/\\.:*]+)")
_LABEL = re.compile(
    r"^(?:the\s+)?(?:product|smiles|molecule|structure)?(?:\s+smiles)?(?:\s+string)?\s*(?::|\bis\b)\s*", re.IGNORECASE
)


def grade_number(task: Task, answer: str) -> Score:
    """1 where the last number that is stated is the reference's."""
    given, expected = _number(_said(answer)), _number(task.answer or "")
    return Score(float(given is not None and given == expected), extracted=None if given is None else str(given))


def grade_range(task: Task, answer: str) -> Score:
    """1 where the last number that is stated lies in `answer_range`, "(from, to)", both included."""
    bounds = [Decimal(found) for found in _NUMBER.findall(str(task.meta.get("answer_range") or ""))]
    if len(bounds) != 2:
        return Score(None, "the task has no answer_range in its metadata")
    given = _number(_said(answer))
    return Score(
        float(given is not None and min(bounds) <= given <= max(bounds)),
        extracted=None if given is None else str(given),
    )


def grade_mapping(task: Task, answer: str) -> Score:
    """1 where the last list of pairs is the reference's, in any order of the pairs."""
    given, expected = _pairs(answer), _pairs(task.answer or "")
    right = len(given) == len(expected) and set(given) == set(expected)
    # Atoms that a symmetry exchanges have more than one right mapping.
    details = {"checked": "as a set of pairs; another mapping of a symmetric molecule would need RDKit"}
    return Score(float(right), extracted=str(given) if given else None, details=details)


def grade_smiles(task: Task, answer: str) -> Score:
    """1 where the SMILES is written as the reference's."""
    given = _smiles(answer)
    details = {"checked": "as text; the same molecule in another writing would need RDKit"}
    return Score(float(given == (task.answer or "").strip()), extracted=given or None, details=details)


def grade_name(task: Task, answer: str) -> Score:  # noqa: ARG001 - a grader's signature
    """Unscored: whether a name is that of a molecule can be told by OPSIN only."""
    return Score(None, "a name of a molecule can be checked only by OPSIN, which is not part of this", stated(answer))


def _said(answer: str) -> str:
    """What is stated, without what explains it: in `12 (of 24)` it is not the last number that is meant."""
    expression = own(answer) if boxed(concluded(answer)) is None else None
    return stated(answer) if expression is None else plain(expression)


def _number(text: str) -> Decimal | None:
    found = _NUMBER.findall(text)
    return Decimal(found[-1].replace(",", "").replace("−", "-")) if found else None


def _pairs(text: str) -> list[tuple[int, int]]:
    """The pairs of the last list; what is between the pairs of one list is no more than commas and white space."""
    pairs: list[tuple[int, int]] = []
    end = 0
    for found in _PAIR.finditer(text):
        if text[end : found.start()].strip(" \t\r\n,"):
            pairs = []
        pairs.append((int(found[1]), int(found[2])))
        end = found.end()
    return pairs


def _smiles(answer: str) -> str:
    """The SMILES that is stated: the last word that could be one, of a text that may say more."""
    # Of a SMILES nothing may be taken for dress but what surrounds it.
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip(" \t`")]
    last = _LABEL.sub("", lines[-1].strip("`*$ ")) if lines else ""
    words = [word for word in last.split() if _SMILES.fullmatch(word.strip("`*.,"))]
    return words[-1].strip("`.,").removesuffix("**").removeprefix("**") if words else ""
