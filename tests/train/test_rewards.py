"""What answers earn, by real graders in real worker processes."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.config import RewardSection
from workroom.train.rewards import LONGEST, Earned, Reward
from workroom.trajectory.events import StopReason

LETTER = Task("?", answer="B", choices=("one", "two", "three"), grader="mcq_letter")
LETTERS = Task("?", answer="A, C", choices=("one", "two", "three"))
NUMBER = Task("?", answer=r"\frac{1}{2}")
TEXT = Task("?", answer="the red door of the old house")


def earn(section: RewardSection, *cases: tuple[Task, str | None, StopReason]) -> list[Earned]:
    """What each of them earns."""

    async def run() -> list[Earned]:
        reward = Reward(section)
        try:
            return [await reward.of(task, answer, reason) for task, answer, reason in cases]
        finally:
            await reward.aclose()

    return asyncio.run(run())


def test_fractional_rewards_are_what_the_grader_of_the_kind_gives() -> None:
    section = RewardSection(scheme="fractional")
    earned = earn(
        section,
        (LETTER, "B", "submitted"),
        (LETTER, "C", "submitted"),
        (LETTERS, "A", "submitted"),
        (LETTERS, "A, C", "submitted"),
        (NUMBER, "0.5", "submitted"),
        (TEXT, "the red door", "submitted"),
        (TEXT, None, "submitted"),
    )
    values = [one.value for one in earned]
    assert values[:2] == [1.0, 0.0]
    assert values[2] == pytest.approx(2 / 3)  # F1 of one of two letters
    assert values[3:5] == [1.0, 1.0]
    assert values[5] == pytest.approx(2 * 3 / (3 + 7))  # ROUGE-L F of three words of seven
    assert values[6] == 0.0
    assert earned[2].components == {"grade": values[2]}


def test_binary_rewards_are_for_full_marks_alone() -> None:
    text = replace(TEXT, grader="rouge_l")
    earned = earn(
        RewardSection(scheme="binary"),
        (text, "the red door", "submitted"),
        (text, "The red door of the old house.", "submitted"),
    )
    assert [one.value for one in earned] == [0.0, 1.0]
    assert 0 < earned[0].components["grade"] < 1


LIMITS: list[StopReason] = ["max_turns", "max_tokens", "max_time", "context_overflow", "stalled"]
FAILURES: list[StopReason] = ["model_error", "sandbox_error", "interrupted"]


def test_over_long_episodes_earn_what_the_rule_says() -> None:
    for one in earn(RewardSection(), *((LETTER, "B", reason) for reason in LIMITS)):
        assert (one.value, one.components) == (0.0, {"grade": 1.0, "overlong": 1.0})
    for one in earn(RewardSection(overlong=None), *((LETTER, "B", reason) for reason in LIMITS)):
        assert (one.value, one.components) == (1.0, {"grade": 1.0})


def test_a_plant_failure_earns_nothing_not_even_0() -> None:
    for overlong in (0.0, None):
        earned = earn(RewardSection(overlong=overlong), *((LETTER, "B", reason) for reason in FAILURES))
        assert [(one.value, one.reason) for one in earned] == [(None, reason) for reason in FAILURES]


def test_an_answer_without_end_is_wrong_and_costs_no_time() -> None:
    [earned] = earn(RewardSection(timeout=0.001), (TEXT, f"{TEXT.answer} " * LONGEST, "submitted"))
    assert earned.value == 0.0


CUSTOM = """
import os, time

def reward(task, answer):
    if answer == "hang": time.sleep(1000)
    if answer == "raise": raise ValueError("no such thing")
    if answer == "nan": return float("nan")
    if answer == "two": return 2
    if answer == "text": return "1.0"
    if answer == "none": return None
    if answer == "die": os._exit(3)
    if answer == "documents": return float("red" in task.documents["a.txt"])
    if answer == "": return 0.25
    return 0.5

number = 7
"""


def test_custom_rewards(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CUSTOM)
    section = RewardSection(custom=f"{tmp_path}/own.py:reward", timeout=0.5)
    task = Task("?", documents={"a.txt": "red"})
    words = ("hang", "raise", "nan", "two", "text", "none", "die")
    earned = earn(section, *((task, word, "submitted") for word in (*words, "documents", "half", None)))
    for word, one in zip(words, earned, strict=False):
        assert one.value is None, word
        assert one.reason, word
    assert "longer than 0.5 s" in earned[0].reason
    assert "no such thing" in earned[1].reason
    assert [one.value for one in earned[len(words) :]] == [1.0, 0.5, 0.25]


def test_a_custom_reward_that_cannot_be_loaded_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CUSTOM)
    (tmp_path / "broken.py").write_text("import no_such_module_at_all")
    for custom, words in {
        "own.py": "FILE.py:FUNCTION",
        f"{tmp_path}/none.py:reward": "does not exist",
        f"{tmp_path}/own.py:other": "other",
        f"{tmp_path}/own.py:number": "it is no function",
        f"{tmp_path}/broken.py:reward": "no_such_module_at_all",
    }.items():
        with pytest.raises(ConfigError, match=words):
            Reward(RewardSection(custom=custom)).check([])
    Reward(RewardSection(custom=f"{tmp_path}/own.py:reward")).check([])


def test_tasks_that_no_reward_can_be_computed_for_are_told_at_once() -> None:
    reward = Reward(RewardSection())
    for task, words in (
        (Task("?", id="a", answer="B", grader="llm_judge:short"), "'a' is graded by 'llm_judge:short'"),
        (Task("?", id="b", answer="B", grader="exactly"), "none of those that compute: chemiq"),
        (Task("?", id="c"), "'c' has no answer"),
        (Task("?", id="d", answer="B", grader="grader.py"), "'grader.py'"),
    ):
        with pytest.raises(ConfigError, match=words):
            reward.check([LETTER, task])
    reward.check([LETTER, TEXT])
