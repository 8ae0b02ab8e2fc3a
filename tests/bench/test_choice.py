"""Letters of options in answers, as models write them."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workroom.bench.graders import choice
from workroom.bench.score import Score
from workroom.task import Task

from .choice_nasties import NASTY, NINTH, PLAIN, TEN, TEXTS
from .choice_vectors import DRUGS, GERMS, LETTERS, NERVE, WRITTEN


@pytest.mark.parametrize(("answer", "letter"), LETTERS)
def test_letters_of_ten_options(answer: str, letter: str | None) -> None:
    assert choice.choose(answer, 10) == letter


@pytest.mark.parametrize(
    ("answer", "choices", "letter"),
    [
        ("Generation of free radicals", DRUGS, "C"),
        ("generation of free radicals.", DRUGS, "C"),
        ("**Cross-linking of DNA**", DRUGS, "D"),
        (r"\boxed{\text{Cross-linking of DNA}}", DRUGS, "D"),
        ("The answer is cross-linking of DNA.", DRUGS, "D"),
        ("Answer: Cross-linking of DNA", DRUGS, "D"),
        ("The drug is cisplatin. Its effect is due to cross-linking of DNA in the tumour.", DRUGS, "D"),
        ("It is not inhibition of proteasome.", DRUGS, None),
        ("Inhibition of proteasome or generation of free radicals", DRUGS, None),
        ("The answer is B. Cross-linking of DNA is what cisplatin does.", DRUGS, "B"),
        ("Reasoning here.\n\nCross-linking of DNA", DRUGS, "D"),
        ("Some thoughts.\n\nD) Cross-linking of DNA", DRUGS, "D"),
        ("A) Inhibition of proteasome\nB) Hyperstabilization of microtubules\n\nD", DRUGS, "D"),
        ("E", DRUGS, None),
        ("The answer is E.", DRUGS, None),
        ("(J)", DRUGS, None),
        ("E. coli", GERMS, "C"),
        ("The answer is E. coli.", GERMS, "C"),
        ("C. difficile", GERMS, "B"),
        ("A. fumigatus", GERMS, "D"),
        ("D. A. fumigatus", GERMS, "D"),
        ("B cell lymphoma", GERMS, "E"),
        ("Answer: B cell lymphoma", GERMS, "E"),
        ("Answer: B", GERMS, "B"),
        ("flaccid paralysis", NERVE, "B"),
        ("The nerve is cut, hence flaccid paralysis follows.", NERVE, "B"),
        ("B. flaccid paralysis", NERVE, "B"),
        ("paralysis", NERVE, "C"),
        ("The ratio is 1:6.", ("1:1", "1:3", "1:6", "2:3"), None),
        ("The answer is 1:6.", ("1:1", "1:3", "1:6", "2:3"), "C"),
        ("1:6", ("1:1", "1:3", "1:6", "2:3"), "C"),
        (r"\boxed{$\sqrt{2}$}", ("1", r"$\sqrt{2}$"), "B"),
        (  # of a text as long as this its name tells that it is denied
            "It is gout (option A), rather than a stone, which is seen in one of a hundred patients (option B).",
            ("gout", "A stone, which is seen in one of a hundred patients."),
            "A",
        ),
        ("It is Gout. (option A), rather than Sepsis. (option B).", ("Gout.", "Sepsis."), "A"),
        ("Z", tuple(str(number) for number in range(100, 126)), "Z"),
    ],
)
def test_letters_where_the_options_are_known(answer: str, choices: tuple[str, ...], letter: str | None) -> None:
    assert choice.choose(answer, len(choices), choices) == letter


@pytest.mark.parametrize(("answer", "choices", "letter"), WRITTEN)
def test_letters_as_models_write_them(answer: str, choices: tuple[str, ...], letter: str | None) -> None:
    assert choice.choose(answer, len(choices) or 10, choices) == letter


@pytest.mark.parametrize(("answer", "letter"), NASTY + PLAIN)
def test_answers_that_are_easily_misread(answer: str, letter: str | None) -> None:
    assert choice.choose(answer, len(TEXTS), TEXTS) == letter


@pytest.mark.parametrize("choices", [TEN, ()])
@pytest.mark.parametrize(("answer", "letter"), NINTH)
def test_an_option_i_is_not_who_speaks(answer: str, choices: tuple[str, ...], letter: str | None) -> None:
    assert choice.choose(answer, 10, choices) == letter


def test_an_option_i_may_have_its_text_behind_it() -> None:
    for answer in ("Answer: I Anaphylaxis", "Answer: I, anaphylaxis"):
        assert choice.choose(answer, 10, TEN) == "I"


@pytest.mark.parametrize(
    ("answer", "letters"),
    [
        ("A, C", "AC"),
        ("ACD", "ACD"),
        ("A C", "AC"),
        ("A and C", "AC"),
        ("A\nC", "AC"),
        ("(A), (C), and (D)", "ACD"),
        (r"\boxed{A, C}", "AC"),
        ("The answers are A, B and D.", "ABD"),
        ("B", "B"),
        ("N/A", ""),
        ("AA", ""),
        ("AK", ""),
    ],
)
def test_several_letters(answer: str, letters: str) -> None:
    assert choice.choose_several(answer, 5) == frozenset(letters)


def test_the_score_and_what_was_read() -> None:
    task = Task("?", answer="B", choices=DRUGS)
    assert choice.grade(task, "The answer is (B).") == Score(1.0, extracted="B")
    assert choice.grade(task, "The answer is (C).") == Score(0.0, extracted="C")
    assert choice.grade(task, "N/A") == Score(0.0)
    assert choice.grade(Task("?", answer="(L)"), "The answer is L.").value == 1.0  # further than J
    assert choice.grade(Task("?", answer=DRUGS[1], choices=DRUGS), "B").value == 1.0
    assert choice.grade(Task("?", answer="E", choices=DRUGS), "E").value is None


_PIECES = st.sampled_from(
    ["A", "B", "j", "(C)", "**D**", " ", "\n", ". ", ", ", " or ", " is ", "not ", "answer: ", "the answer is ",
     "\\boxed{", "}", "$", "wrong", "correct", "Option ", "E. coli", "N/A", "a benzene ring", "I ", "/", "-", "（",
     "\\text{", "é", "\0"]
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map("".join)), st.integers(1, 26))
@example("\\boxed{" * 50, 4)
def test_whatever_the_answer_it_is_an_option_or_none(answer: str, count: int) -> None:
    letter = choice.choose(answer, count, DRUGS[:count])
    assert letter is None or re.fullmatch("[A-Z]", letter)
    assert letter is None or ord(letter) - ord("A") < count
    assert choice.choose_several(answer, count) <= frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:count])


@settings(deadline=None, max_examples=50)
@given(st.sampled_from("ABCDEFGHIJ"), st.sampled_from("ABCDEFGHIJ"))
def test_the_last_of_two_statements_counts(first: str, last: str) -> None:
    for template in ("The answer is {}.", "Answer: {}", "**({})** because a shift", r"\boxed{{{}}}", "{}"):
        text = f"The answer is {first}. But no.\n\n{template.format(last)}"
        if not template.startswith("**"):
            assert choice.choose(text, 10) == last, text


@pytest.mark.parametrize(
    "text",
    [
        "A " * 20_000,
        "(" * 40_000,
        "answer is " * 20_000,
        "A, " * 20_000,
        "so " * 20_000,
        "\n" * 40_000,
        "Answer: A\nB is correct" * 5_000,
    ],
)
def test_long_answers_do_not_take_long(text: str) -> None:
    choice.choose(text, 10, DRUGS)
