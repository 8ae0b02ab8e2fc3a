"""Settings: which source wins, and what is said of a wrong one."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workroom._values import redact_url
from workroom.config import KEYS, from_arguments, resolve
from workroom.errors import ConfigError
from workroom.sandbox.base import Limits


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user" / "workroom").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_a_flag_wins_over_every_file_and_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    Path("given.toml").write_text('image = "given"\nmemory = "1g"\npids = 10\nmax_turns = 1\n')
    Path("workroom.toml").write_text('memory = "2g"\npids = 20\nmax_turns = 2\ndisk = "2g"\n')
    (tmp_path / "user/workroom/config.toml").write_text('disk = "3g"\nmax_turns = 3\ncpus = 3\n')
    resolved = resolve({"max_turns": "7", "seed": None}, Path("given.toml"))
    config = resolved.config
    assert (config.max_turns, config.pids, config.memory, config.disk, config.cpus) == (7, 10, "1g", "2g", 3.0)
    record = resolved.record()
    assert record["max_turns"] == {"value": 7, "origin": "flag --max-turns"}
    assert record["image"] == {"value": "given", "origin": "file given.toml"}
    assert record["disk"]["origin"] == "file workroom.toml"
    assert record["seed"] == {"value": None, "origin": "default"}
    assert set(record) == set(KEYS)
    json.dumps(record)


def test_the_project_file_is_read_only_without_a_workroom_file() -> None:
    Path("pyproject.toml").write_text('[project]\nname = "x"\n[tool.workroom]\nmax_turns = 5\n')
    assert resolve({}).config.max_turns == 5
    Path("workroom.toml").write_text("pids = 9\n")
    assert (resolve({}).config.max_turns, resolve({}).config.pids) == (100, 9)


def test_defaults_are_those_of_the_sandbox() -> None:
    assert resolve({}).config.limits == Limits()
    assert resolve({}).config.network == "packages"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"max_turns": "0"}, "--max-turns must be a whole number of at least 1, not 0"),
        ({"max_turns": "many"}, "--max-turns must be a whole number of at least 1, not 'many'"),
        ({"max_turns": "1.5"}, "--max-turns must be a whole number"),
        ({"max_cost": "nan"}, "--max-cost must be a number above 0"),
        ({"max_time": "-1"}, "--max-time must be a number above 0"),
        ({"max_time": "1" + "0" * 400}, "--max-time is too large a number"),
        ({"max_time": "1" + "0" * 5000}, "--max-time must be a number above 0"),
        ({"temperature": "-0.1"}, "--temperature must be a number not below 0"),
        ({"memory": "lots"}, "--memory must be a size above 0"),
        ({"memory": "0"}, "--memory must be a size above 0"),
        ({"memory": "1" + "0" * 400}, "--memory must be a size above 0"),
        ({"network": "some"}, "--network must be none, packages, open or allow:HOST"),
        ({"network": "allow:"}, "--network must be none"),
        ({"mode": "magic"}, "--mode must be one of sandbox, llm, not 'magic'"),
        ({"sandbox": "vm"}, "--sandbox must be one of bwrap, docker"),
        ({"base_url": "127.0.0.1:8000"}, "--base-url must be a URL"),
        ({"base_url": "http://[::1"}, "such as http://127.0.0.1:8000/v1, not what was given"),
        ({"model": " "}, "--model must be text"),
    ],
)
def test_a_wrong_flag_is_named_with_its_value(flags: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(flags)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_turn = 3\n", "workroom.toml has the unknown key 'max_turn'; did you mean 'max_turns'?"),
        ("openai_api_key = 'x'\n", "unknown key 'openai_api_key'"),
        ("max_turns = '3'\n", "'max_turns' in workroom.toml must be a whole number"),
        ("pids = true\n", "'pids' in workroom.toml must be a whole number"),
        ("max_turns = \n", "workroom.toml is not valid TOML"),
        ("base_url = 'http://[::1'\n", "'base_url' in workroom.toml must be a URL"),
        ("seed = " + "[" * 1500 + "]" * 1500, "workroom.toml holds too long a number or too deep a nesting"),
        ("seed = " + "1" * 5000, "workroom.toml holds too long a number or too deep a nesting"),
        ("seed = 0x" + "1" * 5000, "'seed' in workroom.toml is too large a number"),
        ("max_time = 1" + "0" * 400, "'max_time' in workroom.toml is too large a number"),
        ("[limits]\nmemory = '1g'\n", "unknown key 'limits'"),
    ],
)
def test_a_wrong_file_is_named(text: str, said: str) -> None:
    Path("workroom.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        resolve({})
    assert said in str(error.value)


def test_a_missing_or_unreadable_config_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no\.toml does not exist"):
        resolve({}, Path("no.toml"))
    Path("bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        resolve({}, Path("bytes.toml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve({}, Path())
    os.mkfifo("pipe.toml")
    with pytest.raises(ConfigError, match=r"pipe\.toml is no regular file"):
        resolve({}, Path("pipe.toml"))


def test_arguments_of_a_call_are_checked_and_no_file_is_read() -> None:
    Path("workroom.toml").write_text("max_turns = 2\n")
    resolved = from_arguments({"pids": 5, "max_cost": 1, "seed": None})
    assert (resolved.config.pids, resolved.config.max_cost, resolved.config.max_turns) == (5, 1.0, 100)
    assert resolved.record()["pids"]["origin"] == "argument"
    with pytest.raises(ConfigError, match="no setting 'max_turn'; did you mean 'max_turns'"):
        from_arguments({"max_turn": 3})
    with pytest.raises(ConfigError, match="pids must be a whole number"):
        from_arguments({"pids": "5"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("https://me:secret@h.example/v1?key=secret#secret", "https://***@h.example/v1?***"),
    ],
)
def test_a_url_is_recorded_without_what_may_be_a_key(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert "secret" not in json.dumps(from_arguments({"base_url": url}).record())
