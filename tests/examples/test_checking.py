"""What a model left is hostile to a checker too: it is said to be wrong, in one harmless line, whatever it is."""

import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def lines(example: str, run: Path) -> list[str]:
    """What the checker of an example says of a run that is wrong."""
    command = [sys.executable, str(EXAMPLES / example / "check.py"), str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout.split("\n")[:-1]


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def picture(width: int, height: int, rows: bytes, kind: bytes = b"\x08\x00\x00\x00\x00") -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + kind
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "{" * 3,
        '{"deaths_new": 1e999}',
        '{"deaths_new": [1]}',
        '{"deaths_new": ' + "9" * 5000 + "}",
        "\0",
        "null",
    ],
)
def test_results_that_are_no_results(run: Path, content: str) -> None:
    (run / "files/results.json").write_text(content)
    assert all(line.startswith("NO  ") for line in lines("biomedicine", run))


@pytest.mark.parametrize(
    "content", ["n,energy\n0,\0", "n,energy\n0," + "1" * 200_000, "n,energy\n0,nan\n" * 6, "n,energy\n0"]
)
def test_tables_that_are_no_tables(run: Path, content: str) -> None:
    (run / "files/levels.csv").write_text(content)
    assert lines("physics", run)[0].startswith("NO  Six energies")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (picture(1000, 700, bytes(700 * 1001)), "only 1 of the 700 rows"),
        (picture(1000, 700, b"short"), "cut off"),
        (picture(1000, 700, b"".join(row.to_bytes(2, "big") for row in range(700))), "cut off"),
        (picture(1000, 700, bytes(700 * 1001))[:-12], "cut off"),
        (picture(1000, 700, bytes(700 * 1001), b"\x07\x00\x00\x00\x00"), "7 bits"),
        (picture(1000, 700, b"")[:-12] + chunk(b"IDAT", b"x") * 100_000, "more than 20,000 parts"),
        (picture(1000, 700, bytes(258 << 20)), "cut off"),  # a small file that would fill the memory
        (picture(60_000, 700, b""), "60000 x 700"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"no zlib"), "0 x 0"),
        (b"GIF89a", "no PNG"),
        (picture(1000, 700, bytes(10))[:-20] + bytes(20), "damaged"),
    ],
    ids="empty short narrow endless seven-bits many-parts bomb wide headless gif damaged".split(),
)
def test_pictures_that_are_no_pictures(run: Path, content: bytes, why: str) -> None:
    (run / "files/tunnelling.png").write_bytes(content)
    assert why in lines("physics", run)[-1]


def test_an_interlaced_picture_is_read(run: Path) -> None:
    rows = 88 * 126 + 88 * 126 + 87 * 251 + 175 * 251 + 175 * 501 + 350 * 501 + 350 * 1001
    (run / "files/tunnelling.png").write_bytes(picture(1000, 700, bytes(rows), b"\x08\x00\x00\x00\x01"))
    assert "rows of tunnelling.png differ" in lines("physics", run)[-1]


def test_a_text_in_parts_is_one_text(run: Path) -> None:
    given = json.loads((EXAMPLES / "poster/documents/texts.json").read_text())
    weekday, comma, day = given.pop("date").partition(",")
    parts = [f"<tspan>{weekday}</tspan>{comma}{day}", *given.pop("programme"), *given.values()]
    texts = "".join(f'<text font-size="9">{part}</text>' for part in parts)
    (run / "files/poster.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{texts}</svg>')
    assert lines("poster", run)[1].startswith("ok")


@pytest.mark.parametrize("many", ["<text>a</text>", "<g/>"])
def test_a_poster_of_too_many_parts_is_not_measured(run: Path, many: str) -> None:
    (run / "files/poster.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{many * 30_000}</svg>')
    assert "30,00" in lines("poster", run)[0]


def test_what_a_terminal_would_obey_and_what_is_endless_is_not_shown(run: Path) -> None:
    (run / "answer.txt").write_text(
        "pounds: \x1b]0;mine\x07\x1b[2J" + "x" * 100_000 + "\nlandings: 1\u2028ok  all\nmost: a\n"
    )
    said = lines("long-context", run)
    assert len(said) == 4
    assert all(line.isprintable() and len(line) < 500 for line in said)
    assert "mine" in said[1]


def test_a_link_is_not_followed(run: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "physics/task.md", run / "there.txt")
    (run / "answer.txt").symlink_to(run / "there.txt")
    assert "there is no answer.txt" in lines("physics", run)[1]


@pytest.mark.parametrize("line", ["1 2", "1 x 0", "0 0", "99 0", "1 -1 0 0"])
def test_a_line_of_a_proof_that_is_none(run: Path, line: str) -> None:
    (run / "answer.txt").write_text("46")
    (run / "files/proof.drup").write_text(f"d 1 2 0\n{line}\n0\n")
    assert lines("mathematics", run)[-1].startswith("NO  A proof")


def test_a_refutation_is_followed_step_by_step(run: Path) -> None:
    """With n = 9 one may colour 1 to 9: nothing that ends with the empty clause is a proof."""
    (run / "answer.txt").write_text("9")
    (run / "files/proof.drup").write_text("1 -1 0\n0\n")
    assert "line 2 does not follow" in lines("mathematics", run)[-1]
