"""The calls in a text that is meant to be Python and cannot be parsed, read token by token."""

import io
import token
import tokenize
from collections.abc import Iterator

_LONGEST = 200  # characters of a dotted name
_IMPORT = 200  # tokens of an import that are read


def calls(source: str) -> Iterator[tuple[str, int]]:
    """Each dotted name that is called, its head resolved through imports, and its line. Never raises."""
    known: dict[str, str] = {}
    line: list[str] = []  # tokens of the statement so far
    dotted, previous = "", ""
    try:
        for kind, text, (row, _), *_ in tokenize.generate_tokens(io.StringIO(source).readline):
            if kind in (token.NEWLINE, token.NL):
                _learn_import(line, known)
                line.clear()
                dotted = ""
            elif kind == token.NAME:
                line.append(text)
                if previous != ".":
                    dotted = text
                elif dotted and len(dotted) < _LONGEST:
                    dotted += "." + text
            elif text == "(" and dotted:
                head, dot, rest = dotted.partition(".")
                yield known.get(head, "?" if dot else head) + dot + rest, row
                dotted = ""
            elif text != ".":
                dotted = ""
                line.append(text)
            else:
                line.append(text)
            previous = text
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError, MemoryError):
        return


def _learn_import(line: list[str], known: dict[str, str]) -> None:
    """`import a.b as c` and `from a import b as c, d`."""
    text = " ".join(line[:_IMPORT]).replace(" . ", ".")
    words = text.replace("(", " ").replace(")", " ").split()
    if words[:1] == ["from"] and "import" in words:
        place = words.index("import")
        module, names = "".join(words[1:place]), " ".join(words[place + 1 :])
    elif words[:1] == ["import"]:
        module, names = "", " ".join(words[1:])
    else:
        return
    for entry in names.split(","):
        parts = entry.split()
        if parts:
            whole = f"{module}.{parts[0]}" if module else parts[0]
            known[parts[-1] if len(parts) == 3 else parts[0].partition(".")[0]] = (
                whole if len(parts) == 3 or module else parts[0].partition(".")[0]
            )
