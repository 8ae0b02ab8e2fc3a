"""The files of a run as a page gets them: nothing but regular files below the folder."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.view import runs
from workroom.view.artefacts import artefacts, open_artefact, read_artefact, style_sources, within


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runs.write_run(tmp_path / "run", [runs.begun(), runs.ended()], runs.files()) / "files"


def test_kinds_sizes_and_digests(folder: Path) -> None:
    found = {one.path: one for one in artefacts(folder)}
    assert {path: one.kind for path, one in found.items()} == {
        "march.csv": "table",
        "pumps.png": "image",
        "tone.wav": "audio",
        "report/report.html": "html",
        "report/scan.pdf": "pdf",
        "report/summary.txt": "text",
    }
    for path, data in runs.files().items():
        assert (found[path].size, found[path].sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_kinds_of_what_has_no_ending(tmp_path: Path) -> None:
    contents = {
        "README": b"words",
        "cut": "é".encode() * 4000,
        "program": b"\x7fELF\0",
        "latin": b"\xe9\xe8 words " * 9,
        "empty": b"",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    kinds = {one.path: one.kind for one in artefacts(tmp_path)}
    assert kinds == {"README": "text", "cut": "text", "program": "other", "latin": "other", "empty": "text"}


def test_a_manifest_that_is_the_models_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "mine"}')
    assert [one.path for one in artefacts(tmp_path)] == ["manifest.json"]


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"files": [{"path": "a", "size": 1, "sha256": "f0"}]}'])
def test_a_file_like_the_runs_manifest_is_a_file(tmp_path: Path, content: bytes) -> None:
    for name, data in (("manifest.workroom.json", content), ("a", b"a")):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "manifest.json").write_text('{"files": [{"path": "a", "size": 1, "sha256": "true"}]}')
    found = {one.path: one.sha256 for one in artefacts(tmp_path)}
    assert found == {"a": "true", "manifest.workroom.json": None}
    assert [one.sha256 for one in artefacts(tmp_path, "manifest.workroom.json")][:1] != ["true"]


def test_a_digest_of_what_was_changed_since_is_not_told(folder: Path) -> None:
    (folder / "march.csv").write_bytes(b"longer than before" * 10)
    assert next(one for one in artefacts(folder) if one.path == "march.csv").sha256 is None


def test_links_and_devices_are_no_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "below").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    assert len(artefacts(folder)) == len(runs.files())
    for path in (
        "link",
        "below/secret",
        "../run.json",
        "/etc/passwd",
        "//etc/passwd",
        "///etc/passwd",
        "//",
        "report/../../run.json",
        "pipe",
        "report",
        "",
        ".",
        "a\0b",
    ):
        with pytest.raises(OSError):
            open_artefact(folder, path)
        assert read_artefact(folder, path, 1000) is None
    assert read_artefact(folder, "./report//summary.txt", 1000) == runs.files()["report/summary.txt"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.txt")).write_bytes(b"x")
    (found,) = artefacts(tmp_path)
    assert read_artefact(tmp_path, found.path, 10) == b"x"


def test_budget(folder: Path) -> None:
    sizes = {one.path: one.size for one in artefacts(folder)}
    embedded = [one.path for one in within(artefacts(folder), each=1000, total=200) if one.embedded]
    assert embedded == ["march.csv", "report/report.html", "report/scan.pdf"]
    assert sum(sizes[path] for path in embedded) <= 200
    assert read_artefact(folder, "march.csv", sizes["march.csv"] - 1) is None


def test_only_styles_within_html_files_are_allowed(folder: Path) -> None:
    (folder / "odd.html").write_text("<style>a\r\nb</style><p style=''><![bad<style>never ended")
    sources = style_sources(folder, within(artefacts(folder)))
    assert sources[0] == "'unsafe-hashes'"
    assert len(sources) == 4
    assert all(source.startswith("'sha256-") and not set(source[1:-1]) & set("'; \"") for source in sources[1:])
    assert style_sources(folder, artefacts(folder)) == []  # none of them is embedded
