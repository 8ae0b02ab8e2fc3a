"""What a kind makes: documents, and questions on them with exact answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase


@dataclass(frozen=True, slots=True)
class Question:
    """A question. `look`: the bash commands, run in the working directory, after which an expert knows the answer."""

    text: str
    answer: str
    look: tuple[str, ...]
    grader: str = "exact"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A context: its documents by name, and questions on them."""

    documents: Mapping[str, str]
    questions: tuple[Question, ...]


Kind = Callable[[Random, int], Made]  # a number of questions is wanted, no two of them alike


def choice(random: Random, text: str, right: str, wrong: Sequence[str], look: str) -> Question:
    """A question with options of which one is right."""
    options = [right, *wrong]
    random.shuffle(options)
    return Question(text, ascii_uppercase[options.index(right)], (look,), "mcq_letter", tuple(options))


def several(random: Random, text: str, right: Sequence[str], wrong: Sequence[str], look: str) -> Question:
    """A question with options of which two or more are right; the answer is all their letters."""
    options = [*right, *wrong]
    random.shuffle(options)
    letters = sorted(ascii_uppercase[options.index(option)] for option in right)
    return Question(text, ", ".join(letters), (look,), "instruct_pretrain", tuple(options))


def distinct(random: Random, count: int, makers: Sequence[Callable[[Random], Question]]) -> tuple[Question, ...]:
    """So many questions of these makers, with different texts."""
    found: dict[tuple[str, ...], Question] = {}
    for _ in range(1000):
        if len(found) == count:
            break
        question = random.choice(makers)(random)
        found.setdefault((question.text, *sorted(question.choices)), question)
    return tuple(found.values())
