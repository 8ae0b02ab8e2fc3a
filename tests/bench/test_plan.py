"""What a bench keeps of its judge, and what may be another one when it goes on."""

from pathlib import Path

import pytest

from workroom.bench.plan import JudgeSettings, Plan, Selection, parse_arms
from workroom.bench.store import BenchDirectory
from workroom.config import from_arguments
from workroom.errors import ConfigError

LOGIN = "http://me:hunter2hunter2@judge.test/v1"


def bench(judge: JudgeSettings) -> BenchDirectory:
    plan = Plan.make(Selection(("math",), parse_arms("llm", ())), from_arguments({}), judge)
    return BenchDirectory(Path("nowhere"), plan.record())


def test_the_login_of_a_judge_is_not_kept_and_asked_for_again() -> None:
    begun = bench(JudgeSettings("openai/judge", LOGIN))
    assert "hunter2" not in str(begun.config)
    with pytest.raises(ConfigError, match="--judge-base-url"):
        Plan.of(begun, {})
    assert Plan.of(begun, {}, JudgeSettings(base_url=LOGIN)).judge == JudgeSettings("openai/judge", LOGIN)


def test_votes_alone_can_be_changed_and_another_judge_brings_its_own_settings() -> None:
    begun = bench(JudgeSettings("openai/judge", "http://judge.test/v1"))
    assert "votes" not in begun.config["judge"]  # so that the suite's count
    assert Plan.of(begun, {}).judge == JudgeSettings("openai/judge", "http://judge.test/v1")
    more = Plan.of(begun, {}, JudgeSettings(votes=5)).judge
    assert more == JudgeSettings("openai/judge", "http://judge.test/v1", 5)
    assert Plan.of(begun, {}, JudgeSettings("openai/other")).judge == JudgeSettings("openai/other")
