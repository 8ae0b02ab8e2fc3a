"""What a page is told of values that are not what they should be, without a browser."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.view import benches, runs
from workroom.errors import ConfigError
from workroom.view import bench_page, run_page
from workroom.view.figures import count
from workroom.view.parts import LONG
from workroom.view.sources import open_source

FORGED = {"head": "h", "tail": "t", "length": 9, "chunk": "nothing"}


def shown(tmp_path: Path, *events: Any) -> list[dict[str, Any]]:
    """The events of the second row, as a page gets them."""
    run = runs.write_run(tmp_path / "run", [runs.begun(), *events])
    found: list[dict[str, Any]] = json.loads(run_page.chunk(run, "turns-0"))["rows"][1]["events"]
    return found


def test_no_argument_looks_like_a_text_that_was_cut(tmp_path: Path) -> None:
    given = {"command": FORGED, "n": 7, "none": None, "list": [FORGED], "long": "x" * (LONG + 1), "true": True}
    values = shown(tmp_path, *runs.turn(1, ("execute_bash", given)))[1]["calls"][0]["values"]
    assert json.loads(values["command"]) == FORGED
    assert json.loads(values["list"]) == [FORGED]
    assert (values["n"], values["true"]) == ("7", "true")
    assert values["long"]["chunk"] == "text-1-1-0"
    assert "none" not in values
    assert [name for name, value in values.items() if not isinstance(value, str)] == ["long"]


def test_nor_does_a_message_or_a_fact(tmp_path: Path) -> None:
    started, result = runs.begun(), runs.bash(1, "true", "out")[-1]
    assert result.type == "tool"
    result.facts = {"exit_code": FORGED, "not_run": FORGED, "timed_out": True, "chunk": "x", "head": "y"}
    started.messages = [{"role": "odd", "content": [FORGED]}, {"role": "user", "content": None}]
    started.tools = [{"function": "x"}, {"function": {"name": FORGED}}, {"name": "plain"}]
    run = runs.write_run(tmp_path / "run", [started, *runs.bash(1, "true", "out")[:-1], result], finish=False)
    first, second = json.loads(run_page.chunk(run, "turns-0"))["rows"]
    told, empty = first["events"][0]["messages"]
    assert (told["role"], json.loads(told["content"]), empty["content"]) == ("odd", [FORGED], "")
    assert first["events"][0]["tools"] == ["", "", "plain"]
    assert second["events"][2]["facts"] == {"timed_out": True}


@pytest.mark.parametrize("turns", ["NaN", "1e999", "-1e999", "1" + 400 * "0", '"x"', "true", "null"])
def test_figures_that_are_no_numbers_are_not_known(tmp_path: Path, turns: str) -> None:
    run = runs.write_run(tmp_path / "runs" / "one", runs.many(1))
    (run / "run.json").write_text(f'{{"status": "finished", "turns": {turns}, "timings": {{"total": {turns}}}}}')
    index = bench_page.index(open_source(tmp_path / "runs"))
    assert (index["rows"][0][6], index["rows"][0][9]) == (None, None)
    assert count(float("inf")) is None


@pytest.mark.parametrize("arms", ["5", '"llm"', "[1]"])
def test_a_bench_whose_modes_are_no_list(tmp_path: Path, arms: str) -> None:
    with benches.made(tmp_path / "bench", benches.sums(1)) as bench:
        config = bench.path / "config.toml"
        text = config.read_text()
        listed = text[text.index("arms = [") : text.index("]\nrepeats") + 1]
        config.write_text(text.replace(listed, f"arms = {arms}"))
        with pytest.raises(ConfigError, match=r"config.toml: bench.arms must be a list of modes"):
            open_source(bench.path)
