"""`benchmarks/loop.py` plays its script to its end with this package as it is; the figures are of no concern here."""

from pathlib import Path

import pytest

from benchmarks.gate import Gate
from benchmarks.harnesses import Harness, measure_rate
from benchmarks.instant_server import first_request, instant_server
from benchmarks.ours import Workroom
from benchmarks.script import TURNS
from workroom.trajectory.rundir import RunDirectory


@pytest.mark.image
def test_the_script_is_played_in_the_process_and_over_http(tmp_path: Path) -> None:
    with instant_server() as server:
        kinds: dict[str, Harness] = {"scripted": Workroom(), "http": Workroom(server)}
        for name, one in kinds.items():
            folder = tmp_path / name
            folder.mkdir()
            assert first_request(server) is None
            one.turns(3, TURNS, folder)
            assert (first_request(server) is not None) == (name == "http")
            ends = [RunDirectory.load(folder / str(number)).finished for number in range(3)]
            assert [end and (end.stop_reason, end.turns) for end in ends] == [("submitted", TURNS)] * 3
    assert measure_rate(Workroom(), 2, 2, tmp_path)["rate"] > 0


def test_episodes_are_held_at_their_last_command(tmp_path: Path) -> None:
    gate = Gate(4)
    Workroom().turns(4, TURNS, tmp_path, gate)
    assert gate.resident > 0
