"""Exact match, token F1, ROUGE-L, labels, ChemIQ's forms and questions of mixed kinds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workroom.bench.graders import chemiq, label, mixed, text
from workroom.bench.graders.statement import concluded, shown, stated
from workroom.task import Task

WORDS = st.lists(st.sampled_from("abc"), max_size=12)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("Paris", "Paris"),
        ("Paris.", "Paris"),
        ("**Paris**", "Paris"),
        ("Answer: Paris", "Paris"),
        ("Some thoughts. The answer is Paris.\nIt is in France.", "Paris"),
        ("Final answer:\n\nParis", "Paris"),
        ("**Answer:**\nParis\nLyon", "Paris\nLyon"),
        ("The answer is Lyon. No, the answer is Paris.", "Paris"),
        (r"It is \boxed{\text{Paris}}.", "Paris"),
        ("## Final Answer\n\nParis", "Paris"),
        ("Answer: Lyon\nAnswer: Paris", "Paris"),
        ("Paris\n\nAnswer:", "Paris\n\nAnswer:"),
        ("<answer>Paris</answer>", "Paris"),
        ("It may be \\boxed{Lyon}.\nAnswer: Paris", "Paris"),
        (r"Answer: $\boxed{\text{Paris}}$", "Paris"),
        # What follows the line is the answer, to its end, whatever it says.
        ("Answer: The city whose name is the answer is Paris.", "The city whose name is the answer is Paris"),
        ("snake_case_name", "snake_case_name"),
        ("3.5", "3.5"),
        ("", ""),
    ],
)
def test_what_is_stated(answer: str, what: str) -> None:
    assert stated(answer) == what


@pytest.mark.parametrize(
    ("answer", "all_of_it", "for_a_judge"),
    [
        ("Some thoughts.\n**Answer:** *One*.\nTwo.", "*One*.\nTwo.", "*One*.\nTwo."),
        ("**Answer: 5 m**", "5 m", "5 m"),
        ("__Answer:__ 5 m", "5 m", "5 m"),
        ("### Answer\n* 5 m\n* 6 m", "* 5 m\n* 6 m", "* 5 m\n* 6 m"),
        ("One.\nThe answer is not given.", "One.\nThe answer is not given.", "One.\nThe answer is not given."),
        (r"I find $\boxed{v = \frac{1}{2}}$.", r"I find $\boxed{v = \frac{1}{2}}$.", r"v = \frac{1}{2}"),
        (r"\boxed{1}. No: \boxed{2}", r"\boxed{1}. No: \boxed{2}", "2"),
        (r"So \boxed{1}, and $\boxed{2}$.", r"So \boxed{1}, and $\boxed{2}$.", r"\boxed{1}, and $\boxed{2}"),
        ("\\boxed{1}\nAnswer: 2 m", "2 m", "2 m"),
        ("", "", ""),
    ],
)
def test_what_is_concluded_and_what_a_judge_is_shown(answer: str, all_of_it: str, for_a_judge: str) -> None:
    assert (concluded(answer), shown(answer)) == (all_of_it, for_a_judge)


@pytest.mark.parametrize("grade", [text.grade_exact, text.grade_f1, text.grade_rouge, mixed.grade])
def test_a_file_and_prose_with_the_same_answer_have_the_same_score(grade: Any) -> None:
    task = Task("?", answer="the old town hall of Lyon")
    prose = "The text speaks of Paris first. Then of Lyon.\n\n**Answer:** the town hall\nof Lyon"
    in_file, in_prose = grade(task, "the town hall\nof Lyon"), grade(task, prose)
    assert (in_prose.value, in_prose.extracted) == (in_file.value, in_file.extracted)


@pytest.mark.parametrize(
    ("given", "gold", "exact", "f1"),
    [
        ("the Eiffel Tower", "Eiffel tower!", 1, 1),
        ("Eiffel", "Eiffel Tower", 0, 2 / 3),
        ("Paris", "London", 0, 0),
        ("“Pirate’s Cove”", "Pirate's Cove", 1, 1),
        ("", "x", 0, 0),
        ("", "", 1, 1),
        ("the", "a", 0, 0),
        ("new york new york", "new york", 0, 2 / 3),
        ("!", "?", 0, 0),
        ("-5", "-5", 1, 1),
    ],
)
def test_exact_match_and_token_f1(given: str, gold: str, exact: float, f1: float) -> None:
    if text.normalised(given) or text.normalised(gold):
        assert text.exact(given, gold) == exact
    assert text.token_f1(given, gold) == pytest.approx(f1)


def test_the_best_of_several_references_counts() -> None:
    task = Task("?", answer="x", meta={"answers": ["London", "Paris, France"]})
    score = text.grade_f1(task, "Answer: Paris")
    assert score.value == pytest.approx(2 / 3)
    assert score.details == {"f1": score.value, "exact": 0.0}
    assert text.grade_exact(task, "The answer is paris france.").value == 1.0
    assert text.grade_exact(Task("?", answer="x"), "y").value == 0.0


@pytest.mark.parametrize(
    ("given", "gold", "value"),
    [
        ("the cat sat on the mat", "the cat lay on a mat", 8 / 12),
        ("police killed the gunman", "police kill the gunman", 0.75),
        ("the gunman kill police", "police kill the gunman", 0.5),
        ("same", "Same.", 1.0),
        ("one", "two", 0.0),
        ("", "two", 0.0),
    ],
)
def test_rouge_l(given: str, gold: str, value: float) -> None:
    assert text.rouge_l(given, gold) == pytest.approx(value)


@settings(deadline=None, max_examples=50)
@given(WORDS, WORDS)
def test_the_longest_common_subsequence_is_that_of_the_table(left: list[str], right: list[str]) -> None:
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    assert text.common_length(left, right) == table[-1][-1]


def test_rouge_l_of_long_texts_is_quick() -> None:
    assert text.rouge_l("a b c " * 5000, "c b a " * 5000) > 0.5


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("yes", "yes"),
        ("Yes.", "yes"),
        ("**No**", "no"),
        ("MAYBE", "maybe"),
        ("Answer: no", "no"),
        ("The answer is yes.", "yes"),
        ("The answer is: **maybe**", "maybe"),
        (r"\boxed{no}", "no"),
        ("It seems \\boxed{yes} at first.\nAnswer: no", "no"),  # the last statement, whatever its form
        ("Answer: yes, or rather\n\\boxed{no}", "no"),
        (r"\boxed{\text{Yes}}", "yes"),
        ("Yes, it is impaired.", "yes"),
        ("No. The intervals do not overlap.", "no"),
        ("Yes at first sight.\n\nFinal answer: no", "no"),
        ("The answer is yes. On reflection, the answer is maybe.", "maybe"),
        ("There is no effect on yes-instances; I conclude: maybe", "maybe"),
        ("Reasons follow.\n\nYes", "yes"),
        ("(A) yes", "yes"),
        ("B", "no"),
        ("The answer is (C).", "maybe"),
        ("No evidence was found for this.", None),
        ("There is no effect.", None),
        ("I do not know", None),
        ("N/A", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_labels(answer: str, said: str | None) -> None:
    score = label.grade(Task("?", answer="yes", choices=("yes", "no", "maybe")), answer)
    assert (score.extracted, score.value) == (said, float(said == "yes"))


@pytest.mark.parametrize(
    ("grade", "gold", "meta", "answer", "value"),
    [
        (chemiq.grade_number, "558", {}, "558", 1.0),
        (chemiq.grade_number, "558", {}, "The score is **558**.", 1.0),
        (chemiq.grade_number, "558", {}, "F adds 16, so the answer is 558 (of 600).", 1.0),
        (chemiq.grade_number, "600", {}, "F adds 16, so the answer is 558 (of 600).", 0.0),
        (chemiq.grade_number, "12", {}, "Answer: 12 (of 24)", 1.0),
        (chemiq.grade_number, "24", {}, "Answer: 12 (of 24)", 0.0),
        (chemiq.grade_number, "12", {}, "**Answer: 12**\n\nCheck: 12 + 12 = 24.", 1.0),
        (chemiq.grade_number, "12", {}, "Answer: 4 + 8 = 12; 24 atoms in all.", 1.0),
        (chemiq.grade_number, "12", {}, r"Answer: \boxed{12} (of 24)", 1.0),
        (chemiq.grade_number, "12", {}, "Answer: at least 12", 0.0),
        (chemiq.grade_number, "558", {}, "16 + 542 = 558", 1.0),
        (chemiq.grade_number, "558", {}, "558.0", 1.0),
        (chemiq.grade_number, "1558", {}, "1,558", 1.0),
        (chemiq.grade_number, "-5", {}, "−5", 1.0),
        (chemiq.grade_number, "558", {}, r"\boxed{558}", 1.0),
        (chemiq.grade_number, "558", {}, "C558", 0.0),
        (chemiq.grade_number, "558", {}, "none", 0.0),
        (chemiq.grade_range, "576", {"answer_range": "(569.21, 582.79)"}, "570.5", 1.0),
        (chemiq.grade_range, "576", {"answer_range": "(569.21, 582.79)"}, "Score: 569.21", 1.0),
        (chemiq.grade_range, "576", {"answer_range": "(569.21, 582.79)"}, "583", 0.0),
        (chemiq.grade_range, "576", {"answer_range": "(569.21, 582.79)"}, "Answer: about 575 (560 to 590)", 1.0),
        (chemiq.grade_range, "576", {"answer_range": "(-2.5, -1)"}, "-2", 1.0),
        (chemiq.grade_range, "576", {}, "576", None),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "[(0, 4), (1, 3)]", 1.0),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "(1,3),(0,4)", 1.0),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "[[0, 4], [1, 3]]", 1.0),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "First [(0, 3), (1, 4)], then [(0, 4), (1, 3)].", 1.0),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "[(0, 4), (1, 3), (2, 2)]", 0.0),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "[(0, 4), (0, 4), (1, 3)]", 0.0),
        (chemiq.grade_mapping, "[(0, 4), (1, 3)]", {}, "none", 0.0),
        (chemiq.grade_smiles, "CC(=O)O", {}, "CC(=O)O", 1.0),
        (chemiq.grade_smiles, "CC(=O)O", {}, "```\nCC(=O)O\n```", 1.0),
        (chemiq.grade_smiles, "CC(=O)O", {}, "The SMILES is `CC(=O)O`.", 1.0),
        (chemiq.grade_smiles, "CC(=O)O", {}, "Product: **CC(=O)O**", 1.0),
        (chemiq.grade_smiles, "CC(*)=O", {}, "CC(*)=O", 1.0),
        (chemiq.grade_smiles, "C[C@H](N)C(=O)O", {}, "C[C@H](N)C(=O)O", 1.0),
        (chemiq.grade_smiles, "CC(=O)O", {}, "CC(=O)N", 0.0),
        (chemiq.grade_smiles, "CC(=O)O", {}, "", 0.0),
        (chemiq.grade_name, "CC(=O)O", {}, "acetic acid", None),
        (chemiq.grade_name, "CC(=O)O", {}, "CC(=O)O", None),  # the molecule of the question is no name of it
    ],
)
def test_chemiq(grade: Any, gold: str, meta: dict[str, Any], answer: str, value: float | None) -> None:
    score = grade(Task("?", answer=gold, meta=meta), answer)
    assert score.value == value
    assert score.value is not None or score.reason


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("B", "The answer is B.", 1.0),
        ("B", "The answer is C.", 0.0),
        ("A, C", "A and C", 1.0),
        ("A, C", "A", 2 / 3),
        ("A, C", "ABCD", 2 / 3),
        ("A and C", "(A), (C)", 1.0),
        ("A, C", "B", 0.0),
        ("A, C", "no idea", 0.0),
        ("12", r"\boxed{12}", 1.0),
        ("12", "12", 1.0),
        (r"\frac{1}{2}", "0.5", 1.0),
        ("1889", "in 1889", 1.0),
        ("It was built in 1889 by Eiffel", "1889", 2 / 8),
        ("the cat sat", "the cat lay", 2 / 3),
        ("Paris", "Paris", 1.0),
    ],
)
def test_mixed_kinds(gold: str, answer: str, value: float) -> None:
    assert mixed.grade(Task("?", answer=gold), answer).value == pytest.approx(value)


@settings(deadline=None, max_examples=50)
@given(st.text(), st.text())
def test_whatever_the_answer_a_score_is_from_0_to_1(answer: str, gold: str) -> None:
    task = Task("?", answer=gold)
    graders = (
        text.grade_exact,
        text.grade_f1,
        text.grade_rouge,
        label.grade,
        chemiq.grade_number,
        chemiq.grade_mapping,
    )
    for grade in (*graders, chemiq.grade_smiles):
        value = grade(task, answer).value
        assert value is not None
        assert 0 <= value <= 1
