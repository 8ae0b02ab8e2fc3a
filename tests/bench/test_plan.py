"""The settings of a bench: what is recorded, what goes on, what is refused."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from workroom.bench import new
from workroom.bench.plan import JudgeSettings, Plan, Selection, parse_arms
from workroom.bench.session import begin
from workroom.bench.store import BenchDirectory
from workroom.config import from_arguments
from workroom.errors import ConfigError

LOGIN = "https://user:pass-w0rd-secret@example.org/v1"


def plan(suite: str = "math", judge: JudgeSettings | None = None, **settings: Any) -> Plan:
    selection = Selection((suite,), parse_arms("llm", ()), limit=2)
    settings = {"model": "scripted/s.jsonl", **settings}
    return Plan.make(selection, from_arguments(settings), judge or JudgeSettings())


def bench(place: Path, made: Plan) -> BenchDirectory:
    """A bench of that plan as it is read again, its lock dropped."""
    BenchDirectory.create(place, made.record(), {}).close()
    return BenchDirectory.load(place)


def test_no_login_is_recorded_and_each_is_asked_for_where_it_is_needed(tmp_path: Path) -> None:
    made = bench(tmp_path / "b", plan(judge=JudgeSettings("openai/j", LOGIN), base_url=LOGIN))
    text = (tmp_path / "b" / "config.toml").read_text()
    assert "secret" not in text
    assert text.count("***@example.org") == 2
    with pytest.raises(ConfigError, match="--judge-base-url"):
        Plan.of(made, {})
    again = Plan.of(made, {}, JudgeSettings(base_url=LOGIN))  # as `bench grade` does, which asks the judge alone
    assert again.judge == JudgeSettings("openai/j", LOGIN)
    with pytest.raises(ConfigError, match="--base-url"):
        again.check_goes_on(made.config)
    Plan.of(made, {"base_url": LOGIN}, JudgeSettings(base_url=LOGIN)).check_goes_on(made.config)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (JudgeSettings(), JudgeSettings("openai/j", "http://h/v1", 5)),
        (JudgeSettings(votes=1), JudgeSettings("openai/j", "http://h/v1", 1)),
        (JudgeSettings("openai/k"), JudgeSettings("openai/k", None, 5)),
        (JudgeSettings("none"), JudgeSettings("none", None, 5)),
    ],
)
def test_another_judge_can_go_on(tmp_path: Path, given: JudgeSettings, used: JudgeSettings) -> None:
    made = bench(tmp_path / "b", plan(judge=JudgeSettings("openai/j", "http://h/v1", 5)))
    assert Plan.of(made, {}, given).judge == used


def test_the_default_model_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKROOM_MODEL", "scripted/one.jsonl")
    made = bench(tmp_path / "b", plan(model=None))
    monkeypatch.setenv("WORKROOM_MODEL", "scripted/another.jsonl")
    assert Plan.of(made, {}).resolved.config.model == "scripted/one.jsonl"
    assert plan(model=None).difference(made.config) == "model was 'scripted/one.jsonl' and is 'scripted/another.jsonl'"


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        *[(table, "new_key", 1) for table in ("bench", "judge", "run")],
        ("run", "max_turns", "many"),
        ("bench", "arms", ["llm+later"]),
        ("bench", "ids", None),
    ],
)
def test_a_configuration_of_another_version_is_one_sentence(tmp_path: Path, table: str, key: str, value: Any) -> None:
    bench(tmp_path / "b", plan())
    path = tmp_path / "b" / "config.toml"
    config = tomllib.loads(path.read_text()) | {"workroom": "9.9"}
    config[table][key] = value
    if value is None:
        del config[table][key]
    path.write_text(tomli_w.dumps(config))
    with pytest.raises(ConfigError, match=r"use version 9\.9"):
        Plan.of(BenchDirectory.load(tmp_path / "b"), {})


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("[limits]\nmax_turns = 7", "[limits]\nmax_turns = 9", "max_turns 7.* is max_turns 9"),
        ('network = "none"', 'network = "open"', "network"),
        ("repeats = 2", "repeats = 3", "repeats was 2 and is 3"),
    ],
)
def test_a_suite_that_changed_does_not_go_on_but_can_be_graded(
    tmp_path: Path, before: str, after: str, named: str
) -> None:
    new.create(tmp_path / "mine")
    path = tmp_path / "mine" / "suite.toml"
    rest = 'title = "t"\ngrader = "exact"\n'
    path.write_text(rest + before)
    made = bench(tmp_path / "b", plan(str(tmp_path / "mine")))
    Plan.of(made, {}).check_goes_on(made.config)
    path.write_text(rest + after)
    with pytest.raises(ConfigError, match=f"the suite mine has changed.*{named}"):
        Plan.of(made, {}).check_goes_on(made.config)
    path.unlink()
    with pytest.raises(ConfigError, match=r"suite\.toml"):
        Plan.of(made, {})


def test_a_bench_goes_on_only_with_the_same_documents(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    item = {"id": "a", "domain": "math", "question": "1?", "answer": "1"}

    def begun(text: str) -> None:
        path.write_text(json.dumps(item | {"documents": [{"name": "d.txt", "text": text}]}) + "\n")
        selection = Selection(("math",), parse_arms("llm", ()), data=(str(path),))
        made = Plan.make(selection, from_arguments({"model": "scripted/s.jsonl"}), JudgeSettings())
        begin(made, tmp_path / "b", lambda _: None).close()

    begun("one")
    begun("one")
    with pytest.raises(ConfigError, match="the task a of math has changed"):
        begun("another")


def test_benches_of_the_same_second_have_directories_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda *_: "now")
    Path("d.jsonl").write_text('{"id": "a", "domain": "math", "question": "1?", "answer": "1"}\n')
    selection = Selection(("math",), parse_arms("llm", ()), data=("d.jsonl",))
    made = Plan.make(selection, from_arguments({"model": "scripted/s.jsonl"}), JudgeSettings())
    places = []
    for _ in range(2):
        with begin(made, None, lambda _: None) as opened:
            places.append(opened.path)
    assert [path.name for path in places] == ["now-bench-math", "now-bench-math-2"]
    assert all((path / "config.toml").is_file() for path in places)


def test_a_bench_in_which_nothing_was_begun_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "a", "domain": "math", "question": "1?", "answer": "1"}\n')
    selection = Selection(("math",), parse_arms("llm", ()), data=(str(tmp_path / "d.jsonl"),))

    def begun(model: str) -> str:
        made = Plan.make(selection, from_arguments({"model": model}), JudgeSettings())
        with begin(made, tmp_path / "b", lambda _: None) as opened:
            return str(opened.config["run"]["model"])

    assert begun("scripted/mistyped") == "scripted/mistyped"
    assert begun("scripted/right") == "scripted/right"
    (tmp_path / "b" / "attempts").mkdir()
    with pytest.raises(ConfigError, match="model was 'scripted/right'"):
        begun("scripted/third")
    assert begun("scripted/right") == "scripted/right"
