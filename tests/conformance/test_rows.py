"""The behaviours that neighbouring projects assert of their tools, through the loop and on every backend.

Numbers are those of the list that the table was made from: A to E editor, F to H commands, I files.
"""

from pathlib import Path

import pytest

from tests.conformance import bash_rows, create_rows, edit_rows, files_rows, view_rows
from tests.conformance.playing import play_rows
from tests.conformance.table import LEFT_OUT, OPTIONAL, Row
from tests.conftest import RunInBox
from workroom.sandbox import Sandbox

SECTIONS: dict[str, list[Row]] = {
    "A-view": view_rows.VIEW,
    "B-create": create_rows.CREATE,
    "C-str_replace": edit_rows.REPLACE,
    "D-E-insert-and-others": edit_rows.INSERT + edit_rows.OTHER,
    "F-one-command": bash_rows.RESULT,
    "G-state": bash_rows.STATE,
    "H-bounds": bash_rows.BOUNDS,
}


@pytest.mark.parametrize("name", SECTIONS)
def test_rows(run_in_box: RunInBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CANARY", "of the host")
    wrong = run_in_box(lambda box: play_rows(box, SECTIONS[name], tmp_path / "run"))
    assert not wrong, "\n\n".join(wrong)


def test_every_row_is_played_or_left_out_for_a_reason() -> None:
    played = {number for rows in SECTIONS.values() for row in rows for number in row.numbers} | files_rows.NUMBERS
    assert LEFT_OUT.keys() <= OPTIONAL
    assert not LEFT_OUT.keys() & played
    assert LEFT_OUT.keys() | played == set(range(1, 129))


def test_files(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> None:
        for number, paths, data in files_rows.ROUND_TRIPS:
            await box.write(paths[0], data)
            assert await box.read(paths[-1]) == data, f"row {number}"
        for number, use, error, named in files_rows.REFUSED:
            with pytest.raises(error) as caught:
                await use(box, tmp_path)
            assert named in str(caught.value), f"row {number}"
        for _, use in files_rows.OTHERS:
            await use(box, tmp_path)

    run_in_box(work)
