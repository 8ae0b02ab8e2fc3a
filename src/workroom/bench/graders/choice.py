r"""Multiple choice: the letters of the options that an answer states last.

An answer is read as a whole, in this order; within a kind the last one counts:

1. the text of an option and nothing else;
2. statements: a box, "the answer is B", "B is correct", a line of nothing but a letter, a letter at the head of the
   answer, an option's text after "the answer is" or on a line of its own;
3. mentions: letters in brackets, "option B" and heads of lines, in the last sentence that has any;
4. the text of one option, in the last sentence that has any.

A letter counts where it cannot be a word or a part of one: no "N/A", no article "a", no "I" who speaks, no "B cells".
What is denied does not count, nor do options that are only listed. Letters beyond the options are nothing.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from string import ascii_uppercase
from typing import NamedTuple

from workroom.bench.graders import choice_words as words
from workroom.bench.graders.letters import Letters, Place, Run, even
from workroom.bench.graders.statement import lined, plain
from workroom.bench.score import Score
from workroom.task import Task

MOST_WITHOUT_CHOICES = 10  # options to J, where a task does not say what they are
_SHORTEST = 4  # characters of an option's text that can be found in a sentence

_ON_A_LINE = re.compile(r"[ \t]*(?:(?:the|my|final|correct)[ \t]+)*answers?[ \t]*:[ \t]*[(\[]?", re.IGNORECASE)
_ONLY_LETTERS = re.compile(r"[(\[]?[A-Z][)\]]?(?:(?:\s*[,;/&+]\s*(?:and\s+)?|\s+(?:and|or)\s+|\s*)[(\[]?[A-Z][)\]]?)*")
_LISTED = re.compile(r"\s*[(\[]?([A-Z])\s?[)\].:]\s")
_INLINE = re.compile(r"[(\[]?\b([A-Z])[)\]]")
_QUOTED = re.compile(r"(?<![\w'(])[‘']([A-Za-z])'(?![\w'])")
_BRACKET = re.compile(r"[(\[]?\s*(?:options?|choices?)?\s*$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?!\((?:option|choice)[ \t]+[A-Z]\))")  # that belongs to an option's text


def grade(task: Task, answer: str) -> Score:
    """1 where the letter is the reference's. An answer that states none, or several, is wrong."""
    reference = task.answer or ""
    count = options(task, *re.findall(r"\b[A-Z]\b", reference))
    expected = choose(reference, count, task.choices)
    if expected is None:
        return Score(None, f"the reference answer {reference!r:.100} is none of the options")
    given = choose(answer, count, task.choices)
    return Score(float(given == expected), extracted=given)


def options(task: Task, *expected: str) -> int:
    """How many options a task has: as many as its choices, else to J, or as far as its reference goes."""
    if task.choices:
        return len(task.choices)
    return max([MOST_WITHOUT_CHOICES, *(ascii_uppercase.find(letter) + 1 for letter in expected)])


def choose(answer: str, count: int, choices: Sequence[str] = ()) -> str | None:
    """The letter that an answer states last, of `count` options; None where it states none, or several."""
    letters = _Reader(count, choices).read(_text(answer))
    return next(iter(letters)) if len(letters) == 1 else None


def choose_several(answer: str, count: int, choices: Sequence[str] = ()) -> frozenset[str]:
    """The letters that an answer states last. "ACD" and letters one a line are several."""
    text = _text(answer)
    whole = words.BEFORE_LETTER.sub("", text).strip().rstrip(".")
    if _ONLY_LETTERS.fullmatch(whole):
        letters = re.findall(r"[A-Z]", whole)
        if len(set(letters)) == len(letters) and set(letters) <= set(ascii_uppercase[:count]):
            return frozenset(letters)
    return _Reader(count, choices).read(text)


def _text(answer: str) -> str:
    return _QUOTED.sub(r"\1", lined(answer))


class _Statement(NamedTuple):
    at: int
    letters: frozenset[str]


class _Reader:
    """Reads answers to a question of `count` options, whose texts are `choices` where they are known."""

    def __init__(self, count: int, choices: Sequence[str]) -> None:
        texts = [plain(text) for text in choices]
        self._letters = Letters(count, texts)
        self._texts = {letter: even(text) for letter, text in zip(ascii_uppercase[:count], texts, strict=False)}
        self._longest = max(map(len, texts), default=0) + 20  # characters in which an option's text ends

    def read(self, text: str) -> frozenset[str]:
        """The letters stated last, none where there are none."""
        if len(text) > 1 and (whole := self._option(text)):
            return whole
        unlisted = _without_lists(text)
        marked = list(self._marked(text))
        below = max((statement.at for statement in marked if is_on_a_line(text, statement.at)), default=len(text))
        statements = [*marked, *self._right(text, below), *self._lines(unlisted)]
        if statements:
            return max(statements, key=lambda statement: statement.at).letters
        return self._mentioned(unlisted) or self._quoted(unlisted)

    def _option(self, text: str) -> frozenset[str]:
        """The letter of the one option that has this text."""
        given = even(text)
        found = [letter for letter, option in self._texts.items() if option == given]
        return frozenset(found) if len(found) == 1 else frozenset()

    def _marked(self, text: str) -> Iterator[_Statement]:
        """After "the answer is" and the like: letters, or an option's text."""
        for mark in words.MARK.finditer(text):
            if words.OF_OTHERS.search(text, max(0, mark.start() - 20), mark.start()):
                continue
            run = self._letters.run(text, mark.end(), Place.AFTER_MARK)
            if run and not words.IS_WRONG.match(text, run.end):
                yield _Statement(run.start, run.letters)
            elif not run:
                line = text[mark.end() : mark.end() + self._longest].split("\n", 1)[0]
                if letters := self._option(line) or self._option(re.split(r"[.;](?:\s|$)", line)[0]):
                    yield _Statement(mark.end(), letters)
        # These go before other things as well: nothing may follow the letter.
        for mark in words.WEAK_MARK.finditer(text):
            run = self._letters.run(text, mark.end(), Place.AFTER_MARK)
            if run and words.NOTHING_MORE.match(text, run.end):
                yield _Statement(run.start, run.letters)

    def _right(self, text: str, below: int) -> Iterator[_Statement]:
        """Letters of which it is said that they are right.

        What is said of them below the line `Answer: B`, as in "C is correct in children", explains it, unless it
        withdraws it, as in "On reflection, C is correct."
        """
        for run in self._letters.all(text):
            before = text[max(0, run.start - 40) : run.start]
            named = run.clear or words.BEFORE_RIGHT.search(before)
            right = words.IS_RIGHT.match(text, run.end) if named and not words.DENIED.search(before) else None
            explains = text.find("\n", below, run.start) >= 0
            if right and (not explains or _is_withdrawn(text, run.start, right.end())):
                yield _Statement(run.start, run.letters)

    def _lines(self, text: str) -> Iterator[_Statement]:
        """Lines of nothing but a letter or an option; the first line that has anything if its head is a letter."""
        first = True
        for line in re.finditer(r"[^\n]*\S[^\n]*", text):
            content = line[0].strip()
            letter = words.BEFORE_LETTER.sub("", content).strip("|<>'.! ")
            alone = self._letters.run(letter, 0, Place.AFTER_MARK)
            if alone and alone.end == len(letter):
                yield _Statement(line.start(), alone.letters)
            elif option := self._option(content):
                yield _Statement(line.start(), option)
            elif head := self._letters.run(content, 0, Place.HEAD):
                stated = first or self._option(content[head.end :]) == head.letters
                if stated and not words.IS_WRONG.match(content, head.end):
                    yield _Statement(line.start(), head.letters)
            first = False

    def _mentioned(self, text: str) -> frozenset[str]:
        """Letters in brackets, letters named as options, and heads of lines."""
        for said, at_head in reversed(_sentences(text)):
            runs = [run for run in self._letters.all(said) if run.clear]
            if at_head and (head := self._letters.run(said, 0, Place.HEAD)):
                runs.append(head)
            kept = [run for run in runs if self._is_held(said, run)]
            if kept:
                return frozenset().union(*(run.letters for run in kept))
        return frozenset()

    def _is_held(self, said: str, run: Run) -> bool:
        """Whether the letters are not denied, nor the option whose text they follow, as in "not gout (C)"."""
        before = said[max(0, run.start - self._longest - 100) : run.start]
        named = even(_BRACKET.sub("", before))
        texts = [self._texts.get(letter, "") for letter in run.letters]
        unnamed = [before, *(named.removesuffix(text) for text in texts if text and named.endswith(text))]
        denied = any(map(words.DENIED.search, unnamed)) or words.DENIED_BY_NAME.search(before)
        return not denied and not words.IS_WRONG.match(said, run.end)

    def _quoted(self, text: str) -> frozenset[str]:
        """Options whose text is in a sentence that denies nothing."""
        for sentence, _ in reversed(_sentences(text)):
            said = even(sentence)
            found = {
                letter: option
                for letter, option in self._texts.items()
                if len(option) >= _SHORTEST and re.search(rf"(?<!\w){re.escape(option)}(?!\w)", said)
            }
            if found and not words.DENIES.search(said):
                longest = {
                    letter
                    for letter, option in found.items()
                    if not any(option in other and option != other for other in found.values())
                }
                return frozenset(longest)
        return frozenset()


def is_on_a_line(text: str, at: int) -> bool:
    """Whether the line before this place is `Answer:` and no more."""
    return _ON_A_LINE.fullmatch(text, text.rfind("\n", max(0, at - 60), at) + 1, at) is not None


def _is_withdrawn(text: str, start: int, end: int) -> bool:
    """Whether what is said from `start` to `end` is all of a sentence that withdraws what was said before it."""
    begun = max(text.rfind(mark, 0, start) for mark in ".!?\n") + 1
    return bool(words.WITHDRAWN.search(text, begun, start) and words.NOTHING_MORE.match(text, end))


def _sentences(text: str) -> list[tuple[str, bool]]:
    """Sentences and pieces of them, and whether they begin a line."""
    return [
        (said, index == 0)
        for line in text.split("\n")
        if line.strip()
        for index, said in enumerate(_SENTENCE_END.split(line.strip()))
    ]


def _without_lists(text: str) -> str:
    """The text with what only repeats the options blanked: lines, or parts of a line, that go A, B, C."""
    lines = text.split("\n")
    heads = [match[1] if (match := _LISTED.match(f"{line} ")) else "" for line in lines]
    filled = [index for index, line in enumerate(lines) if line.strip()]
    listed = set()
    for index, following in pairwise(filled):
        if heads[index] and heads[following] and ord(heads[following]) == ord(heads[index]) + 1:
            listed |= {index, following}
    for index, line in enumerate(lines):
        found = _INLINE.findall(line)
        if len(found) > 2 and found == list(ascii_uppercase[: len(found)]):
            listed.add(index)
    return "\n".join(" " * len(line) if index in listed else line for index, line in enumerate(lines))
