"""Input files: from host paths to names of documents."""

import os
import socket
from pathlib import Path

import pytest

from workroom.errors import ConfigError
from workroom.inputs import collect_documents


@pytest.fixture
def notices() -> list[str]:
    return []


def test_a_file_keeps_its_name_and_a_directory_its_folders(tmp_path: Path, notices: list[str]) -> None:
    (tmp_path / "in" / "b" / "c").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "b" / "c" / "ü\n.txt").write_text("c")
    (tmp_path / "in" / ".hidden").write_text("h")
    (tmp_path / "single.bin").write_bytes(b"\0")
    documents = collect_documents([tmp_path / "in", str(tmp_path / "single.bin")], notices.append)
    assert list(documents) == [".hidden", "a.txt", "b/c/ü\n.txt", "single.bin"]
    assert documents["b/c/ü\n.txt"] == tmp_path / "in/b/c/ü\n.txt"
    assert notices == []


def test_links_inside_are_followed_and_others_left_out_with_a_notice(tmp_path: Path, notices: list[str]) -> None:
    top = tmp_path / "in"
    top.mkdir()
    (tmp_path / "outside").write_text("secret")
    (top / "real").write_text("r")
    (top / "alias").symlink_to("real")
    (top / "leak").symlink_to(tmp_path / "outside")
    (top / "loop").symlink_to("loop")
    (top / "tree").symlink_to("/etc")
    os.mkfifo(top / "pipe")
    assert list(collect_documents([top], notices.append)) == ["alias", "real"]
    assert len(notices) == 1
    assert "4 that are links or no files" in notices[0]


def test_an_empty_directory_gives_nothing(tmp_path: Path, notices: list[str]) -> None:
    assert collect_documents([tmp_path], notices.append) == {}


@pytest.mark.parametrize(
    ("first", "second", "clash"), [("x/a", "y/a", "a"), ("x/a/b", "y/a", "a/"), ("y/a", "x/a/b", "a")]
)
def test_two_inputs_of_one_name_are_refused(
    tmp_path: Path, notices: list[str], first: str, second: str, clash: str
) -> None:
    for name in (first, second):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    given = [tmp_path / name.split("/")[0] for name in (first, second)]
    with pytest.raises(ConfigError) as error:
        collect_documents(given, notices.append)
    assert f"documents/{clash}" in str(error.value)


def test_what_is_missing_or_no_file_is_refused(
    tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        collect_documents([tmp_path / "no"], notices.append)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(ConfigError, match="neither a file nor a directory"):
            collect_documents([tmp_path / "s"], notices.append)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, notices: list[str]) -> None:
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("x")
    with pytest.raises(ConfigError, match="not UTF-8"):
        collect_documents([tmp_path], notices.append)


def test_dots_as_input_take_the_directory(tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert list(collect_documents(["."], notices.append)) == ["a"]
