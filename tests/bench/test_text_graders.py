"""Exact match, token F1, ROUGE-L, labels, ChemIQ's forms and questions of mixed kinds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workroom.bench.graders import chemiq, label, mixed, text
from workroom.bench.graders.statement import concluded, lined, shown, stated
from workroom.bench.graders.tokens import compared
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
    ("answer", "what"),
    [
        ("The answer is **Osprey**.\n\nThis answer is based on harbour.txt.", "Osprey"),
        ("The answer is Osprey. I checked that the answer is right.", "Osprey"),
        ("The answer is Osprey.\nConfidence in this answer: high", "Osprey"),
        ("The answer is Osprey, and this answer is supported by the log.", "Osprey"),
        ("The answer is Lyon, France, and this answer is right.", "Lyon, France"),
        ("The answer is right.", "right"),
        ("This answer is Osprey.", "Osprey"),
        ("The answer is left. No, the answer is right whale.", "right whale"),
        ("The answer is Dr. Smith. I checked that the answer is correct.", "Dr. Smith"),
        ("The answer is Osprey. The answer is given in harbour.txt.", "Osprey"),
        ("My first answer was Heron. The answer is Osprey.", "Osprey"),
        ("The answer is Osprey. My first answer was Heron.", "Osprey"),
        ("The answer is Lyon. No, the answer is Paris.", "Paris"),
        ("The answer is Heron. On reflection the answer is Osprey. This answer is final.", "Osprey"),
        ("The answer is correctly spelled", "correctly spelled"),
        ("Is the answer Heron? The answer is: given in the log", "given in the log"),
        ("The answer is Osprey.\nThe answer is in harbour.txt and the answer is final.", "in harbour.txt"),
        ("So the answer is:\n\n**Osprey**\n\nThis answer is final.", "Osprey"),
        ("The answer is clear blue.", "clear blue"),
        ("The answer is final", "final"),
        ("The answer is based on", "based on"),
        ("The answer is Osprey.\n\nThe evidence for this answer: the log.", "Osprey"),
        ("The answer is Osprey and this answer is right.", "Osprey"),
    ],
)
def test_what_is_only_said_about_the_answer_is_not_the_answer(answer: str, what: str) -> None:
    assert stated(answer) == what


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("<think>\nThe harbour file lists Heron, so the answer is Heron.\n</think>\n\nOsprey", "Osprey"),
        ("thoughts</think>Osprey", "Osprey"),
        ("<think>unfinished: the answer is Osprey", ""),
        ("The tag <think> is the answer", "The tag <think> is the answer"),
        ("<think>Answer: Heron</think>\nAnswer: Osprey", "Osprey"),
    ],
)
def test_thoughts_in_tags_are_no_part_of_an_answer(answer: str, what: str) -> None:
    assert (stated(answer), lined(answer).removeprefix("Answer: ")) == (what, what)
    assert shown(answer) == what


@pytest.mark.parametrize("text", ["this answer is right. " * 20_000, "answer: " * 20_000, "<think> " * 20_000])
def test_long_answers_do_not_take_long(text: str) -> None:
    stated(text)


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
    if any(compared(given, gold)):
        assert text.exact(given, gold) == exact
    assert text.token_f1(given, gold) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        ("+1.5 °C", "-1.5 °C"),
        ("1/2", "12"),
        ("10:30", "1030"),
        ("<5", "> 5"),
        ("<5", ">5"),
        ("x < 3", "x > 3"),
        ("a + b", "a - b"),
        ("1e-5", "1e5"),
        ("12.5%", "125"),
        ("O-", "O+"),
        ("C++", "C"),
        ("$5", "5%"),
        ("-5", "−5x"),
        ("C", "C#"),
        ("O-", "O"),
        ("AB+", "AB-"),
        ("NO3-", "NO3"),
        ("1-0", "10"),
        ("10", "1.0"),
        ("<5", "5"),
        ("p < 0.05", "p > 0.05"),
        ("10^-5", "10^5"),
        ("10⁻⁵", "10⁵"),
        ("x²", "x2"),
        ("3½", "31/2"),
        ("v1.2", "v12"),
        ("1,5", "15"),
        ("5-10", "510"),
        ("1492-10-12", "14921012"),
        ("≥5", "≤5"),
        (">= 5", "<= 5"),
        ("-$5", "$5"),
        ("$5", "€5"),
        ("3:2", "32"),
        ("-x", "x"),
        ("2 + 2", "2 - 2"),
        (">5", "5"),
        ("5", "< 5"),
        ("½", "12"),
        ("1.5", "1,5"),
        ("-0.5", "0.5"),
    ],
)
def test_another_number_sign_or_symbol_is_wrong(gold: str, answer: str) -> None:
    task = Task("?", answer=gold)
    assert text.grade_exact(task, answer).value == 0
    assert text.grade_f1(task, answer).value != 1


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("-5", "−5"),
        ("−5", "-5"),
        ("–5", "-5"),
        ("1,234", "1234"),
        ("1234", "1,234"),
        ("1,234,567.89", "1234567.89"),
        ("1,23,456", "123456"),
        ("1'234", "1234"),
        ("$5", "5"),
        ("5", "$5"),
        ("50%", "50"),
        ("50", "50%"),
        ("50 %", "50%"),
        ("$5", "5 $"),
        ("$1,234.50", "1234.50"),
        ("+1", "1"),
        ("3.5", "3.5."),
        ("3.5", "**3.5**"),
        ("3.5", "(3.5)"),
        ("3.5", "“3.5”"),
        ("U.S.", "US"),
        ("the Eiffel Tower", "Eiffel tower!"),
        ("Saint-Étienne", "SaintÉtienne"),
        ("x<3", "x < 3"),
        ("p<0.05", "p < .05"),
        (">5", "> 5"),
        ("> 5", ">5"),
        ("5", "> 5"),
        (">5", "Answer: > 5"),
        (">5", "The answer is >5."),
        ("≥5", ">= 5"),
        ("0.5", ".5"),
        ("1e+5", "1e5"),
        ("F-16", "F16"),
        ("COVID-19", "covid19"),
        ("Paris - France", "Paris France"),
        ("AT&T", "ATT"),
        ("N/A", "NA"),
        ("“Pirate’s Cove”", "Pirate's Cove"),
        ("5–10", "5-10"),
        ("1914-1918", "1914 – 1918"),
        ("C++", "**C++**"),
        ("C++", "c++."),
        ("O-", "O−"),
        ("O-", "(O-)"),
        ("10:30", "10:30."),
        ("1/2", "½"),
        ("10⁻⁵", "10^{-5}"),
        ("x²", "x^2"),
        ("H₂O", "H2O"),
        ("A -> B", "A B"),
        ("Node.js", "nodejs"),
        ("5", "5!"),
        ("Osprey", "- Osprey"),
        ("Osprey", "> Osprey"),
        ("-5", "(-5)"),
        ("-5", "$-5$"),
        ("1. FC Köln", "1 FC Köln"),
        ("3.5 m", "3.5 m."),
        ("snake_case", "snakecase"),
        ("1_000", "1000"),
        ("i.e. 5", "ie 5"),
        ("€5", "5"),
        ("No. 5", "No 5"),
        ("a + b", "a+b"),
        ("2*3", "2*3"),
        ("rock 'n' roll", "rock n roll"),
        ("km/h", "kmh"),
        ("A-", "A-"),
        ("3-methylpentane", "3methylpentane"),
        ("2,2-dimethyl", "2,2-dimethyl"),
        ("(1,2)", "1,2"),
        ("x=3", "x = 3"),
        ("'5'", "5"),
        ("mother-in-law", "motherinlaw"),
        ("well - known", "well known"),
        ("10-year-old", "10year-old"),
    ],
)
def test_what_means_the_same_is_right(gold: str, answer: str) -> None:
    task = Task("?", answer=gold)
    assert (text.grade_exact(task, answer).value, text.grade_f1(task, answer).value) == (1, 1)


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


@pytest.mark.parametrize("choices", [label.LABELS, ()])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Answer: Yes (p<0.05)", "yes"),
        ("Answer: No (see Table 2)", "no"),
        ("Answer: yes because no adverse effects were seen", "yes"),
        ("The answer is no because the groups did not differ.", "no"),
        ("I would answer yes.", "yes"),
        ("The options are yes, no, maybe. I choose yes.", "yes"),
        ('{"answer": "yes"}', "yes"),
        ("yes because of the RCT", "yes"),
        ("Answer: Yes\n\nWas there harm? No, none was seen.", "yes"),
        ("Answer: Yes (with caution)", "yes"),
        ("The options are yes, no, maybe. I pick no.", "no"),
        ("I choose maybe", "maybe"),
        ("I would go with no.", "no"),
        ("I'd say yes", "yes"),
        ("The answer is not yes but no.", "no"),
        ("Not maybe, but yes.", "yes"),
        ("The evidence is mixed; I would say maybe.", "maybe"),
        ("Answer: Yes\nNo: the placebo group was small.", "yes"),
        ("Answer: no because yes would require an RCT.", "no"),
        ('{"answer": "no", "confidence": 0.9}', "no"),
        ("Yes (p<0.05)", "yes"),
        ("Answer: Yes\n\nNo.", "no"),
        ("Answer: Yes\n\nWait. No.", "no"),
        ("Answer: Yes\n\nOn reflection, no.", "no"),
        ("Answer: Yes\n\nActually, no: the interval holds 1.", "no"),
        ("Answer: yes\n\nThe interval holds 1, hence no.", "no"),
        ("Answer: Yes\n\nWas there harm?\n\nNo.", "yes"),
        ("The answer is yes. Wait. No.", "no"),
        ("Answer: yes or no? No.", "no"),
        ("Answer: Yes? No.", "no"),
        ("Answer: Yes\n\nFinal answer: No", "no"),
        ("Yes at first.\n\nNo (12 of 30) was the count.", None),
        ("Answer: Yes\nNo adverse events were reported.", "yes"),
        ("Answer: Yes. No, it does not harm.", "yes"),
        ("I would not say yes.", None),
        ("If the interval were narrower, I would say yes.", None),
        ("I say no more.", None),
        ("We answer no question.", None),
        ("Answer: no evidence", None),
        ("yes/no/maybe", None),
        ("Yes or no", None),
        ("The answer is no longer known.", None),
        ("Should I say yes?", None),
        ("I cannot say yes.", None),
        ("No evidence because of the design.", None),
        ("The authors say yes.", None),
        ("Answer: maybe yes", None),
        ("I choose yes. If they had differed, I would say no.", "yes"),
        ("Results:\nNo (0/12) harm.", None),
        ("Answer: Yes\n\nReasons:\n- Was it blinded? No.\n- Was it random? Yes.\n- No: no controls", "yes"),
        ("Yes\n\nNo harm. No.", "no"),
        ("Was it large? No. Was it blinded? No. The answer is yes.", "yes"),
    ],
)
def test_labels_with_their_reasons(answer: str, said: str | None, choices: tuple[str, ...]) -> None:
    assert label.grade(Task("?", answer="yes", choices=choices), answer).extracted == said


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
