r"""The expression that an answer without a box states, from "the answer is" to its own end.

Words before it ("approximately") and what follows it in brackets, after a semicolon, in words, in another sentence or
below it are no part of it; `x = 1, y = 2`, `1 and 2`, `[0, 1)` and a display over lines are one expression each.
"""

import re
from functools import lru_cache
from typing import Final

from workroom.bench.graders.statement import ANSWER, concluded, unescaped

_LONGEST = 4000  # characters that are looked at
_MARKS = re.compile(ANSWER, re.IGNORECASE)
_MOST = 20  # marks that are looked at
# "If n were 6, the answer would be 12" states nothing.
_SUPPOSED = re.compile(r"\b(?:if|otherwise|whether)\b[^.!?\n]*$", re.IGNORECASE)
_BEFORE = 300  # characters in which an "if" is looked for

# A word that is no part of mathematics. Without a vowel it is a unit or a product, as most words of two letters are.
_PROSE: Final = (
    r"(?<![\w\\])(?!(?:and|or|pi|mod|a?sin|a?cos|a?tan|cot|sec|csc|log|exp|sqrt|arc(?:sin|cos|tan)|max|min|det|infinity|percent)\b)"
    r"(?:(?=\w*[aeiouyà-ÿ])[^\W\d_]{3,}|(?:am|an|as|at|be|by|do|go|he|if|in|is|it|me|my|no|of|on|so|to|up|us|we)"
    r"|i\.e|e\.g)(?![\w(])"
)
_WORD = re.compile(_PROSE, re.IGNORECASE)
_LEADS = re.compile(
    r"(?:[\s*`_:,]|\b(?:therefore|thus|so|hence|then|indeed|simply|just|exactly|precisely|clearly|obviously|certainly|"
    r"actually|now|again|approximately|approx\.?|about|around|roughly|nearly|the|number|value|total|equal|equals|to|given|"
    r"by|be|is|are|either|both|still|also|ordered|pair|point|interval|set|vector|matrix|function)(?![\w(]))*",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?<![,=+/–-])(?<!\\\\)(?<!\band)(?<!\bor)\n(?!\s*(?:[=≈]|and\b|or\b))|[.?](?=[*`)]*(?:\s|$))|—"
    rf"|{_PROSE}|;(?=[^;.\n]*?{_PROSE})",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?](?=[*`)]*(?:\s|$))|\n")
_LOOSE = re.compile(r"(?:[\s,;:=+*/`_–-]|(?<=\s)(?:and|or)$)+$", re.IGNORECASE)
_STARS = re.compile(r"(?<!\S)\*\*(?=\S)|(?<=\S)\*\*(?!\S)")  # of Markdown, and not of `2**3`
_HOLDS = re.compile(r"[\d\\π∞½√]|(?<![^\W\d_])[^\W\d_](?![^\W\d_¹²³⁰-ₜ])")  # an expression, however short

# Of a bound or a range no number is read.
_NUMBER: Final = r"(?:\$|\\\(|\*\*)*[-+−]?[\d\\½√∞π]"
_HEDGE: Final = (
    r"\b(?:at (?:least|most)|(?:more|less|fewer|greater|larger|smaller|higher|lower|other) than(?: or equal to)?"
    rf"|no (?:more|less|fewer) than|up to|over|under|above|below)\s+{_NUMBER}"
    rf"|\b(?:between|from)\s+{_NUMBER}\S*\s+(?:and|to)\s+{_NUMBER}"
)
_HEDGED = re.compile(_HEDGE, re.IGNORECASE)
_HEDGED_LAST = re.compile(rf"(?:{_HEDGE}|\bnot\s+{_NUMBER})\S*[^\d\\]*$", re.IGNORECASE)
_AFTER: Final = (
    rf"(?:to|through|until|up to)\s+{_NUMBER}"
    r"|(?:at (?:least|most)|(?<=\bor\s)(?:more|less|fewer|greater|higher|lower|larger|smaller|above|below))\b"
)
_HEDGED_AFTER = re.compile(_AFTER, re.IGNORECASE)
_HEDGED_ALONE = re.compile(rf"(?:{_HEDGE}|{_NUMBER}\S*\s+(?:or\s+)?(?:{_AFTER}))\S*(?:\s+[^\W\d_]+)?", re.IGNORECASE)
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox)\s*\{([^{}]*)\}|\\[,;:! ]")
_CONCLUDES = re.compile(r"\s(?:so|thus|therefore|hence|then|consequently|finally|this gives)\b", re.IGNORECASE)
# A number and no more. Of "x = 3 and y = 4, so x + y = 7" it is what is concluded that counts.
_PLAIN = re.compile(r"(?:\$|\\\()?(?:[A-Za-z]\s*=\s*)?[-+−]?[\d.,/]+\s*\\?%?(?:\$|\\\))?")
_REASON = re.compile(
    rf"(?<=\d)(?:[^\d.]*?[,\s](?:since|because|not|as|which|while|whereas|rather than|instead of)\s|;(?=.*?{_PROSE}))",
    re.IGNORECASE,
)

_UNITS = re.compile(
    r"\$\$.+?\$\$|(?<!\\)\$(?!\s)[^$\n]*[^$\s]\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(?P<name>\w+\*?)\}.+?\\end\{(?P=name)\}"
    r"|\\(?:text|textbf|textrm|mathrm|mbox)\s*\{[^{}]*\}|(?P<bracket>\\?[(\[{])",
    re.DOTALL,
)
_BRACKETS = re.compile(r"\\?[(\[{]|\\?[)\]}]")
_RELATION = re.compile(r"[=<>≤≥≈≠~∈]|\\(?:[lg]eq?|[lg]t|neq?|approx|in)(?![A-Za-z])")
_EXPRESSION, _EXPLANATION = "9", "\0"  # what stands for them in a masked text


@lru_cache(maxsize=1)  # whoever compares asks more than once
def own(answer: str) -> str | None:
    """What is stated; nothing where that is a bound or a range; None where it cannot be told from the rest."""
    text, whole = concluded(answer), unescaped(answer).strip()
    headed = text != whole
    below = headed and whole[: -len(text)].endswith("\n")  # below a heading there may be a whole derivation
    marks = list(_MARKS.finditer(text))[-_MOST:]
    starts = [at.end() for at in marks if not _SUPPOSED.search(text, max(0, at.start() - _BEFORE), at.start())]
    for start in reversed([0, *starts] if headed else starts):
        if (found := _expression(text[start:])) is not None:
            return found
    if starts or (headed and not below):
        return _sentence(text[starts[-1] if starts else 0 :])
    return None if headed or "\n" in text else _expression(text, alone=True)


def hedged(content: str) -> bool:
    """Whether this is a bound in words or a range, such as "at least 5" and "5 to 6", and nothing else."""
    words = " ".join(_TEXT.sub(lambda text: text[1] or " ", content[:_LONGEST]).split())
    return _HEDGED_ALONE.fullmatch(words.strip("*`.$ ")) is not None


def _expression(text: str, *, alone: bool = False) -> str | None:
    """The expression that the text begins with, None where it begins otherwise; `alone`: or where more than
    explanations in brackets follow it."""
    text, masked = _masked(text)
    lead = _LEADS.match(masked)
    start = lead.end() if lead else 0
    if hedged(text[start:]):
        return ""
    if _HEDGED.match(text, start):
        return None if alone or _CONCLUDES.search(masked, start) else ""
    end = _ENDS.search(masked, start)
    stop = end.start() if end else len(text)
    if alone and masked[stop:].strip(" .*`\0"):
        return None
    found = _LOOSE.sub("", _STARS.sub("", _explained(text, masked, start, stop)).strip("*`_ \n"))
    if not _HOLDS.search(found) or (end and found in ("a", "A", "I")):  # words
        return None
    if _CONCLUDES.match(masked, stop - 1) and not _PLAIN.fullmatch(found):
        return None
    return "" if _HEDGED_AFTER.match(text, stop) else found


def _sentence(text: str) -> str | None:
    """The first sentence without its explanations, where it holds a number and no later one draws a conclusion."""
    text, masked = _masked(text)
    end = _SENTENCE.search(masked)
    stop = end.start() if end else len(text)
    if _CONCLUDES.search(masked, stop):
        return None
    found = _explained(text, masked, 0, stop)
    if reason := _REASON.search(found):
        found = found[: reason.start()]
    if not re.search(r"\d", found):
        return None
    return "" if _HEDGED_LAST.search(found) else found


def _explained(text: str, masked: str, start: int, stop: int) -> str:
    """This part of the text without its explanations."""
    return "".join(text[at] for at in range(start, stop) if masked[at] != _EXPLANATION)


def _masked(text: str) -> tuple[str, str]:
    """The text, and the same with each formula, each bracket and each explanation as that many signs for it."""
    text = re.sub(r"[ \t]+\n", "\n", text[:_LONGEST])
    closing = _closing(text)
    masked, end = "", 0
    while unit := _UNITS.search(text, end):
        start, end = unit.start(), unit.end()
        masked += text[len(masked) : start]
        sign = _EXPRESSION
        if unit["bracket"]:
            if start not in closing:
                masked += unit[0]
                continue
            inside, end = text[end : closing[start] - 1], closing[start]
            if unit["bracket"] in "([" and start and text[start - 1].isspace():
                if _explains(masked, inside):
                    sign = _EXPLANATION
                elif _WORD.search(inside):
                    end = unit.end()
                    masked += unit[0]
                    continue
        masked += sign * (end - start)
    return text, masked + text[len(masked) :]


def _explains(before: str, inside: str) -> bool:
    """Whether brackets that stand apart say more about the expression before them: `(of 24)`, `(x > 0)`, `(5 + 5)`."""
    before = before.rstrip(" \n*`_$.,;")
    if not before or not _HOLDS.search(before):
        return False
    if _WORD.search(inside) or _RELATION.search(inside):
        return True
    return before[-1].isdigit() and not re.search(r"[^\W\d_]|\\|,", inside)


def _closing(text: str) -> dict[int, int]:
    """Where each bracket that is closed ends, by where it begins. Intervals may close otherwise than they open."""
    opened: list[int] = []
    closed = {}
    for bracket in _BRACKETS.finditer(text):
        if bracket[0][-1] in "([{":
            opened.append(bracket.start())
        elif opened:
            closed[opened.pop()] = bracket.end()
    return closed
