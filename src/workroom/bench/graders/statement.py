r"""What an answer states: the content of its last box, or what follows its last "the answer is".

An answer in a file and the prose of a plain completion are read alike, so that the two modes of a task differ in what
they say and not in how.
"""

import re
import unicodedata
from typing import Final

_BOX = re.compile(r"\\+(?:boxed|fbox)\s*\{\s*")
_BOX_PARTS = re.compile(
    r"(?P<open>\\+(?:boxed|fbox)\s*\{)|\\+(?:boxed|fbox)(?![A-Za-z{])[ \t]*(?P<bare>[^\s{}$][^{}$\n]*)|\\.|[{}]",
    re.DOTALL,
)
_ESCAPES: Final = {7: "\\a", 8: "\\b", 11: "\\v", 12: "\\f"}
_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|emph)\s*\{([^{}]*)\}")
_DRESS = re.compile(r"[*`“”\"„«»]|(?<!\w)_+|_+(?!\w)|\\[()\[\]]|\\[,;:! ]|(?m:^[ \t]*+(?:#+|>|[-•+](?=[ \t]))[ \t]*)")
_DEPTH = 4  # of commands in commands, and of boxes in boxes
_INLINE = re.compile(r"\$\$?([^$\n]{1,200})\$\$?")

# Such as in "the final answer to the question is: 5" and "Answer: 5".
ANSWER: Final = (
    r"\banswers?\b(?:[ \t]+(?:choice|option|letter))?(?:[ \t]+(?:to|for|of)[ \t]+(?:the|this|your)[ \t]+\w+)?"
    r"[ \t]*(?::|=>?|→|[ \t][-–—][ \t]|\b(?:is|are|was|would be|should be|must be|has to be|will be)\b:?)\s*"
)
_STATED = re.compile(ANSWER, re.IGNORECASE)


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` or `\fbox{}` that is closed and holds something, None where there is none.

    Of boxes in a box it is the outer one that counts, unless it holds nothing else. `\boxed 5` is a box too.
    """
    found = _last_box(unescaped(text))
    for _ in range(_DEPTH):
        head = _BOX.match(found or "")
        if not found or not head or (inner := _last_box(found)) != found[head.end() : -1].strip():
            break
        found = inner
    return found


def unescaped(text: str) -> str:
    r"""The text with commands restored that `echo -e` or `printf` took for escapes, such as the `\f` of `\frac`."""
    return text.translate(_ESCAPES)


def plain(text: str) -> str:
    r"""The text without Markdown's emphasis, headings and bullets, and without the commands of LaTeX around words."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'")
    text = _INLINE.sub(r"\1", text)
    for _ in range(_DEPTH):
        text = _COMMAND.sub(r"\1", text)
    return _DRESS.sub("", text)


def stated(text: str) -> str:
    """What the answer comes to: the content of its last box, else what follows the last mark of an answer on its line
    (or, where nothing does, below it), else all of it. Without dress and without a full stop."""
    if (content := boxed(text)) is not None:
        return _trimmed(plain(content))
    text = plain(unescaped(text))
    for mark in reversed(list(_STATED.finditer(text))):
        rest = text[mark.end() :].strip()
        if rest:
            line_start = text.rfind("\n", 0, mark.start()) + 1
            # A mark at the head of a line opens all that follows, one in a sentence the rest of its line.
            before = text[line_start : mark.start()].strip().lower()
            is_heading = before in ("", "final", "the final", "my final") and mark[0].rstrip().endswith(":")
            return _trimmed(rest if is_heading else rest.split("\n", 1)[0])
    return _trimmed(text)


def _trimmed(text: str) -> str:
    text = text.strip()
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") else text


def _last_box(text: str) -> str | None:
    braces: list[int | None] = []  # the open ones: where the content of a box begins, None for any other
    found: str | None = None
    for part in _BOX_PARTS.finditer(text):
        if part["bare"]:
            found = part["bare"].strip()
        elif part["open"]:
            braces.append(part.end())
        elif part[0] == "{":
            braces.append(None)
        elif part[0] == "}" and braces and (start := braces.pop()) is not None:
            # What closes last is inside no other box that is closed.
            found = text[start : part.start()].strip() or found
    return found
