"""Where a run's documents came from, as `run.json` keeps it."""

import hashlib
from pathlib import Path

import pytest

from tests.trajectory.helpers import episode
from workroom.errors import ConfigError
from workroom.replay.documents import find_documents, origins
from workroom.trajectory import RunDirectory


def run_with(noted: object) -> RunDirectory:
    return RunDirectory(Path("out"), {"documents": noted}, episode())  # it has the document a.txt


def test_a_text_is_kept_and_a_file_is_known_by_path_and_sum(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x00x")
    noted = origins({"a.txt": "ü\n", "b": path, "c": tmp_path / "missing"})
    assert noted["a.txt"] == {"size": 3, "sha256": hashlib.sha256("ü\n".encode()).hexdigest(), "text": "ü\n"}
    assert noted["b"] == {"path": str(path), "size": 2, "sha256": hashlib.sha256(b"\x00x").hexdigest()}
    assert noted["c"] == {"path": str(tmp_path / "missing")}
    assert find_documents(run_with(noted), [], print) == {"a.txt": "ü\n"}
    assert find_documents(run_with({"a.txt": noted["b"]}), [], print) == {"a.txt": path}


def test_a_long_text_is_handed_in_again(tmp_path: Path) -> None:
    long = "x" * ((1 << 20) + 1)
    noted = origins({"a.txt": long})
    assert "text" not in noted["a.txt"]
    with pytest.raises(ConfigError, match="hand it in with -i"):
        find_documents(run_with(noted), [], print)
    (tmp_path / "a.txt").write_text(long)
    told: list[str] = []
    assert find_documents(run_with(noted), [tmp_path / "a.txt"], told.append) == {"a.txt": tmp_path / "a.txt"}
    assert told == []


@pytest.mark.parametrize(
    "noted", [None, [], {}, {"a.txt": 7}, {"a.txt": {"path": 7}}, {"a.txt": {"path": "/etc/passwd"}}]
)
def test_a_damaged_record_is_none(noted: object) -> None:
    with pytest.raises(ConfigError, match=r"does not tell where its document a\.txt came from"):
        find_documents(run_with(noted), [], print)
