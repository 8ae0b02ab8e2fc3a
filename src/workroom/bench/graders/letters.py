"""Letters of options in a text: where one counts, and where it is a word or a part of one."""

import re
from collections.abc import Sequence
from enum import Enum
from string import ascii_uppercase
from typing import NamedTuple

_WORD = r"A-Za-z0-9_À-ɏ"  # not `\w`: in "答案是B" the letter stands alone
_TOKEN = re.compile(
    rf"(?<![{_WORD}/&'+\-–.])(?P<open>[(\[{{]\s?)?(?P<letter>[A-Za-z])(?P<close>\s?[)\]}}])?(?![{_WORD}'&]|[/+]\w)"
)
_JOIN = re.compile(
    r"\s*(?:[,;&+]\s*(?:and|or)\b|[,;&+]|(?:and/or|and|or)\b)\s*"
    r"(?:(?:possibly|perhaps|maybe|also|even|both|options?|choices?)\s+)*",
    re.IGNORECASE,
)
_RELATED = re.compile(r"\s*(?:[-–—<>=→/]+|vs\.?)\s*[(\[]?[A-Z][)\]]?(?=\s*(?:$|[.,;\n<>=→–-]))")  # "A > B"
_ENDS = re.compile(r"\s*(?:$|\n|[.,;:!?](?:\s|$))")
_PART_OF_A_WORD = re.compile(r"[-–]\w|\.\w")  # "B-cell", "A.M."
_ABBREVIATED = re.compile(r"\.[ \t]+([a-z]\w*)")  # "E. coli", or "B. because"
_NEXT = re.compile(r"[ \t]+(\S+)")
_NAMED = re.compile(r"\b(?:options?|choices?)[ \t]+$", re.IGNORECASE)  # "option B", whatever follows
# Words that may follow a letter, and an article never.
_GOES_ON = frozenset(
    "and as because but due for from in is are was on or since so that the therefore which while with by if given "
    "although would seems appears remains it this fits matches explains".split()
)


class Place(Enum):
    """Where in a text a letter stands. The clearer the place, the less has to surround it."""

    AFTER_MARK = 1  # "the answer is B"
    HEAD = 2  # of a line
    ANYWHERE = 3


_NINTH = ascii_uppercase.index("I")
_LETTER = r"[(\[]?[A-Z][)\]]?(?![\w'])"
_REASON = r"[ \t]+[(–—-]|,?[ \t]+(?:because|due[ \t]+to)\b"
# What may follow an "I" that is an option and not who speaks: "I, because of the hives", but neither "I think", nor
# "I therefore chose", nor "I, as a physician,".
_AFTER_I = {
    Place.AFTER_MARK: re.compile(
        rf"{_REASON}|,?[ \t]+(?:since|which|rather[ \t]+than|(?:as|for)[ \t]+(?:the|this|these|it|there|he|she|they))\b"
        rf"|,?[ \t]+(?:and[ \t]+)?not[ \t]+(?:(?:options?|choices?)[ \t]+)?{_LETTER}"
        rf"|(?:[ \t]*,[ \t]*(?:and|or)?|[ \t]+(?:and|or|and/or))[ \t]+{_LETTER}"
        r"|[ \t]+(?:given|with|based[ \t]+on)\b"
    ),
    Place.HEAD: re.compile(_REASON),
    Place.ANYWHERE: re.compile(  # "I is right"; whether that is said is for the caller to see
        r",?[ \t]+(?:is|seems|appears|looks|remains|fits|matches|explains|(?:would|must|should|has[ \t]+to)[ \t]+be)\b"
    ),
}


class Run(NamedTuple):
    """Letters that are joined, such as "B or C", from `start` to `end` of the text.

    `clear`: all of them are in brackets, or they are named as options.
    """

    letters: frozenset[str]
    start: int
    end: int
    clear: bool


class Letters:
    """The letters of `count` options, whose texts are `texts` where they are known."""

    def __init__(self, count: int, texts: Sequence[str] = ()) -> None:
        self._known = ascii_uppercase[:count]
        self._texts = [even(text) for text in texts]
        # The beginnings of texts of which a letter is a part, such as "E. coli" and "B cell lymphoma".
        self._worded = [" ".join(text.split()[:2]) for text in self._texts if re.match(r"\w\W+\w", text)]

    def run(self, text: str, start: int, place: Place) -> Run | None:
        """The letters at `start` and what is joined to them, None where there is no letter."""
        letters, end, clear = set(), start, True
        named = _NAMED.search(text, max(0, start - 20), start) is not None
        while (token := _TOKEN.match(text, end)) and self._counts(text, token, place, named):
            letters.add(token["letter"].upper())
            clear = clear and (named or bool(token["open"] and token["close"] and "{" not in token["open"]))
            last = token.end()
            join = _JOIN.match(text, last)
            if join is None:
                return Run(frozenset(letters), start, last, clear)
            end = join.end()
        return Run(frozenset(letters), start, last, clear) if letters else None

    def all(self, text: str) -> list[Run]:
        """All runs of letters that count anywhere, and letters that are named."""
        runs, end = [], 0
        while token := _TOKEN.search(text, end):
            run = self.run(text, token.start(), Place.ANYWHERE)
            end = run.end if run else token.end()
            if run:
                runs.append(run)
        return runs

    def _counts(self, text: str, token: "re.Match[str]", place: Place, named: bool) -> bool:
        letter, rest = token["letter"], text[token.end() : token.end() + 80]
        if letter.upper() not in self._known or _RELATED.match(rest):
            return False
        if token["close"]:
            if _PART_OF_A_WORD.match(rest):  # "(E)-2-butene"
                return False
            return letter.isupper() or (letter != "i" and (bool(token["open"]) or place is not Place.ANYWHERE))
        if letter.islower():
            return place is Place.AFTER_MARK and letter != "i" and _ENDS.match(rest) is not None
        if _PART_OF_A_WORD.match(rest) or self._is_worded(text[token.start("letter") : token.end() + 80]):
            return False
        if abbreviated := _ABBREVIATED.match(rest):
            return abbreviated[1] in _GOES_ON or self._begins(letter, rest)
        if named:
            return True
        if letter == "I":
            return self._is_no_speaker(rest, place)
        if _ENDS.match(rest):
            return True
        following = _NEXT.match(rest)
        return following is not None and _may_follow(letter, following[1], place)

    def _is_no_speaker(self, rest: str, place: Place) -> bool:
        """Whether an "I" that this follows is the option."""
        if _ENDS.match(rest) and not rest.startswith(","):
            return True
        own = self._texts[_NINTH] if len(self._texts) > _NINTH else ""
        if own and place is not Place.ANYWHERE and even(rest).startswith(own):
            return True
        return _AFTER_I[place].match(rest) is not None

    def _is_worded(self, text: str) -> bool:
        begun = " ".join(text.lower().split())
        return any(begun.startswith(words) for words in self._worded)

    def _begins(self, letter: str, rest: str) -> bool:
        """Whether the option's text begins as what follows its letter; where texts are not known, any may."""
        index = self._known.index(letter)
        return index >= len(self._texts) or self._texts[index].split()[:1] == even(rest).split()[:1]


def _may_follow(letter: str, word: str, place: Place) -> bool:
    """Whether this word may follow a bare letter."""
    if word.strip(",.:;").lower() in _GOES_ON or not word[0].isalnum():
        return True
    if place is Place.ANYWHERE:
        return False
    # "Answer: B Generation of ..." is a letter, "the answer is A decrease in ..." and "B cells are" are none.
    if place is Place.AFTER_MARK:
        return letter != "A" or not word[0].islower()
    return letter != "A" and not word[0].islower()


def even(text: str) -> str:
    """A text for comparison with an option's: lower case, single spaces, nothing around it."""
    return " ".join(text.lower().split()).strip(" .,:;()[]'")
