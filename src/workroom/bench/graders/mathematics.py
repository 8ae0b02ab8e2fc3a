r"""Mathematics by math-verify: what is in the answer's last box against the reference, as expressions.

Without a box, the expression that the answer states, else what it concludes, is read as if it were in one, if it is a
formula and nothing else, as in a file of the bare answer; else math-verify looks for mathematics in its prose, where it
knows numbers and `$...$` alone. A bound or a range is no number.

Its own time-outs are off: they work by signals, and the pool ends what takes too long.
"""

import logging
import re
from functools import lru_cache
from typing import Any

from workroom.bench.graders.expression import hedged, own
from workroom.bench.graders.statement import ANSWER, boxed, boxes, concluded
from workroom.bench.graders.written import last_number, latex
from workroom.bench.score import Score
from workroom.task import Task

_SMALL = 1e-4  # of numbers below this
_ROUNDING = 1e-4  # such a share of them counts as rounded
_LONGEST = 1000  # characters of a bare formula; a line of many thousand letters would take minutes
_MARKS = re.compile(ANSWER, re.IGNORECASE)  # "the answer is"
_DELIMITERS = re.compile(r"\\?\$|(?<!\\)\\[()\[\]]")
_DOLLAR = re.compile(r"\\\$")  # of money; left as it is, math-verify reads no number behind it
_ENVIRONMENT = re.compile(r"\\begin\{(\w+)\}.{0,2000}?\\end\{\1\}", re.DOTALL)  # a matrix may go over lines
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}]*)\}")
# Words that stand by themselves (`xy` is a product), and a number with a unit: math-verify knows few units in a box.
_PROSE = re.compile(
    r"(?<!\S)(?!(?:and|or|pi|sin|cos|tan|log|infinity)\b)(?=[a-z]*[aeiou])[a-z]{2,}(?=[\s.,:;!?]|$)"
    r"|^[-+]?[\d.,/]*\d(?:\s?[×·⋅]\s?10[⁻⁰-⁹¹²³]+)?\s+[^\W\d_]+(?:[/·⋅][^\W\d_]+|\^?-?\d|[⁻¹²³])*\.?$",
    re.IGNORECASE,
)


def grade(task: Task, answer: str) -> Score:
    """1 where the answer equals the reference. `extracted`: the content of the box, else what was read as mathematics.

    Raises RecursionError and MemoryError, after which the process is not to be used again.
    """
    reference, content = _reference(task.answer or ""), boxed(answer)
    for said in [content] if content is not None else [_ended(answer), own(answer)]:
        if said and _squeezed(_content(said)) == _squeezed(reference):
            return Score(1.0, extracted=said)  # some of physics take math-verify many seconds
    return compare(reference, content, answer)


def compare(reference: str, content: str | None, answer: str) -> Score:
    """The verdict of math-verify on the content of a box; without one, on what the answer concludes."""
    expected = _parsed_reference(_boxed(reference))
    if not expected:
        return Score(None, f"math-verify cannot read the reference answer {reference!r:.200}", content)
    given = _unboxed(answer) if content is None else [] if hedged(content) else _parsed(_boxed(content))
    errors: list[str] = []
    right = any(_equal(one, other, errors) for one in expected for other in given)
    extracted = content if content is not None else _read(given)
    return Score(float(right), extracted=extracted, details={"errors": errors} if errors and not right else {})


def _unboxed(answer: str) -> list[Any]:
    """What math-verify reads in an answer without a box."""
    stated = own(answer)
    if stated == "":
        return []
    formula = _ENVIRONMENT.sub(
        lambda found: " ".join(found[0].split()), _undressed(stated) if stated else _ended(answer)
    )
    if 0 < len(formula) <= _LONGEST and "\n" not in formula and not _PROSE.search(_TEXT.sub("", formula)):
        given = _parsed(_boxed(formula))
        if len(given) > 1:  # an expression, and not a text alone
            return given
    prose = stated or concluded(answer)
    if number := last_number(prose):  # one that is written as prose is not
        return _parsed(_boxed(number))
    return _parsed(_DOLLAR.sub("", prose))


def _ended(answer: str) -> str:
    """What an answer without a box ends with, after "the answer is" where it says so, without dress."""
    return _undressed(_MARKS.split(concluded(answer))[-1])


def _undressed(text: str) -> str:
    return _DELIMITERS.sub("", text).strip("*`. \n")


def _reference(text: str) -> str:
    """What is in its box; of a reference in several boxes all of it, as a list."""
    found = boxes(text)
    return ", ".join(map(_content, found)) if len(found) > 1 else _content(text)


def _content(text: str) -> str:
    """What is in the box of a text, or the text: without the signs of display mathematics."""
    return (boxed(text) or text).strip().removeprefix("$$").removesuffix("$$").strip()


def _squeezed(text: str) -> str:
    return "".join(_TEXT.sub(r"\1", text).split())


def _boxed(content: str) -> str:
    """In a box, as both sides are parsed."""
    return rf"\boxed{{{latex(_content(content))}}}"


def _parsed(text: str) -> list[Any]:
    """What math-verify reads: an expression, and the text of it."""
    from math_verify import (  # type: ignore[import-untyped]
        ExprExtractionConfig,
        LatexExtractionConfig,
        parse,
    )

    # It warns that its time-outs are off.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    kinds = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    try:
        return list(parse(text, kinds, parsing_timeout=None, raise_on_error=True))
    except (RecursionError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - what it cannot read is no mathematics
        return []


# A reference is met again in every repeat and mode.
_parsed_reference = lru_cache(maxsize=256)(_parsed)


def _equal(expected: Any, given: Any, errors: list[str]) -> bool:
    """Whether the two are equal; those that cannot be compared are not, and `errors` says so."""
    from math_verify import verify

    try:
        return bool(verify(expected, given, timeout_seconds=None, raise_on_error=True)) and not _apart(expected, given)
    except (RecursionError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - such as a set with a matrix
        errors.append(f"{type(error).__name__}: {error}"[:200])
        return False


def _apart(expected: Any, given: Any) -> bool:
    """Whether these are small numbers that differ by more than their rounding.

    math-verify cuts off differences below some 1e-15, so that to it the mass of an electron is that of a proton.
    """
    pairs = zip(_numbers(expected), _numbers(given), strict=False)
    larger = [(max(abs(one), abs(other)), abs(one - other)) for one, other in pairs]
    return any(size < _SMALL and difference > _ROUNDING * size for size, difference in larger)


def _numbers(expression: Any) -> list[float]:
    """The value of a number, of `x = number` or of the numbers of a set in their order; nothing for all else."""
    expression = getattr(expression, "rhs", expression)
    parts = expression.args if getattr(expression, "is_FiniteSet", False) else [expression]
    try:
        return sorted(float(part) for part in parts if part.is_number)
    except (TypeError, AttributeError, OverflowError):  # complex numbers, texts, towers
        return []


def _read(given: list[Any]) -> str | None:
    return next((text for text in given if isinstance(text, str)), None)
