"""The documents of a run that is replayed, as `run.json` tells them."""

from pathlib import Path

import pytest

from tests.trajectory.helpers import episode
from workroom._task_record import task_record
from workroom.errors import ConfigError
from workroom.replay.documents import find_documents
from workroom.task import Task
from workroom.trajectory import RunDirectory


def run_with(task: object) -> RunDirectory:
    return RunDirectory(Path("out"), {"task": task}, episode())  # it has the document a.txt


def test_a_text_is_there_again_and_a_file_is_known_by_its_sum(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x00x")
    for content in ("ü\n", b"\xff", path):
        run = run_with(task_record(Task("x", documents={"a.txt": content})))
        assert find_documents(run, [], print) == {"a.txt": content}
    told: list[str] = []
    assert find_documents(run, [path], told.append) == {"a.txt": path}
    assert told == []


@pytest.mark.parametrize(
    "noted", [None, [], {}, {"a.txt": 7}, {"a.txt": {"path": 7}}, {"a.txt": {"path": "/etc/hosts"}}]
)
def test_a_damaged_record_is_none(noted: object) -> None:
    for task in (noted, {"documents": noted}):
        with pytest.raises(ConfigError, match=r"does not tell where its document a\.txt came from"):
            find_documents(run_with(task), [], print)
