"""Where the expression ends that an answer states, what Unicode has of mathematics, and what is no number."""

import time

import pytest

from tests.bench.stated_vectors import BOUNDS, IN_UNICODE, STATED
from tests.bench.test_mathematics import golds
from workroom.bench.graders import mathematics
from workroom.bench.graders.written import from_unicode
from workroom.task import Task

EXPLAINED = (
    "Answer: {} (as 3 of 7 show)",
    "{} (as 3 of 7 show)",
    "The answer is ${}$; there are 7 of them.",
    "The answer is {}, because $n = 7$.",
    "The final answer is **{}**. I checked 7 cases.",
    "**Answer:** {}\n\nCheck: 7 is prime.",
    "**Answer: {}**\n\nVerification:\n- 2 works",
    "Answer:\n\\[\n{}\n\\]\n\nThis answer agrees with step 7.",
)


@pytest.mark.parametrize(("gold", "answer", "value"), [*STATED, *IN_UNICODE, *BOUNDS])
def test_what_is_read(gold: str, answer: str, value: float) -> None:
    assert mathematics.grade(Task("?", answer=gold), answer).value == value


def test_no_explanation_makes_a_reference_wrong() -> None:
    for name, gold in golds("math/*.jsonl"):
        for form in EXPLAINED:
            assert mathematics.grade(Task("?", answer=gold), form.format(gold)).value == 1.0, (name, form)


@pytest.mark.parametrize(
    ("written", "latex"),
    [
        ("10⁻³", "10^{-3}"),
        ("xⁿ⁺¹ + a₁₂", "x^{n+1} + a_{12}"),
        ("3½", r"3\frac{1}{2}"),
        ("¹¹⁄₁₂", r"\frac{11}{12}"),
        ("2√3", r"2\sqrt{3}"),
        ("√(1 + √(x))", r"\sqrt{1 + \sqrt{x}}"),
        ("³√8 + ∜16", r"\sqrt[3]{8} + \sqrt[4]{16}"),
        ("x³√2", r"x^{3}\sqrt{2}"),
        ("４５", "45"),
        ("45∘ and 45º", r"45^\circ  and 45^\circ "),
        ("α, 4 ㎏™", "α, 4 ㎏™"),
        (r"\sqrt{2}^{3}", r"\sqrt{2}^{3}"),
    ],
)
def test_unicode_as_latex(written: str, latex: str) -> None:
    assert from_unicode(written) == latex


@pytest.mark.parametrize(
    "part", ["the answer is ", "if ", "(", ";", "⁰", "√((", ", 5 cats", "more than 5 ", "é√", "$5 "]
)
def test_long_answers_take_no_time(part: str) -> None:
    begun = time.process_time()
    assert mathematics.grade(Task("?", answer="7"), "Answer: " + part * 5000).value == 0.0
    assert time.process_time() - begun < 10
