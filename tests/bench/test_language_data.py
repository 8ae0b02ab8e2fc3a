"""What checkers need beside their code: nothing is fetched, and what is missing is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workroom.bench.graders import language_data
from workroom.bench.graders.instructions import grade
from workroom.bench.graders.language_data import missing, missing_data
from workroom.task import Task

WITHOUT_DATA = Path(__file__).with_name("without_language_data.py")


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK finds no resource."""
    monkeypatch.setattr(language_data._nltk().data, "path", [])


def task_of(name: str, **given: object) -> Task:
    return Task("Say something.", meta={"instruction_id_list": [name], "kwargs": [given]})


def test_the_table_is_right_and_nothing_is_fetched() -> None:
    """In a process of its own: every checker of both benchmarks is tried without any data."""
    done = subprocess.run([sys.executable, WITHOUT_DATA], capture_output=True, text=True, check=True, timeout=120)
    seen = json.loads(done.stdout)
    assert seen["addresses"] == []
    assert seen["modules"] == []
    assert seen["tried"] == 83
    assert seen["failed"] == sorted(language_data.NEEDS)


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize(
    ("name", "given", "command"),
    [
        ("words:start_verb", {}, "python -m nltk.downloader averaged_perceptron_tagger_eng punkt_tab"),
        ("ratio:stop_words", {"percentage": 50}, "pip install --no-deps llama-index-core"),
    ],
)
def test_an_item_whose_resource_is_missing_is_unscored(name: str, given: dict[str, int], command: str) -> None:
    score = grade(task_of(name, **given), "Run!", benchmark="ifbench", strict=False)
    assert score.value is None
    assert command in score.reason


@pytest.mark.usefixtures("no_data")
def test_what_is_missing_is_told_in_one_sentence() -> None:
    tasks = [task_of("ratio:stop_words"), task_of("format:emoji"), task_of("ratio:stop_words"), Task("Anything else")]
    assert missing_data(tasks) == (
        "2 of 4 tasks will stay unscored, since their checkers need NLTK's stopwords: "
        "python -m nltk.downloader stopwords (or, from a package index alone: pip install --no-deps llama-index-core)"
    )
    assert missing_data([task_of("format:emoji")]) == ""


def test_the_folder_of_llama_index_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)  # NLTK reads nothing that others could write
    try:
        folder = tmp_path / "llama_index/core"
        (folder / "_static/nltk_cache/corpora/stopwords").mkdir(parents=True)
        (folder / "_static/nltk_cache/corpora/stopwords/english").write_text("the\n")
        (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    finally:
        os.umask(before)
    monkeypatch.setattr(language_data._nltk().data, "path", [])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "llama_index", None)
    monkeypatch.delitem(sys.modules, "llama_index")
    assert missing(["ratio:stop_words"]) == ["stopwords"]
    language_data._nltk.cache_clear()
    assert missing(["ratio:stop_words", "words:start_verb"]) == ["averaged_perceptron_tagger_eng", "punkt_tab"]
