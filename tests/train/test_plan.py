"""The plan of a training: what is checked before anything heavy starts, and how it is shown."""

from pathlib import Path
from typing import Any

import pytest

from tests.train.made_up import config
from workroom.errors import ConfigError, SandboxUnavailable
from workroom.train.hf_model import Facts
from workroom.train.plan import Group, Plan, make_plan

SIZES = {"train": 16, "validation": 4, "test": 4}


@pytest.fixture(autouse=True)
def known_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights are looked at."""
    monkeypatch.setenv("WORKROOM_IMAGE", "host")
    facts = Facts(Path("weights.gguf"), "llama", 135_000_000, 2 << 30, 8 << 30, "{{ messages }}", 8192, 30 * 576)
    monkeypatch.setattr("workroom.train.hf_model.check", lambda section: facts)


def plan(**sections: Any) -> dict[str, dict[str, str]]:
    data = {"source": "generated:lookup", **SIZES, **sections.pop("data", {})}
    return make_plan(config(data=data, **sections), Path("out")).record()


def test_it_says_what_a_step_is_made_of() -> None:
    found = plan(
        rollout={"group": 4, "max_turns": 3, "max_tokens": 100, "context": 1000},
        algorithm={"prompts": 6, "steps": 8, "micro_batch": 2},
    )
    assert found["Rollouts"]["a batch"] == "6 tasks × 4 rollouts = 24 episodes"
    assert found["Rollouts"]["tokens a step"] == "at most 24,000, of them 7,200 sampled"
    assert found["Update"]["steps"] == "8, 48 tasks in all (3 × the training tasks)"
    assert found["Update"]["a step"] == "1 × 1 updates on 24 rollouts, 2 at a time"
    assert found["Output"]["directory"] == "out"


def test_it_shows_the_model_and_an_example_of_the_data() -> None:
    found = plan()
    assert found["Model"]["architecture"] == "llama, 135 million parameters"
    assert found["Model"]["memory"] == "2.0 GiB for weights, gradients and the optimiser, 8.0 GiB are free"
    assert found["Model"]["chat template"] == "workroom's ChatML"
    assert found["Data"]["tasks"].startswith("16 for train, 4 for validation, 4 for test")
    assert "?" in found["Data"]["an example"]
    assert found["Data"]["its files"].endswith(".txt")
    assert found["Data"]["its answer"]


def test_it_says_what_an_update_takes_and_where_that_may_not_fit() -> None:
    def told(micro_batch: int, **model: bool) -> str | None:
        sections = {"rollout": {"context": 1024}, "algorithm": {"micro_batch": micro_batch}}
        return plan(model={"path": "any", **model}, **sections)["Model"].get("an update")

    assert told(2) == "about 3.6 GiB more, for 2 rows at a time of 1,024 tokens (micro_batch, context)"
    assert "may not fit: a smaller algorithm.micro_batch" in (told(4) or "")
    assert told(4, gradient_checkpointing=True) is None


def test_values_of_several_lines_stay_in_their_column() -> None:
    shown = Plan((Group("Data", (("source", "a.jsonl\nb.jsonl"), ("x", "y"))), Group("Empty", ())))
    assert shown.lines == ["Data", "  source  a.jsonl", "          b.jsonl", "  x       y", "Empty"]


def test_what_a_task_holds_cannot_reach_the_terminal(tmp_path: Path) -> None:
    lines = [
        f'{{"id": "{n}", "question": "\\u001b]0;x\\u0007 Number {n}?", "answer": "{n}", '
        f'"documents": [{{"name": "{n}.txt", "text": "It is {n}."}}]}}'
        for n in range(30)
    ]
    (tmp_path / "tasks.jsonl").write_text("\n".join(lines))
    found = plan(data={"source": str(tmp_path / "tasks.jsonl")})
    assert "\x1b" not in str(found["Data"])
    assert "Number" in found["Data"]["an example"]


def test_what_is_wrong_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "few.jsonl").write_text('{"id": "1", "question": "What?", "answer": "1", "documents": []}\n')
    with pytest.raises(ConfigError):
        plan(data={"source": str(tmp_path / "few.jsonl")})
    (tmp_path / "reward.py").write_text("def earn(task, answer):\n    return 1.0\n")
    with pytest.raises(ConfigError, match=r"reward\.custom"):
        plan(reward={"custom": f"{tmp_path / 'reward.py'}:lose"})
    with pytest.raises(SandboxUnavailable, match="there is no image 'gone'"):
        plan(rollout={"image": "gone"})


def test_a_model_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(section: Any) -> Any:
        raise ConfigError("training it needs 90 GiB of memory")

    monkeypatch.setattr("workroom.train.hf_model.check", refuse)
    with pytest.raises(ConfigError, match="needs 90 GiB"):
        plan()


def test_verl_is_shown_with_its_flags_and_why_it_cannot_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKROOM_VERL_PYTHON", "/nonexistent/python")
    model = {"path": "org/policy", "tool_protocol": "native", "dtype": "bfloat16"}
    found = make_plan(config(engine="verl", model=model, data={"source": "generated:lookup", **SIZES}), Path("out"))
    update = found.record()["Update"]
    assert "algorithm.adv_estimator='rloo'" in update["flags of verl"].splitlines()
    assert update["verl"].startswith("not on this machine: the interpreter /nonexistent/python for verl cannot be run")
