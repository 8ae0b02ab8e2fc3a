r"""Mathematics as keyboards, programs and Unicode write it, in the LaTeX that math-verify reads.

math-verify knows of Unicode little more than the Greek letters. What it does not know it drops without a word, so that
10⁻³ is 10 to it, or it takes all of it for a text.
"""

import re
import unicodedata
from itertools import groupby
from typing import Final

_COMMANDS: Final = str.maketrans(
    {
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "∙": r"\cdot ",
        "∗": "*",
        "÷": r"\div ",
        "−": "-",
        "±": r"\pm ",
        "∓": r"\mp ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "⩽": r"\le ",
        "⩾": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "∈": r"\in ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∖": r"\setminus ",
        "∅": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "ℕ": r"\mathbb{N}",
        "ℚ": r"\mathbb{Q}",
        "ℂ": r"\mathbb{C}",
        "°": r"^\circ ",
        "º": r"^\circ ",
        "⁄": "/",
    }
)
# Compatibility forms that are another character in other type, such as a letter of mathematical italics.
_TYPES: Final = ("<font>", "<wide>", "<narrow>")
_RAISED: Final = {"<super>": "^", "<sub>": "_"}
_NOT_RAISED: Final = "ªº™℠"
_DEGREES = re.compile(r"(?<=\d)∘")  # a ring for want of the sign
_RATIO = re.compile(r"[⁰¹²³⁴-⁹]++⁄[₀-₉]+")
_ROOT = re.compile(
    r"(?:(?<![\w⁰-⁹₀-₉)\]}])(?P<index>[²³⁴-⁹]))?(?P<sign>[√∛∜])\s*"
    r"(?P<of>\((?:[^()]|\([^()]*\))*\)|\{(?:[^{}]|\{[^{}]*\})*\}|\d+(?:\.\d+)?|\\[A-Za-z]+|[^\W\d_])"
)
_INDICES: Final = {"√": "", "∛": "[3]", "∜": "[4]"}
_KEYBOARD: Final = (
    (re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)[eE]\+?(-?\d+)(?!\w)"), r"\1 \\times 10^{\2}"),  # 1.5e-3
    (re.compile(r"(?<=\d)(?:\\[,!]|\{,\}|[ \u2009\u202f])(?=\d{3}(?!\d))"), ""),  # thousands
    (re.compile(r"(?:^|(?<=[(\[{,=\s]))[–‑﹣－](?=\s*[\d.\\A-Za-z(])"), "-"),
    (re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![.…])\.\s*$"), ""),
    (re.compile(r"^(?:~|\\ )+|(?:~|\\(?: |$))+$"), ""),
)
# math-verify drops a relation that nothing stands before, and would take a bound for the number.
_BOUND = re.compile(r"\s*(?:[<>]|\\not\s*=|\\(?:[lg]eq?(?:slant|q)?|[lg]t|neq?)(?![A-Za-z]))")
# A number as far as it goes: with powers, roots, fractions, factors, and π and ∞.
_NUMBER: Final = (
    r"(?:\d+(?:[.,]\d+)*|\\(?:pi|infty)(?![A-Za-z])\s*|\\(?:sqrt(?:\[\d\])?|frac\{\d+\})\{[\d.]+\}|\^(?:\{[-+]?\w+\}|[-+]?\d+)"
    r"|\s*(?:\\times|\\cdot)\s*(?=\d))"
)
_NUMBERS = re.compile(rf"(?<!\w)-?{_NUMBER}+")


def latex(text: str) -> str:
    r"""The content of a box as LaTeX. A bound without a variable, such as `> 1`, is one of `x`, and no number."""
    text = from_unicode(text)
    for pattern, instead in _KEYBOARD:
        text = pattern.sub(instead, text)
    return f"x {text.lstrip()}" if _BOUND.match(text) else text


def from_unicode(text: str) -> str:
    """The text with what Unicode has of mathematics as LaTeX; what is written in ASCII stays as it is."""
    if text.isascii():
        return text
    text = _DEGREES.sub("°", text)
    text = _RATIO.sub(lambda found: _fraction(unicodedata.normalize("NFKC", found[0])), text)
    text = _ROOT.sub(_root, text)
    parts = (_rendered(kind, "".join(run)) for kind, run in groupby(text, _kind))
    return "".join(parts).translate(_COMMANDS)


def last_number(prose: str) -> str | None:
    """The last number of a prose that has no formula in dollars, as LaTeX, where Unicode is what makes it one."""
    if prose.isascii() or "$" in prose:
        return None
    found = [number[0].strip() for number in _NUMBERS.finditer(from_unicode(prose))]
    return found[-1] if found and re.search(r"[\\^]", found[-1]) else None


def _kind(character: str) -> str:
    """What a compatibility form is of another character, such as `<super>`."""
    if character.isascii() or character in _NOT_RAISED:
        return ""
    kind = unicodedata.decomposition(character).split(" ", 1)[0]
    return kind if kind in _TYPES or kind in _RAISED or kind == "<fraction>" else ""


def _rendered(kind: str, run: str) -> str:
    """A run of characters of one kind."""
    if not kind:
        return run
    if kind == "<fraction>":
        return "".join(_fraction(unicodedata.normalize("NFKC", character)) for character in run)
    plain = unicodedata.normalize("NFKC", run)
    if kind in _RAISED:
        return f"{_RAISED[kind]}{{{plain.replace('−', '-')}}}"
    return plain


def _fraction(text: str) -> str:
    above, _, below = text.partition("⁄")
    return rf"\frac{{{above}}}{{{below}}}"


def _root(found: "re.Match[str]") -> str:
    index = f"[{unicodedata.normalize('NFKC', found['index'])}]" if found["index"] else ""
    of = found["of"]
    if of[0] in "({":
        of = of[1:-1]
    return rf"\sqrt{index or _INDICES[found['sign']]}{{{from_unicode(of)}}}"
