r"""What an answer states, whatever came before it.

An answer in a file and the prose of a plain completion are read alike, so that the two modes of a task differ in what
they say and not in how. Prompts of both ask for a line `Answer: ...` or for a box, and these go first:

concluded   what follows the last line that begins with `Answer:`, to the end; else the whole answer
shown       the same for a judge; the last boxes where there is no such line
stated      the same for a short answer: the content of the box in it; without box and line, what "the answer is"

Thoughts in tags before a reply are no part of it, as they are none where the server takes them out.
"""

import re
import unicodedata
from typing import Final, NamedTuple

_BOX = re.compile(r"\\+(?:boxed|fbox)\s*\{\s*")
_BOX_PARTS = re.compile(
    r"(?P<open>\\+(?:boxed|fbox)\s*\{)|\\+(?:boxed|fbox)(?![A-Za-z{])[ \t]*(?P<bare>[^\s{}$][^{}$\n]*)|\\.|[{}]",
    re.DOTALL,
)
_ESCAPES: Final = {7: "\\a", 8: "\\b", 11: "\\v", 12: "\\f"}
_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|emph)\s*\{([^{}]*)\}")
# After ">" a number, but of no list: there it may be "greater than".
_NUMBER = r"[ \t]*=?[ \t]*[-+$€£.]*\d+(?!\d*[.)][ \t])"
_DRESS = re.compile(
    r"[*`“”\"„«»]|(?<!\w)_+|_+(?!\w)|\\[()\[\]]|"
    rf"(?m:^[ \t]*+(?:#+|>(?!{_NUMBER})|[-•+](?=[ \t]))[ \t]*)"
)
_BOXED = re.compile(r"\\+(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_JOINED = re.compile(r"(?:[\s$,;.&\\]|\band\b|\bor\b)*+")  # between the boxes of one answer
_INVISIBLE = re.compile("[\0\u00ad\u200b\u200e\u200f\u2060\ufeff]")
_DEPTH = 4  # of commands in commands, and of boxes in boxes
_SPACE = re.compile(r"\\(?:[,;:! ]|q?quad\b)")
_TAG = re.compile(r"<(/?)(?:final[_-]?)?answer>", re.IGNORECASE)
_INLINE = re.compile(r"\$\$?([^$\n]{1,200})\$\$?")

_NAMED = (
    r"(?:(?<![^\W_])(?:answers?|ans|antwort|réponse|respuesta|risposta|ответ)(?![^\W_])|答案)"
    r"(?:[ \t]+(?:choice|option|letter))?(?:[ \t]+(?:to|for|of)[ \t]+(?:the|this|your)[ \t]+\w+)?"
)
# Such as in "the final answer to the question is: 5" and "Answer: 5".
ANSWER: Final = (
    rf"{_NAMED}[ \t]*(?::|=>?|→|[ \t][-–—][ \t]|是|为|"
    r"\b(?:is|are|was|would be|should be|must be|has to be|will be)\b:?)\s*"
)
# At the head of a line, in whatever dress; a heading may do without the colon.
_HEAD = re.compile(
    rf"^[ \t\xa0>#*_`•+-]*+(?:(?:the|my)[ \t]+)?(?:final[ \t]+)?{_NAMED}(?:[ \t]+(?:is|are))?[*_` \t]*+"
    r"(?:[:：](?:[*_`]+(?=\s))?|$)",
    re.IGNORECASE | re.MULTILINE,
)
_STATED = re.compile(ANSWER, re.IGNORECASE)
# What goes before "answer" and after it where the answer is spoken of, and not told: "this answer is based on a log".
_OF_IT = re.compile(
    r"\b(?:(?:this|that|such|wrong|incorrect|first|initial|earlier|previous)"
    r"|(?:confidence|certainty|evidence|support|source|reason|reasoning|explanation|justification)[ \t]+"
    r"(?:in|for|of|behind)[ \t]+(?:the|my|this|that)(?:[ \t]+final)?)[ \t]+$",
    re.IGNORECASE,
)
_ABOUT_IT = re.compile(
    r"(?:not[ \t]+|also[ \t]+|therefore[ \t]+)*(?:"
    r"(?:right|correct|wrong|incorrect|consistent|clear|certain|final|high|complete)\b"
    r"(?=[ \t]*(?:[.,;:!?)\n]|$)|[ \t]+(?:because|since|as|and|with|according|here)\b)"
    r"|(?:based[ \t]+(?:up)?on|(?:supported|confirmed|backed|verified)[ \t]+by"
    r"|(?:derived|drawn|taken)[ \t]+from|(?:found|given|stated|mentioned)[ \t]+(?:in|on|by))\b)",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[.!?;,][ \t]+(?:and[ \t]+)?|\n|[ \t]+and[ \t]+")
_CLAUSE = 200  # characters
_TAGS = "(?:think|thinking|thought|reasoning)"
THOUGHTS: Final = re.compile(rf"\A.*</{_TAGS}>|\A\s*<{_TAGS}>.*", re.DOTALL | re.IGNORECASE)


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


def boxes(text: str) -> list[str]:
    """The contents of all boxes, in their order; of boxes in a box the outer one's."""
    return [span.content for span in _spans(unescaped(text))]


def unescaped(text: str) -> str:
    r"""The text without thoughts before it, and with commands restored that `echo -e` or `printf` took for escapes,
    such as the `\f` of `\frac`."""
    return THOUGHTS.sub("", text).translate(_ESCAPES)


def plain(text: str) -> str:
    r"""The text without Markdown's emphasis, headings and bullets, and without the commands of LaTeX around words."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace("’", "'")
    text = _INLINE.sub(r"\1", _TAG.sub(lambda tag: "\n" if tag[1] else "\nAnswer: ", text))
    for _ in range(_DEPTH):
        text = _COMMAND.sub(r"\1", text)
    return _DRESS.sub("", _SPACE.sub(" ", text))


def lined(text: str) -> str:
    """The text without dress, each of its boxes a line `Answer: ...`: a box is a statement like others."""
    return plain(_BOXED.sub(r"\nAnswer: \1\n", unescaped(text))).strip()


def concluded(text: str) -> str:
    """What follows the last head of a line that says `Answer:`, to the end, as it is written; else all of it."""
    return (_headed(text) or unescaped(text)).strip()


def shown(text: str) -> str:
    r"""What a judge is to see: what follows the last `Answer:`; else the last box, or the last ones that are joined,
    such as `\boxed{1}, \boxed{2}`; else all of it."""
    if (rest := _headed(text)) is not None:
        return rest
    text = unescaped(text)
    spans = _spans(text)
    first = len(spans) - 1
    while first > 0 and _JOINED.fullmatch(text, spans[first - 1].end, spans[first].start):
        first -= 1
    if first < len(spans) - 1:
        return text[spans[first].start : spans[-1].end]
    return boxed(text) or text.strip()


def stated(text: str) -> str:
    """What a short answer comes to, without dress and without a full stop: of what is `concluded`, the content of the
    last box; where there is neither, what follows "the answer is" on its line (or, where nothing does, below it)."""
    text, headed = concluded(text), _headed(text) is not None
    if (content := boxed(text)) is not None:
        return _trimmed(plain(content))
    text = plain(text)
    return _trimmed(text if headed else _told(text) or text)


def _told(text: str) -> str:
    """What follows the last "the answer is": the last one that is not only about the answer, if there is one."""
    told, until = "", len(text)
    for mark in reversed(list(_STATED.finditer(text))):
        said = text[mark.end() : until].strip().split("\n", 1)[0]
        if not said:
            continue
        if not (_OF_IT.search(text, max(0, mark.start() - 60), mark.start()) or _ABOUT_IT.match(said)):
            return said
        told = told or said
        # What is before it ends where the clause begins that this stands in.
        clauses = _CLAUSE_END.finditer(text, max(0, mark.start() - _CLAUSE), mark.start())
        until = max((end.start() for end in clauses), default=mark.start())
    return told


def _headed(text: str) -> str | None:
    """What follows the last `Answer:` at the head of a line that anything follows."""
    text = _TAG.sub(lambda tag: "\n" if tag[1] else "\nAnswer: ", unescaped(text))
    for head in reversed(list(_HEAD.finditer(text))):
        rest = text[head.end() :].strip()
        for emphasis in ("**", "__"):
            if head[0].count(emphasis) % 2:  # it goes on: "**Answer: 5**"
                rest = rest.replace(emphasis, "", 1).strip()
        if rest.strip("*_`# \n"):
            return rest
    return None


def _trimmed(text: str) -> str:
    text = text.strip()
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") else text


class _Span(NamedTuple):
    """A box in a text, and what it holds."""

    start: int
    end: int
    content: str


def _last_box(text: str) -> str | None:
    spans = _spans(text)
    return spans[-1].content if spans else None


def _spans(text: str) -> list[_Span]:
    """The boxes that are closed, hold something and are inside no other such box, in their order."""
    braces: list[tuple[int, int] | None] = []  # the open ones: where a box and its content begin, None for any other
    found: list[_Span] = []
    for part in _BOX_PARTS.finditer(text):
        if part["bare"]:
            found.append(_Span(part.start(), part.end(), part["bare"].strip()))
        elif part["open"]:
            braces.append((part.start(), part.end()))
        elif part[0] == "{":
            braces.append(None)
        elif part[0] == "}" and braces and (begun := braces.pop()) is not None:
            start, inside = begun
            if content := text[inside : part.start()].strip():
                # What closes last is inside no other box that is closed.
                while found and found[-1].start > start:
                    found.pop()
                found.append(_Span(start, part.end(), content))
    return found
