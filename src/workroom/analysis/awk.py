"""Whether awk programs and the shell's arithmetic calculate anything."""

import re

_LONGEST = 20_000  # characters of one program that are looked at
_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*")|(?P<comment>\#[^\n]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d+(?:\.\d*)?)
    |(?P<operator>\+\+|--|\*\*=?|[-+*/%^]=|&&|\|\||<<|>>|[!=<>]=|\S)|\s+""",
    re.VERBOSE,
)
_REGEX = re.compile(r"/(?:\\.|[^/\\\n])*/")
_FUNCTIONS = frozenset("sqrt exp log sin cos atan2 int rand".split())
_SIMPLE = frozenset(("0", "1"))


def tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of each token of awk; a regular expression is one of kind `regex`."""
    found: list[tuple[str, str]] = []
    at, text = 0, text[:_LONGEST]
    while at < len(text):
        after_value = bool(found) and (found[-1][0] in ("name", "number", "text") or found[-1][1] in (")", "]"))
        if text[at] == "/" and not after_value and (match := _REGEX.match(text, at)):
            found.append(("regex", match.group()))
        else:
            match = _TOKEN.match(text, at)
            if match is None:  # a quote that is never closed
                at += 1
                continue
            if match.lastgroup not in (None, "comment"):
                found.append((match.lastgroup or "", match.group()))
        at = match.end()
    return found


def awk_calculates(text: str) -> bool:
    """Whether an awk program adds up, counts or calculates: more than choosing lines and fields."""
    found = tokens(text)
    for index, (kind, token) in enumerate(found):
        before = found[index - 1] if index else ("", "")
        after = found[index + 1] if index + 1 < len(found) else ("", "")
        if kind == "name" and token in _FUNCTIONS and after[1] == "(":
            return True
        if kind != "operator":
            continue
        if token in ("+=", "-=", "*=", "/=", "%=", "^=", "**"):
            return True
        if token == "++" and not any(mark == "!" for _, mark in found[max(index - 6, 0) : index]):
            return True  # but `!seen[$0]++` only leaves out what came before
        valued = _valued(before) and (after[0] in ("name", "number") or after[1] in ("$", "("))
        if valued and (token in "*/^" or (token in "+-" and not {before[1], after[1]} & _SIMPLE)):
            return True
    return False


def shell_calculates(text: str) -> bool:
    """Whether the expression of `$((...))` is more than a value or a step by one."""
    found = tokens(text)
    for index, (kind, token) in enumerate(found):
        if kind != "operator":
            continue
        if token in ("**", "*", "/", "%", "<<", "+=", "-=", "*=", "/=", "%="):
            return index > 0
        inner = 0 < index < len(found) - 1
        if inner and token in ("+", "-") and not {found[index - 1][1], found[index + 1][1]} & _SIMPLE:
            return True
    return False


def _valued(token: tuple[str, str]) -> bool:
    return token[0] in ("name", "number") or token[1] in (")", "]")
