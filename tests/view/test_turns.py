"""What a page is told of a run, without a browser: rows, chunks, and runs that are not as they should be."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.view import runs
from workroom.analysis.capabilities import usage
from workroom.errors import ConfigError
from workroom.trajectory import AssistantTurn, TurnStarted, load_events
from workroom.trajectory.reader import kept
from workroom.trajectory.rundir import RunDirectory
from workroom.view import run_page
from workroom.view.run_page import RunSource
from workroom.view.turns import CHUNK, Turns


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return runs.write_run(tmp_path / "run", runs.rich(), runs.files())


def test_rows_are_the_turns(run: Path) -> None:
    index = run_page.index(run)
    rows = [(row["kind"], row.get("turn", 0), row.get("void", False)) for row in index["rows"]]
    turns = [("turn", number, False) for number in range(1, 6)]
    later = [("turn", number, False) for number in range(6, 9)]
    assert rows == [("start", 0, False), *turns, ("turn", 6, True), ("resumed", 0, False), *later, ("end", 0, False)]
    second = index["rows"][2]
    assert (second["in"], second["out"], second["waits"], second["egress"]) == (1200, 100, 1, 1)
    assert second["says"] == "I read the whole log."
    assert second["does"] == "cat documents/march.csv"
    assert index["rows"][3]["tools"] == ["str_replace_editor"] * 3
    assert index["rows"][5]["failed"] is True


def test_void_events_are_those_that_are_not_kept(run: Path) -> None:
    events = load_events(run)
    shown = [event for row in json.loads(run_page.chunk(run, "turns-0"))["rows"] for event in row["events"]]
    assert [event["seq"] for event in shown] == [event.seq for event in events]
    assert [event["seq"] for event in shown if not event.get("void")] == [event.seq for event in kept(events)]


def test_marks_are_those_of_the_analysis_also_after_a_resumption(run: Path) -> None:
    found = {(one.turn, one.capability) for one in usage(load_events(run)).evidence}
    rows = run_page.index(run)["rows"]
    assert {(row["turn"], mark) for row in rows for mark in row.get("marks", [])} == found


def test_chunks_hold_20_rows_and_every_name_is_found(tmp_path: Path) -> None:
    long = "x" * 200_000
    events = [runs.begun(), *runs.many(50)[1:-1], *runs.bash(51, f"echo {long}", long), runs.ended(turns=51)]
    source = RunSource(runs.write_run(tmp_path / "run", events))
    chunks = dict(source.chunks())
    assert [name for name in chunks if name.startswith("turns")] == ["turns-0", "turns-1", "turns-2"]
    assert [row["row"] for row in json.loads(chunks["turns-1"])["rows"]] == list(range(CHUNK, 2 * CHUNK))
    assert chunks["text-51-1-0"].decode() == f"echo {long}"
    assert chunks["text-51-2-0"].decode() == f"[exit code: 0]\n[stdout]\n{long}"
    assert all(source.chunk(name) == data for name, data in chunks.items())
    assert len(chunks["turns-2"]) < 60_000
    for name in (
        "turns-3",
        "text-51-1-1",
        "text-51-9-0",
        "image-1-1-0",
        "text-99-0-0",
        "turns--1",
        "../run.json",
        "turns-²",
    ):
        with pytest.raises(KeyError):
            source.chunk(name)


def test_damaged_lines_are_counted_and_the_rest_is_shown(run: Path) -> None:
    log = run / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[3:3] = [b"\0" * 100 + b"\n", b"{}\n", b'{"type": "assistant"}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
    log.write_bytes(b"".join(lines) + b'{"seq": 99, "type": "tur')
    index = run_page.index(run)
    assert index["damaged"] == 6
    assert [row["kind"] for row in index["rows"]].count("turn") == 9
    assert len(json.loads(run_page.chunk(run, "turns-0"))["rows"]) == 12


def test_a_killed_run(tmp_path: Path) -> None:
    run = runs.write_run(tmp_path / "run", runs.rich()[:9], finish=False)
    index = run_page.index(run)
    assert (index["status"], index["live"], index["duration"]) == ("killed", False, 8.0)
    assert "stop_reason" not in index
    assert "answer" not in index
    assert run_page.write(run, tmp_path / "page.html").stat().st_size > 1000


def test_a_running_run_grows(tmp_path: Path) -> None:
    events = runs.rich()
    for number, event in enumerate(events):
        event.seq = event.seq or number
    with RunDirectory.create(tmp_path / "run", {}, facts={"task": {"prompt": "Do it."}}) as run:
        run.durable = False
        source = RunSource(run.path)
        assert source.index()["live"] is True
        assert source.index()["rows"] == []
        for number, event in enumerate(events, 1):
            run.record(event)
            assert source.advance()
            assert not source.advance()
            assert source.turns.last == event
            assert [row.record() for row in source.turns.rows] == run_page.index(run.path)["rows"], number
        assert source.index()["voided"] == 1
        assert len(source.index(after=11)["rows"]) == 1
        run.finish()
    assert source.advance()
    assert source.index()["live"] is False
    assert source.index()["stop_reason"] == "submitted"


def test_another_run_in_the_same_place(tmp_path: Path) -> None:
    run = runs.write_run(tmp_path / "run", runs.many(2))
    source = RunSource(run)
    other = runs.write_run(tmp_path / "other", runs.rich())
    for name in ("events.jsonl", "run.json"):
        (other / name).replace(run / name)
    assert source.advance()
    assert source.index() == run_page.index(run)
    assert source.turns.damaged == 0


def test_half_a_line_of_a_running_run_waits_for_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    whole = b"".join(event.model_dump_json().encode() + b"\n" for event in runs.many(3))
    log.write_bytes(whole[:-30])
    turns = Turns(log)
    turns.advance(ended=False)
    assert (len(turns.rows), turns.damaged) == (4, 0)
    log.write_bytes(whole)
    assert turns.advance(ended=False)
    assert (len(turns.rows), turns.damaged) == (5, 0)
    log.write_bytes(whole[:500])  # begun anew
    turns.advance(ended=True)
    assert turns.damaged == 1


def test_a_run_without_run_json(run: Path) -> None:
    (run / "run.json").unlink()
    index = run_page.index(run)
    assert (index["title"], index["model"], index["status"]) == (runs.PROMPT, "scripted/pumps", "killed")
    assert [document["name"] for document in index["documents"]] == ["march.csv", "notes/stations.txt"]


def test_a_run_json_of_nonsense(run: Path, tmp_path: Path) -> None:
    nonsense = dict.fromkeys(("config", "task", "versions", "sandbox", "usage", "status", "imported_from"), 7)
    (run / "run.json").write_text(json.dumps(nonsense | {"started": "x", "error": [1]}))
    assert run_page.index(run)["title"] == runs.PROMPT
    run_page.write(run, tmp_path / "page.html")


def test_llm_mode(tmp_path: Path) -> None:
    started = runs.begun()
    started.mode, started.tools, started.sandbox = "llm", [], None
    said = AssistantTurn(turn=1, content="It is 58.")
    run = runs.write_run(tmp_path / "run", [started, TurnStarted(turn=1), said, runs.ended("It is 58.")])
    index = run_page.index(run)
    assert (index["mode"], index["answer"], index["turns"]) == ("llm", "It is 58.", 1)
    assert [row["kind"] for row in index["rows"]] == ["start", "turn", "end"]


def test_an_imported_run(tmp_path: Path) -> None:
    """Runs of others tell no beginnings of turns."""
    events = [event for event in runs.many(3) if event.type not in ("turn_started", "episode_finished")]
    rows = run_page.index(runs.write_run(tmp_path / "run", events))["rows"]
    assert [(row["kind"], row.get("turn")) for row in rows] == [("start", None), ("turn", 1), ("turn", 2), ("turn", 3)]


def test_token_ids_and_provider_data_stay_out(tmp_path: Path) -> None:
    events = runs.many(1)
    said = next(event for event in events if event.type == "assistant")
    said.provider = {"secret": "signature"}
    run = runs.write_run(tmp_path / "run", events)
    assert b"signature" not in run_page.chunk(run, "turns-0")


def test_values_that_nobody_would_write(tmp_path: Path) -> None:
    """Nested without end, not finite, very many: the page is made, and its JSON is one that browsers read."""
    inner: list[object] = []
    for _ in range(300):
        inner = [inner]
    arguments = json.dumps({"command": inner})
    many = json.dumps({f"name {number}": number for number in range(1000)})
    events = [runs.begun(), *runs.turn(1, ("odd", arguments), ("odd", many), ("odd", "[1]"), ("constructor", "{}"))]
    result = runs.bash(1, "true", "out")[-1]
    assert result.type == "tool"
    result.facts = {"deep": inner, "not_run": "constructor"}
    end = runs.ended(cost=float("inf"))  # in the log it is null
    run = runs.write_run(tmp_path / "run", [*events, result, end])
    with (run / "events.jsonl").open("ab") as log:
        log.write(b'{"type": "tool", "turn": 1, "call_id": "x", "name": "y", "observation": "z", "facts": {"a": ')
        log.write(b"[" * 400 + b"]" * 400 + b"}}\n")
    run_page.write(run, tmp_path / "page.html")
    rows = json.loads(run_page.chunk(run, "turns-0"))["rows"]
    odd, much, listed, plain = rows[1]["events"][1]["calls"]
    assert odd["raw"] == arguments
    assert much["raw"] == many
    assert listed["raw"] == "[1]"
    assert plain["values"] == {}
    assert rows[1]["events"][2]["facts"] == {"not_run": "constructor"}
    json.dumps(run_page.index(run))


def test_where_there_is_no_run(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing", Path(__file__)):
        with pytest.raises(ConfigError, match="there is no run in"):
            run_page.write(place, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_replaced_by_the_page(run: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no regular file"):
        run_page.write(run, tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["files", "events.jsonl", "run.json"])
def test_a_run_out_of_which_a_link_leads_is_not_shown(run: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(run, tmp_path / "copy")
    shutil.copytree(run, tmp_path / "elsewhere")
    place = tmp_path / "copy" / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(tmp_path / "elsewhere" / name)
    with pytest.raises(ConfigError, match=f"{name} is a link"):
        run_page.write(tmp_path / "copy", tmp_path / "page.html")


def test_what_is_no_file_is_not_waited_for(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy" / "run.json").unlink()
    os.mkfifo(tmp_path / "copy" / "run.json")
    os.mkfifo(tmp_path / "copy" / "files" / "manifest.workroom.json")
    (tmp_path / "copy" / "files" / "manifest.json").write_text("[" * 200_000)
    assert "manifest.json" in [one.path for one in run_page.RunSource(tmp_path / "copy").files]


def test_a_torn_line_that_a_resumption_cut_off_is_read_anew(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    log = tmp_path / "copy" / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3]) + lines[3][:5])
    (tmp_path / "copy" / "run.json").unlink()
    source = run_page.RunSource(tmp_path / "copy")
    assert source.turns.damaged == 1
    assert not source.advance()
    log.write_bytes(b"".join(lines))
    assert source.advance()
    assert source.turns.damaged == 0
    assert [row.record() for row in source.turns.rows] == [row.record() for row in run_page.RunSource(run).turns.rows]


def test_a_target_that_cannot_be_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*gone.*: No such file or directory; choose another"):
        run_page.write(run, tmp_path / "gone" / "page.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        run_page.write(run, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "run"]


def test_an_old_page_is_replaced_at_once(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")

    def broken(*_: object, **__: object) -> object:
        yield b"new"
        assert target.read_text() == "old"
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(run_page, "assemble", broken)
    with pytest.raises(ConfigError, match="No space left"):
        run_page.write(run, target)
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
