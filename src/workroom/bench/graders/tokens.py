"""Tokens of short answers, for exact match and F1.

As SQuAD's evaluation has it: lower case, no punctuation, no articles, single spaces. But its rule is for words; with it
3.5 is 35, -5 is 5 and C++ is C. So what tells numbers and symbols apart stays: a minus, what stands between two digits
(but for thousands separators), relations before a number, operators between numbers or single letters, powers, and
"+", "-" and "#" at the end of such as "C++" and "O-". Percent and currency count where both texts have any.
"""

import re
import string
import unicodedata

_ARTICLES = frozenset({"a", "an", "the"})
_CURRENCY = "$€£¥₹"
_UNITS = f"%‰{_CURRENCY}"
_POWERS = re.compile(r"[⁺⁻⁰¹²³⁴-⁹ⁿ]+")
_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")  # 3½ is no 31/2
_WRITTEN = str.maketrans("−‐‑‒–—⁄’‘", "------/''")
_THOUSANDS = re.compile(r"(?<![\d.,'])\d{1,3}(?:(?:,\d{2,3})*,|(?:'\d{3})*')\d{3}(?![\d'])(?!,\d)")
_PRICE = re.compile(rf"(-?)([{_CURRENCY}])[ \t]*(-?[\d.,]*\d)")
_QUOTED = re.compile(r"^[ \t]*>[ \t]+", re.MULTILINE)  # in Markdown; of a number, "> 5" may be a relation too
_PLUS_POWER = re.compile(r"(?<=\de)\+(?=\d)")

_LETTER = r"[^\W\d_](?!\w)"
_LEFT = r"(?:(?<=\d)|(?<=\b[^\W\d_]))"
_RIGHT = rf"(?=[-+]?\.?\d|{_LETTER})"
_MARK = re.compile(
    rf"(?P<relation>\s*(?<![-=])(?:<=|>=|[<>≤≥])\s*{_RIGHT})"  # p<0.05, but no arrow
    rf"|(?P<equal>\s*=\s*{_RIGHT})"
    rf"|(?P<operator>{_LEFT}(?:\s*[+^]\s*|\s+-\s+){_RIGHT})"
    r"|(?P<decimal>(?<![\w.])\.(?=\d))"
    r"|(?P<kept>"
    r"(?<=\d)[^\w\s*`\"“”„«»()\[\]{}!](?=\d)"  # 3.5, 1/2, 10:30, 5-10
    r"|(?<=\de)-(?=\d)"
    r"|(?<=\d)/(?=\w)|(?<=\w)/(?=\d)"
    rf"|(?<![\w)\]}}'-])-(?=\.?\d|{_LETTER})"  # -5
    r"|(?<=\w)\+(?=\w)|(?<=\w)\^(?=[-\w{(])"
    r"|(?<=\w)\+{1,2}(?![\w+])"  # C++, O+
    r"|(?:(?<=\b[^\W\d_])|(?<=\b[^\W\d_]{2})|(?<=[^\W\d_]\d))-(?!\w)"  # O-, AB-, NO3-
    r"|(?<=\b[^\W\d_])\#(?!\w)"  # C#
    r")|[^\w\s]|_"
)


def normalised(text: str) -> str:
    """The tokens of a text with single spaces between them."""
    return " ".join(tokens(text))


def compared(given: str, reference: str) -> tuple[list[str], list[str]]:
    """The tokens of two texts, without signs of percent and currency where one of them has none of these."""
    if not reference.lstrip().startswith(tuple("<>≤≥")):
        given = _QUOTED.sub("", given)
    left, right = tokens(given), tokens(reference)
    if any(set(side).isdisjoint(_UNITS) for side in (left, right)):
        left, right = ([token for token in side if token not in _UNITS] for side in (left, right))
    return left, right


def tokens(text: str) -> list[str]:
    """The tokens of a text. Signs of percent and currency are tokens of their own, behind their number.

    Punctuation is that of Unicode too, so that typographic quotes do not count, nor does what cannot be seen.
    """
    text = _POWERS.sub(lambda power: f"^{power[0]}", _FRACTION.sub(" ", text))
    text = unicodedata.normalize("NFKC", text).lower().translate(_WRITTEN)
    text = _THOUSANDS.sub(lambda number: re.sub("[,']", "", number[0]), text)
    text = _PLUS_POWER.sub("", _PRICE.sub(r"\1\3 \2 ", text))
    return [token for token in _MARK.sub(_left_of, text).split() if token not in _ARTICLES]


def _left_of(mark: "re.Match[str]") -> str:
    """What is left of a mark that is no letter, digit or white space."""
    said = mark[0].strip()
    match mark.lastgroup:
        case "relation":
            return " " + said.replace("<=", "≤").replace(">=", "≥")
        case "equal":
            return " "
        case "decimal":
            return "0."
        case "operator" | "kept":
            return said
    if said in _UNITS:
        return f" {said} "
    return "" if said in string.punctuation or unicodedata.category(said).startswith(("P", "Cf")) else said
