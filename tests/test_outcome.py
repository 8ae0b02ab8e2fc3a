"""What is left of a run: where its directory goes, and which files in it are the model's."""

from pathlib import Path

import pytest

from workroom._outcome import default_directory, present_files
from workroom.errors import ConfigError
from workroom.trajectory import RunDirectory


@pytest.mark.parametrize("made", ["link", "file"])
def test_runs_that_is_no_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    runs.symlink_to(tmp_path / "a disk that is not there") if made == "link" else runs.touch()
    with pytest.raises(ConfigError, match=r"cannot make runs.* directory; choose another with -o DIR"):
        default_directory("x")


def test_a_directory_that_is_taken_gets_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "now")
    assert [default_directory("x").name for _ in range(3)] == ["now-x", "now-x-2", "now-x-3"]


def test_a_manifest_of_the_models_is_among_the_files_that_are_there(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", {}) as run:
        run.files_dir.mkdir()
        (run.files_dir / "manifest.json").write_text("mine")
        assert [entry.path for entry in present_files(run)] == ["manifest.json"]
        run.finish(list(present_files(run)))
        assert (run.files_dir / "manifest.json").read_text() == "mine"
        assert [entry.path for entry in present_files(run)] == ["manifest.json"]
        run.remove_files()
        assert list(present_files(run)) == []
