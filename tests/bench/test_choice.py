"""Letters of options in answers, as models write them."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workroom.bench.graders import choice
from workroom.bench.score import Score
from workroom.task import Task

DRUGS = (
    "Inhibition of proteasome",
    "Hyperstabilization of microtubules",
    "Generation of free radicals",
    "Cross-linking of DNA",
)
GERMS = ("Escherichia coli", "C. difficile", "E. coli", "A. fumigatus", "B cell lymphoma")
NERVE = ("spastic paralysis", "flaccid paralysis", "paralysis", "contracture")

# answer, letter
LETTERS = [
    # In many dresses.
    ("B", "B"),
    (" B \n", "B"),
    ("(B)", "B"),
    ("[B]", "B"),
    ("**B**", "B"),
    ("**(B)**", "B"),
    ("__B__", "B"),
    ("`B`", "B"),
    ('"B"', "B"),
    ("B.", "B"),
    ("B)", "B"),
    ("b", "B"),
    ("(b)", "B"),
    ("b)", "B"),
    ("b.", "B"),
    ("a", "A"),
    ("A", "A"),
    ("（Ｂ）", "B"),
    ("$B$", "B"),
    (r"\(B\)", "B"),
    (r"\boxed{B}", "B"),
    (r"$\boxed{\text{B}}$", "B"),
    (r"\boxed{\text{(B)}}", "B"),
    (r"\\boxed{B}", "B"),
    ("\boxed{B}", "B"),
    (r"\boxed{b}", "B"),
    (r"\fbox{B}", "B"),
    (r"\boxed{B. Hyperstabilization of microtubules}", "B"),
    ("B) Hyperstabilization of microtubules", "B"),
    ("B. Hyperstabilization of microtubules", "B"),
    ("B: Hyperstabilization of microtubules", "B"),
    ("B - Hyperstabilization of microtubules", "B"),
    ("(B) Hyperstabilization of microtubules", "B"),
    ("**B. Hyperstabilization of microtubules**", "B"),
    ("Answer: B", "B"),
    ("answer: b", "B"),
    ("ANSWER: B", "B"),
    ("Answer B", "B"),
    ("**Answer:** B", "B"),
    ("**Answer: (B)** because", "B"),
    ("Answer:\nB", "B"),
    ("## Answer\n\nB", "B"),
    ("Final answer: B", "B"),
    ("Final Answer: **B) microtubules**", "B"),
    ("The answer is B", "B"),
    ("The answer is B.", "B"),
    ("The answer is (B).", "B"),
    ("The answer is: **B**", "B"),
    ("The correct answer is option B.", "B"),
    ("The best answer is therefore choice (B).", "B"),
    ("The answer that fits the findings best is B.", "B"),
    ("The answer to this question is B.", "B"),
    ("The correct option is B", "B"),
    ("The correct choice is B: it acts on microtubules.", "B"),
    ("Option B", "B"),
    ("Option B.", "B"),
    ("Option (b)", "B"),
    ("Choice B", "B"),
    ("I would choose B.", "B"),
    ("I'd go with (B)", "B"),
    ("We pick B over C.", "B"),
    ("B is correct.", "B"),
    ("B is the correct answer.", "B"),
    ("(B) is right.", "B"),
    ("Option B seems to be the most appropriate.", "B"),
    ("Therefore, B.", "B"),
    ("So the mechanism fits, thus it is B.", "B"),
    ("A", "A"),
    ("A is correct.", "A"),
    ("The answer is A.", "A"),
    ("Answer: A", "A"),
    ("(A) because the ring opens", "A"),
    ("A. Because it binds", "A"),
    ("A) text", "A"),
    ("D because a shift", "D"),
    ("J", "J"),
    ("(J)", "J"),
    ("The answer is J.", "J"),
    ("(I)", "I"),
    ("I", "I"),
    ("Answer: I", "I"),
    # The defects of the paper's release.
    ("(B), as a benzene ring", "B"),
    ("**(D)** because a shift", "D"),
    ("N/A", None),
    ("n/a", None),
    ("N/A.", None),
    ("Answer: N/A", None),
    ("I don't know", None),
    ("I don't know.", None),
    ("I do not have enough data.", None),
    ("I", "I"),
    ("answer: A, I thought at first. But the answer is C.", "C"),
    ("First I thought the answer: A.\nHowever, the ring opens.\n\nAnswer: D", "D"),
    ("Maybe the answer is A? Let me check. No. The answer is B.", "B"),
    # The article, and words.
    ("A patient with this finding needs care.", None),
    ("a benzene ring", None),
    ("A benzene ring is what forms", None),
    ("The answer is a decrease in pressure.", None),
    ("The answer is A decrease in pressure.", None),
    ("It is a good question", None),
    ("I think A patient like this has a tumour.", None),
    ("B cells are activated", None),
    ("Vitamin C and hepatitis B were found, and group A streptococci.", None),
    ("The B-cell count is low.", None),
    ("C-reactive protein", None),
    ("The temperature is 37 C today", None),
    ("(E)-2-butene", None),
    ("A.M. and P.M.", None),
    ("", None),
    ("   ", None),
    ("None of the above", None),
    ("...", None),
    # Several letters in one statement.
    ("A or B", None),
    ("A, B", None),
    ("A and B", None),
    ("A/B", None),
    ("(A) and (C)", None),
    ("Either B or C", None),
    ("The answer is A or B.", None),
    ("The answer is B or possibly C.", None),
    (r"\boxed{A, B}", None),
    ("The answer is B. On reflection, the answer is A or D.", None),
    ("B and B", "B"),
    # Beyond the options.
    ("K", None),
    ("The answer is X.", None),
    ("(Z)", None),
    # The last statement.
    ("The answer is B. No, the answer is C.", "C"),
    ("B\n\nOn reflection:\n\nC", "C"),
    (r"\boxed{A} is wrong, so \boxed{C}", "C"),
    ("Answer: B\n\n(A) is wrong, and (C) does not fit.", "B"),
    ("The answer is B, not A.", "B"),
    ("The answer is (B). Option C would need light.", "B"),
    ("(A) fails. (C) is wrong. What remains is (D).", "D"),
    ("(A) is wrong, (B) is incorrect, (C) is not possible.", None),
    ("The answer is not B.", None),
    ("It is not (B) but (C).", "C"),
    ("Option A is wrong. Option D fits.", "D"),
    ("We compare (A) with (B).", None),
    ("B is wrong. C is correct.", "C"),
    ("Let's see. The reaction is slow.\n\nB) it is slow", "B"),
    ("A) fast\nB) slow\nC) none", None),
    ("A) fast\nB) slow\nC) none\n\nAnswer: B", "B"),
    ("The options are (A) fast (B) slow (C) none (D) both.", None),
    ("The options are (A) fast (B) slow (C) none (D) both. It is slow, so the answer is (B).", "B"),
    ("B\n\nA patient with this finding is treated at once.", "B"),
    ("D. The reaction needs light.\nA radical forms.", "D"),
]


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
        ("Z", tuple(str(number) for number in range(100, 126)), "Z"),
    ],
)
def test_letters_where_the_options_are_known(answer: str, choices: tuple[str, ...], letter: str | None) -> None:
    assert choice.choose(answer, len(choices), choices) == letter


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
    assert choice.grade(Task("?", answer="(l)"), "The answer is L.").value == 1.0  # further than J


_PIECES = st.sampled_from(
    ["A", "B", "j", "(C)", "**D**", " ", "\n", ". ", ", ", " or ", " is ", "not ", "answer: ", "the answer is ",
     "\\boxed{", "}", "$", "wrong", "correct", "Option ", "E. coli", "N/A", "a benzene ring", "I ", "/", "-", "（",
     "\\text{", "é", "\0"]
)  # fmt: skip


@settings(max_examples=60)
@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map("".join)), st.integers(1, 26))
@example("\\boxed{" * 50, 4)
def test_whatever_the_answer_it_is_an_option_or_none(answer: str, count: int) -> None:
    letter = choice.choose(answer, count, DRUGS[:count])
    assert letter is None or re.fullmatch("[A-Z]", letter)
    assert letter is None or ord(letter) - ord("A") < count
    assert choice.choose_several(answer, count) <= frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:count])


@given(st.sampled_from("ABCDEFGHIJ"), st.sampled_from("ABCDEFGHIJ"))
def test_the_last_of_two_statements_counts(first: str, last: str) -> None:
    for template in ("The answer is {}.", "Answer: {}", "**({})** because a shift", r"\boxed{{{}}}", "{}"):
        text = f"The answer is {first}. But no.\n\n{template.format(last)}"
        if not template.startswith("**"):
            assert choice.choose(text, 10) == last, text


@pytest.mark.parametrize(
    "text", ["A " * 20_000, "(" * 40_000, "answer is " * 20_000, "A, " * 20_000, "so " * 20_000, "\n" * 40_000]
)
def test_long_answers_do_not_take_long(text: str) -> None:
    choice.choose(text, 10, DRUGS)
