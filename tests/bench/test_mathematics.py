"""Mathematics by math-verify, and where boxes are."""

import json
import os
from pathlib import Path

import pytest

from workroom.bench.graders import mathematics
from workroom.bench.graders.statement import boxed
from workroom.task import Task

DATA = Path(os.environ.get("WORKROOM_DATA") or Path(__file__).parents[2] / "../shared/data").resolve()


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"so $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\fbox{\boxed{ \boxed{5} }}", "5"),
        (r"\boxed{a + \fbox{b}}", r"a + \fbox{b}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{x : x > 0\right\}}", r"\left\{x : x > 0\right\}"),
        (r"\boxed {7}", "7"),
        (r"\boxed 7", "7"),
        (r"$\boxed 12$ is it", "12"),
        (r"\fbox{7}", "7"),
        (r"\\boxed{7}", "7"),  # escaped once too often
        ("\boxed{\frac{1}{2}}", r"\frac{1}{2}"),  # by a shell
        (r"\boxed{}", None),
        (r"put it in \boxed{}. It is \boxed{3}", "3"),
        (r"It is \boxed{3}; I put it in \boxed{}", "3"),
        (r"} \boxed{3}", "3"),
        (r"{ \boxed{3}", "3"),
        (r"\boxed", None),
        ("no box", None),
        ("", None),
        ("{" * 1000, None),
    ],
)
def test_boxes(text: str, content: str | None) -> None:
    assert boxed(text) == content


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("42", r"\boxed{42}", 1.0),
        ("42", "42", 1.0),
        ("42", "The answer is 42.", 1.0),
        ("42", r"First 41. \boxed{41} No: \boxed{42}", 1.0),
        ("42", r"\boxed{42}, not \boxed{41}", 0.0),
        ("42", r"\boxed{43}", 0.0),
        ("42", "I do not know.", 0.0),
        (r"\frac{1}{2}", r"\boxed{0.5}", 1.0),
        (r"\frac{1}{2}", r"\boxed{1/2}", 1.0),
        (r"\frac{1}{2}", r"\boxed{\dfrac12}", 1.0),
        (r"x^2+2x+1", r"\boxed{(x+1)^2}", 1.0),
        (r"x^2+2x+1", r"\boxed{(x-1)^2}", 0.0),
        (r"\{1, 2\}", r"\boxed{\{2, 1\}}", 1.0),
        ("1, 2", r"\boxed{2, 1}", 1.0),
        ("(1, 2)", r"\boxed{(1, 2)}", 1.0),
        ("(1, 2)", r"\boxed{(2, 1)}", 0.0),
        (r"[0, \infty)", r"\boxed{[0,\infty)}", 1.0),
        (r"[0, \infty)", r"\boxed{(0,\infty)}", 0.0),
        (r"60\%", r"\boxed{60\%}", 1.0),
        ("60", r"\boxed{60\%}", 1.0),
        (r"5\text{ cm}", r"\boxed{5}", 1.0),
        ("5", r"\boxed{5\text{ cm}}", 1.0),
        (r"\text{Evelyn}", r"\boxed{\text{Evelyn}}", 1.0),
        (r"\boxed{7}", r"\boxed{7}", 1.0),
        ("$$\nA = \\frac{1}{2}x\n$$", r"\boxed{\frac{x}{2}}", 1.0),
        ("1,000", r"\boxed{1000}", 1.0),
        ("3", r"\boxed{x = 3}", 1.0),
        # As keyboards and programs write it.
        ("-5", "\\boxed{−5}", 1.0),
        ("-5", "\\boxed{–5}", 1.0),
        ("1000", r"\boxed{1,000}", 1.0),
        ("1234567", r"\boxed{1{,}234{,}567}", 1.0),
        ("1000", r"\boxed{1\,000}", 1.0),
        ("1000", r"\boxed{1\!000}", 1.0),
        ("1000", r"\boxed{1 000}", 1.0),
        ("1500", r"\boxed{1.5e3}", 1.0),
        (r"1.5 \times 10^{-3}", r"\boxed{1.5E-03}", 1.0),
        ("1500", r"\boxed{1.5e+4}", 0.0),
        ("90", "\\boxed{90°}", 1.0),
        (r"90^\circ", r"\boxed{90}", 1.0),
        ("x^2", "\\boxed{x²}", 1.0),
        ("3", r"\boxed{3.}", 1.0),
        ("3", r"\boxed{3\ }", 1.0),
        ("3", r"\boxed{~3}", 1.0),
        # What a percentage, a unit or a list is to math-verify: a judge of units it is not.
        ("0.5", r"\boxed{50\%}", 1.0),
        (r"50\%", r"\boxed{0.5}", 1.0),
        (r"5\text{ cm}", r"\boxed{5\text{ m}}", 1.0),
        ("(2, 3)", r"\boxed{2, 3}", 1.0),
        ("204", r"\boxed{203, 204}", 0.0),
        ("204", r"\boxed{203 \text{ or } 204}", 0.0),
        ("2, 3", r"\boxed{2} and \boxed{3}", 0.0),
        ("1/3", r"\boxed{0.333}", 0.0),
        ("7", r"\boxed{3+4=8}", 0.0),
        # Small numbers: math-verify itself finds all of the unequal ones here equal.
        (r"9.11 \times 10^{-31}", r"\boxed{5.0 \times 10^{-31}}", 0.0),
        (r"9.11 \times 10^{-31}", r"\boxed{m = 9.110 \times 10^{-31}\text{ kg}}", 1.0),
        (r"9.11 \times 10^{-31}", r"\boxed{0.911 \times 10^{-30}}", 1.0),
        ("6.63e-34", r"\boxed{1.05 \times 10^{-34}}", 0.0),
        ("1.602e-19", r"\boxed{1.6e-19}", 0.0),
        (r"10^{-31}, 2 \times 10^{-31}", r"\boxed{3 \times 10^{-31}, 4 \times 10^{-31}}", 0.0),
        (r"10^{-31}, 2 \times 10^{-31}", r"\boxed{2 \times 10^{-31}, 10^{-31}}", 1.0),
        # Without a box: as in a file of the bare answer.
        ("-2,1", "-2,1", 1.0),
        ("-2,1", "1, -2\n", 1.0),
        ("1", "-2,1", 0.0),
        ("2x - 3y + 5 = 0", "2x - 3y + 5 = 0", 1.0),
        ("2x - 3y + 5 = 0", "Answer: $5 + 2x - 3y = 0$", 1.0),
        (r"\pi", r"\pi", 1.0),
        (r"\pi", "**Answer:** pi", 1.0),
        (r"2\pi", "2*pi", 1.0),
        (r"\sqrt{51}", "sqrt(51)", 1.0),
        ("51", "sqrt(51)", 0.0),
        ("2i", "2i", 1.0),
        ("2", "2i", 0.0),
        (r"3\sqrt{5}", r"The answer is 3\sqrt{5}.", 1.0),
        ("3", r"The answer is 3\sqrt{5}.", 0.0),
        (r"(-\infty, 0]", r"`(-\infty, 0]`", 1.0),
        (r"\text{(C)}", r"\text{(C)}", 1.0),
        (r"\text{Ada}", "Ada", 1.0),
        (r"\text{Ada}", "The answer is **Ada**.", 1.0),
        (r"\text{Ada}", "Ida", 0.0),
        ("5", r"\[ 5 \mbox{ cm}^2 \]", 1.0),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "\\begin{pmatrix}\n1 \\\\\n2\n\\end{pmatrix}", 1.0),
        ("2", "\\begin{pmatrix}\n1 \\\\\n2\n\\end{pmatrix}", 0.0),
        ("2, 3", "2 or 3", 1.0),
        ("3", "2 or 3", 0.0),
        ("1000", "1 000", 1.0),
        ("0.001", "1e-3", 1.0),
        ("60", r"Answer: \$60", 1.0),
        ("60", r"It costs \$5 and then \$60.", 1.0),
        ("60", "60 dollars", 1.0),
        ("60", "60 km/h", 1.0),
        ("0.75", "3/4 cup", 1.0),
        ("42", "14 × 3 = 42", 1.0),
        ("42", "Answer: 42 apples per week", 1.0),
        ("42", "€42", 1.0),
        ("42", "41\n42", 1.0),
        # Boxes.
        (r"$\boxed{2}$, $\boxed{3}$", r"\boxed{3}", 0.0),
        (r"$\boxed{2}$, $\boxed{3}$", r"\boxed{2, 3}", 1.0),
        (r"\boxed{42}", r"\boxed{\boxed{42}}", 1.0),
        ("42", r"\boxed{}", 0.0),
        ("42", r"\boxed{} 42", 1.0),
        ("42", r"\boxed{42}, which is more than 41", 1.0),
        ("42", "There are 3 cases of 14.\nAnswer: 42\n(as 3 × 14 is 42)", 1.0),
        ("42", "It is 42 at first.\n\n**Answer: 43**", 0.0),
        ("3", r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", 0.0),
        ("3", r"\boxed{" + "(" * 500, 0.0),
        ("3", "\0\x08\ud800", 0.0),
    ],
)
def test_equality(gold: str, answer: str, value: float) -> None:
    assert mathematics.grade(Task("?", answer=gold), answer).value == value


def test_what_was_read() -> None:
    task = Task("?", answer="1/2")
    assert mathematics.grade(task, r"\boxed{\frac12}").extracted == r"\frac12"
    assert mathematics.grade(task, "It is 0.5, I think.").extracted == "0.5"
    assert mathematics.grade(task, "No idea.").extracted is None


def golds(pattern: str) -> list[tuple[str, str]]:
    """The ids and references of the files that match."""
    paths = sorted(DATA.glob(pattern))
    if not paths:
        pytest.skip(f"there is no {pattern} below {DATA}: set WORKROOM_DATA")
    lines = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [(line["id"], line["answer"]) for line in lines if str(line["grader"]).startswith("math_verify")]


def unlike_themselves(references: list[tuple[str, str]]) -> list[str]:
    """The ids of references that math-verify does not find equal to themselves."""
    found = []
    for name, gold in references:
        content = gold.strip().strip("$")
        if mathematics.compare(gold, content, f"\\boxed{{{content}}}").value != 1.0:
            found.append(name)
    return found


def test_every_reference_equals_itself() -> None:
    references = golds("math/*.jsonl")
    assert len(references) >= 100
    assert unlike_themselves(references) == []


def test_every_reference_equals_itself_without_a_box() -> None:
    forms = ("{}", "{}.\n", "Answer: {}", "**Answer:** ${}$", "The answer is ${}$.", "\\[\n{}\n\\]", "```\n{}\n```")
    for name, gold in golds("math/*.jsonl"):
        for form in forms:
            assert mathematics.grade(Task("?", answer=gold), form.format(gold)).value == 1.0, (name, form)


def test_without_a_box_no_reference_is_another_than_in_one() -> None:
    references = sorted({gold for _, gold in golds("math/*.jsonl")})
    for distance in (1, 7):
        for gold, other in zip(references, references[distance:], strict=False):
            task = Task("?", answer=other)
            assert mathematics.grade(task, gold).value == mathematics.grade(task, f"\\boxed{{{gold}}}").value, (
                gold,
                other,
            )


def test_a_long_line_of_letters_is_no_formula() -> None:
    assert mathematics.grade(Task("?", answer="5"), "a " * 50_000).value == 0.0


def test_nothing_is_no_answer_though_the_reference_is_nothing() -> None:
    assert mathematics.grade(Task("?", answer=""), "").value is None


def test_references_of_physics_equal_themselves() -> None:
    # The shortest: of the longest each takes math-verify up to ten seconds. All 39 did when all were tried.
    references = sorted(golds("physics/phybench*.jsonl"), key=lambda reference: len(reference[1]))
    assert unlike_themselves(references[:3]) == []


def test_what_is_written_alike_is_equal_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mathematics, "compare", None)
    task = Task("?", answer="$$\nA = \\frac{1}{2} x\n$$")
    assert mathematics.grade(task, r"\boxed{A=\frac{1}{2}x}").value == 1.0


def test_what_never_ends_is_right_where_it_is_written_alike() -> None:
    tower = r"9^{9^{9^{9}}}"
    assert mathematics.grade(Task("?", answer=tower), rf"\boxed{{ {tower} }}").value == 1.0
