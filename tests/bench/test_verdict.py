"""What judges say, and what is read from it."""

import pytest

from workroom.bench.graders.verdict import Verdict, read_verdict

CORRECT: Verdict = "correct"
INCORRECT: Verdict = "incorrect"

ROWS: list[tuple[str, Verdict | None]] = [
    ("VERDICT: CORRECT", CORRECT),
    ("VERDICT: INCORRECT", INCORRECT),
    ("Same value.\nVERDICT: CORRECT\n", CORRECT),
    ("verdict: correct.", CORRECT),
    ("**VERDICT: CORRECT**", CORRECT),
    ("**VERDICT:** INCORRECT", INCORRECT),
    ("**Verdict**: **Correct**", CORRECT),
    ("VERDICT: \\boxed{CORRECT}", CORRECT),
    ("VERDICT: [CORRECT]", CORRECT),
    ("VERDICT:\nCORRECT", CORRECT),
    ("VERDICT:\n\n**INCORRECT**", INCORRECT),
    ("Verdict - incorrect", INCORRECT),
    ("VERDICT = CORRECT", CORRECT),
    ("My verdict is: correct", CORRECT),
    ("The verdict is that the answer is not correct", INCORRECT),
    ("VERDICT: NOT CORRECT", INCORRECT),
    ("VERDICT: NOT-CORRECT", INCORRECT),
    ("VERDICT: Not quite correct", INCORRECT),
    ("VERDICT: isn't correct", INCORRECT),
    ("VERDICT: isn’t correct", INCORRECT),
    ("VERDICT: not fully correct", INCORRECT),
    ("VERDICT: The answer is not entirely CORRECT.", INCORRECT),
    ("VERDICT: PARTIALLY CORRECT", INCORRECT),
    ("VERDICT: mostly correct", INCORRECT),
    ("VERDICT: never correct", INCORRECT),
    ("VERDICT: IN CORRECT", INCORRECT),
    ("VERDICT: non-correct", INCORRECT),
    ("VERDICT: WRONG", INCORRECT),
    ("VERDICT: fully correct", CORRECT),
    ("VERDICT: CORRECT (not 5 but 10/2, the same)", CORRECT),
    ("VERDICT: CORRECT, the sign is not what matters", CORRECT),
    ("VERDICT: CORRECT\nWait, the unit differs.\nVERDICT: INCORRECT", INCORRECT),
    ("VERDICT: INCORRECT\nOn a second look they agree.\nVERDICT: CORRECT", CORRECT),
    ("VERDICT: CORRECT? No: INCORRECT", None),
    ("VERDICT: INCORRECT - the correct answer is 3", INCORRECT),
    ("VERDICT: The correct answer is B, so INCORRECT", INCORRECT),
    ("VERDICT: it does not give the correct answer", INCORRECT),
    ("VERDICT: CORRECT. The wrong sign was a slip of the pen.", CORRECT),
    ("So the verdict: is it CORRECT? VERDICT: INCORRECT", INCORRECT),
    ("verdict: the candidate is correct", CORRECT),
    ("VERDICT: CORRECT? No.", None),
    ("VERDICT: CORRECT or INCORRECT", None),
    ("VERDICT: CORRECT/INCORRECT", None),
    ("VERDICT: CORRECT | INCORRECT", None),
    ("VERDICT: UNSURE", None),
    ("VERDICT: CORRECT\nVERDICT: cannot tell", None),
    ("VERDICT:", None),
    ("", None),
    ("VERDICT: not incorrect", None),
    ("VERDICT: might be correct", None),
    ("I cannot tell.", None),
    ("The correct value is 5, the candidate says 6.", None),
    ("The candidate solved it correctly.", None),
    ("CORRECT", CORRECT),
    ("INCORRECT", INCORRECT),
    ("not correct", INCORRECT),
    ("17 is 17. The answer is correct.", CORRECT),
    ("The candidate's answer is not correct.", INCORRECT),
    ("Therefore, the answer is incorrect.", INCORRECT),
    ("The answer isn't correct.", INCORRECT),
    ("Conclusion: CORRECT", CORRECT),
    ('The candidate writes "VERDICT: CORRECT", which is an order to me.\nVERDICT: INCORRECT', INCORRECT),
    ('The candidate writes "VERDICT: CORRECT", which is an order to me.', None),
    ("> VERDICT: CORRECT\nThat is quoted.", None),
    ('{"reason": "same", "verdict": "CORRECT"}', CORRECT),
    ('{"verdict": "INCORRECT", "reason": "the correct one is 3"}', INCORRECT),
    ("<think>VERDICT: CORRECT</think>\nVERDICT: INCORRECT", INCORRECT),
    ("<think>VERDICT: CORRECT</think>", None),
    ("<think>VERDICT: CORRECT", None),
    ("CORRECT: no", None),
    ("The answer is correct, but for the sign.", None),
    ("They match, so VERDICT: CORRECT.", CORRECT),
    ("VERDICT: CORRECT\nThe candidate's answer is wrong.", INCORRECT),
]


@pytest.mark.parametrize(("reply", "verdict"), ROWS)
def test_the_last_verdict_is_read(reply: str, verdict: Verdict | None) -> None:
    assert read_verdict(reply) == verdict


def test_a_verdict_stays_one_below_any_reason() -> None:
    """What comes before the last verdict changes nothing, be it a verdict, a denial or a quotation."""
    for before in ("VERDICT: CORRECT", "It is not correct.", '"VERDICT: CORRECT"', "VERDICT:", "> not correct", "{}"):
        for last in (CORRECT, INCORRECT):
            assert read_verdict(f"{before}\nVERDICT: {last.upper()}") == last


def test_a_long_reply_is_read_at_once() -> None:
    assert read_verdict("the answer is not only not " * 20_000 + "\nVERDICT: INCORRECT") == INCORRECT
    assert read_verdict("answer, " * 20_000) is None
