"""Says whether a run solved `task.md`: every rule of it is exact, but for good English, which a reader must judge.

python examples/constrained-writing/check.py RUN_DIR
"""

import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import Criterion, Wrong, main, need, text

CHARACTERS, WORDS, CANDIDATES = 70, 13, 20
THEMES = ("lighthouse", "storm", "harbour")


@cache
def vocabulary() -> frozenset[str]:
    return frozenset((Path(__file__).parent / "documents/words.txt").read_text(encoding="utf-8").split())


def words(sentence: str) -> list[str]:
    """The words of a sentence, without marks and in small letters."""
    found = sentence.removesuffix(".").split(" ")
    return [word.removesuffix(",").lower() for word in found]


def plain(run: Path, name: str) -> str:
    """The text of a file; its lines may end as Windows ends them."""
    return text(run, name).replace("\r\n", "\n")


def sentences(content: str) -> list[str]:
    """The three sentences of a text. Raises Wrong where there are not three lines."""
    lines = content.strip("\n").split("\n")  # str.splitlines() would also end them at marks that nobody sees
    need(len(lines) == len(THEMES), f"there are {len(lines)} lines in place of 3")
    return lines


def measured(lines: list[str]) -> str:
    """Rule 1: the lengths."""
    for number, line in enumerate(lines, 1):
        need(line.endswith("."), f"sentence {number} does not end with a full stop")
        need(len(line) == CHARACTERS, f"sentence {number} has {len(line)} characters in place of {CHARACTERS}")
        need(len(words(line)) == WORDS, f"sentence {number} has {len(words(line))} words in place of {WORDS}")
    return f"{CHARACTERS} characters and {WORDS} words each"


def disjoint(lines: list[str]) -> str:
    """Rule 2: no word twice."""
    (word, times), *_ = Counter(word for line in lines for word in words(line)).most_common(1)
    need(times == 1, f"{word!r} occurs {times} times")
    return f"{sum(len(words(line)) for line in lines)} different words"


def permitted(lines: list[str]) -> str:
    """Rule 3: words of the list, capitals and marks."""
    for number, line in enumerate(lines, 1):
        need(line[:1].isupper() and line[1:] == line[1:].lower(), f"sentence {number} has wrong capital letters")
        for word in words(line):
            need(word in vocabulary(), f"sentence {number} has {word!r}, which is not in the list")
        need(not line.endswith(",."), f"sentence {number} has a comma before its full stop")
    return "all in the list"


def themes(lines: list[str]) -> str:
    """Rule 4: the three words that must occur."""
    for number, (line, theme) in enumerate(zip(lines, THEMES, strict=True), 1):
        need(theme in words(line), f"sentence {number} is without {theme!r}")
    return ", ".join(THEMES)


def without_e(lines: list[str]) -> str:
    """Rule 5: no e in the third sentence."""
    found = [word for word in words(lines[2]) if "e" in word]
    need(not found, f"the third sentence has {', '.join(found)}")
    return "none"


def in_order(lines: list[str]) -> str:
    """Rule 6: the first letters."""
    first = [line[:1] for line in lines]
    need(first[0] < first[1] < first[2], f"the first letters are {', '.join(first)}")
    return " < ".join(first)


RULES = (measured, disjoint, permitted, themes, without_e, in_order)


def of_answer(rule: Callable[[list[str]], str]) -> Criterion:
    """The rule as a criterion of the answer."""

    def criterion(run: Path) -> str:
        return rule(sentences(plain(run, "answer.txt")))

    criterion.__doc__ = rule.__doc__
    return criterion


def candidates(run: Path) -> str:
    """At least 20 candidates that meet all rules, the answer among them"""
    texts = [part.strip("\n") for part in plain(run, "files/candidates.txt").split("\n\n") if part.strip("\n")]
    need(len(set(texts)) == len(texts) >= CANDIDATES, f"there are {len(set(texts))} different ones of {len(texts)}")
    for number, candidate in enumerate(texts, 1):
        for rule in RULES:
            try:
                rule(sentences(candidate))
            except Wrong as why:
                raise Wrong(f"candidate {number}: {why}") from None
    need(plain(run, "answer.txt").strip("\n") in texts, "the answer is not among them")
    return f"{len(texts)}"


if __name__ == "__main__":
    sys.exit(main([*map(of_answer, RULES), candidates]))
