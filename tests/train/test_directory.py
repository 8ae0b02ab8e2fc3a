"""The directory of a training: none is begun over another one, and none goes on as another one."""

from pathlib import Path

import pytest

from tests.train.made_up import config
from workroom.errors import ConfigError
from workroom.train.config_file import load
from workroom.train.directory import CONFIG, check, facts, opened


def test_it_is_made_with_its_configuration_and_facts(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "out"
    with opened(place, config(), resume=False):
        pass
    kept = load(place / CONFIG)
    assert kept.output.dir == place
    assert kept.model == config().model
    (session,) = facts(place)["sessions"]
    assert "workroom" in session["versions"]
    with opened(place, kept, resume=True):
        assert len(facts(place)["sessions"]) == 2


def test_a_training_that_is_there_is_not_begun_anew(tmp_path: Path) -> None:
    with opened(tmp_path / "out", config(), resume=False):
        (tmp_path / "out" / "evaluations").mkdir()
    with pytest.raises(ConfigError, match="go on with it with --resume, or choose another with -o DIR"):
        check(tmp_path / "out", config(), resume=False)


def test_one_that_came_to_nothing_does_not_bind_the_corrected_command(tmp_path: Path) -> None:
    with opened(tmp_path / "out", config(), resume=False):
        pass
    with opened(tmp_path / "out", config(algorithm={"lr": 1e-4}), resume=False):
        pass
    assert load(tmp_path / "out" / CONFIG).algorithm.lr == 1e-4


def test_what_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ConfigError, match="is not empty and holds no training"):
            check(place, config(), resume=False)
    with pytest.raises(ConfigError, match=r"there is no training in .* leave out --resume"):
        check(tmp_path, config(), resume=True)
    check(tmp_path / "new", config(), resume=False)


def test_it_goes_on_as_it_was_begun_but_for_what_does_not_matter(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with opened(place, config(), resume=False):
        pass
    longer = config(algorithm={"steps": 40}, output={"samples": 0}, rollout={"concurrency": 2})
    with opened(place, longer, resume=True):
        pass
    assert load(place / CONFIG).algorithm.steps == 40
    with pytest.raises(ConfigError, match=r"was begun with algorithm\.lr = 1e-06 and cannot go on with 0\.001"):
        check(place, config(algorithm={"lr": 1e-3}), resume=True)


def test_two_do_not_train_in_one_place(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with (
        opened(place, config(), resume=False),
        pytest.raises(ConfigError, match="another process trains in"),
        opened(place, config(), resume=True),
    ):
        pass


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make"), opened(tmp_path / "file" / "out", config(), resume=False):
        pass
