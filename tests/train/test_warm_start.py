"""The warm start: which rows it takes from a file, and what it learns of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train.bandit import tiny_model, tiny_tokenizer
from workroom.errors import ConfigError
from workroom.train.batch import make_batch
from workroom.train.config import TrainConfig
from workroom.train.records import Rollout, TrainRow
from workroom.train.scoring import score
from workroom.train.warm_start import learn, read_rows

ROW: dict[str, Any] = {"prompt_ids": [1, 2], "response_ids": [3, 4], "mask": [1, 0], "logprobs": [-1.0, 0.0]}


def written(place: Path, *records: Any) -> Path:
    path = place / "rows.jsonl"
    path.write_text("".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records))
    return path


def test_rows_of_an_export_are_taken_but_for_those_that_earned_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, ROW | {"reward": None}, ROW | {"reward": 0}, ROW | {"reward": 1, "logprobs": None})
    first, second = read_rows(path)
    assert first == TrainRow((1, 2), (3, 4), (1, 0), (-1.0, 0.0))
    assert second.logprobs == (0.0, 0.0)


@pytest.mark.parametrize("line", ["{", "[]", '{"mask": [1]}', json.dumps(ROW | {"mask": [1]})])
def test_what_is_no_row_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match="line 2, is no row of token ids"):
        read_rows(written(tmp_path, ROW, line))


def test_a_file_without_rows_or_none_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no row"):
        read_rows(written(tmp_path, ROW | {"reward": 0}))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")


def test_what_was_sampled_is_learnt_and_nothing_else(tmp_path: Path) -> None:
    model = tiny_model()
    rows = [TrainRow((1, 2, 3), (7, 20, 21, 8), (1, 0, 0, 1), (0.0,) * 4)]
    asked = [TrainRow((1, 2, 3), (7, 20, 21, 8), (1, 1, 1, 1), (0.0,) * 4)]
    batch = make_batch([Rollout("a", 1, tuple(asked), 1.0, "submitted")], 0)
    before = score(model, batch).logprobs.detach()
    settings = TrainConfig.model_validate(
        {
            "model": {"path": "tiny"},
            "warm_start": {"steps": 20, "batch": 1, "lr": 1e-3},
            "algorithm": {"micro_batch": 1},
        }
    )
    losses = learn(model, tiny_tokenizer(), rows, settings, tmp_path)
    gained = (score(model, batch).logprobs.detach() - before).tolist()
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 2
    assert min(gained[0], gained[3]) > 1
    assert max(gained[1], gained[2]) < 0.5
