"""What counts as the same: the rules, and what they must not hide."""

import pytest

from workroom.replay.compare import difference, normal
from workroom.trajectory import EpisodeFinished, ToolFinished
from workroom.trajectory.events import Picture

WHEN = 1_764_201_600.0  # 27 November 2025, 00:00 UTC


def tool(text: str, *pictures: str, time: float = WHEN) -> ToolFinished:
    images = [Picture(media_type="image/png", data=data) for data in pictures]
    return ToolFinished(turn=1, call_id="c", name="execute_bash", observation=text, images=images, time=time)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("Thu Nov 27 00:09:31 UTC 2025", "Thu Nov 27 12:34:56 UTC 2025"),
        ("2025-11-26T23:59:59.123+00:00 x", "2025-11-27T00:00:01.000+00:00 x"),
        ("-rw-r--r-- 1 root root 4 Nov 27 00:01 a", "-rw-r--r-- 1 root root 4 Nov 26 23:09 a"),
        ("at 1764201601.5", "at 1764201999"),
        ("now 12:00:01", "now 23:59:59.999"),
        ("took 0.31 s and 12ms", "took 1.5 s and 7ms"),
        ("real\t0m0.003s", "real\t0m1.201s"),
        ("12.5 MB/s", "3 MB/s"),
        ("[1] 1234", "[1] 99"),
        ("PID: 12", "PID: 345"),
        ("/tmp/tmp.RPfdNZdhpB/x", "/tmp/tmp.aaaaaaaaaa/x"),
        ("/tmp/tmpab_12cd8", "/tmp/tmp00000000"),
        ("<function f at 0x7f632282a020>", "<function f at 0x7f0000000000>"),
        ("ok\n[99 turns left]", "ok\n[1 turn, 1,234 tokens, 0.5 USD, 12 seconds left]"),
    ],
)
def test_what_differs_by_nature_is_the_same(was: str, now: str) -> None:
    assert difference(tool(was), tool(now)) == ""
    if "turns left" not in was:
        assert difference(tool(was), tool(now), exact=True)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("born 1990-05-15", "born 1990-05-16"),
        ("Nov 3 1999", "Nov 4 1999"),
        ("1234567890", "1234567891"),
        ("5 files", "6 files"),
        ("12 items", "13 items"),
        ("[1, 2]", "[1, 3]"),
        ("/tmp/data.csv", "/tmp/date.csv"),
        ("0xff", "0xfe"),
        ("5 seconds", "5 hours"),
        ("[99 turns left] x", "[98 turns left] x"),
        ("a ", "a"),
        ("a\n", "a"),
        ("", "x"),
    ],
)
def test_what_is_data_is_compared(was: str, now: str) -> None:
    assert difference(tool(was), tool(now))


def test_each_side_is_judged_by_its_own_day() -> None:
    later = WHEN + 400 * 86_400
    assert difference(tool("2025-11-27 10:00"), tool("2027-01-01 11:00", time=later)) == ""
    assert normal("2025-11-27", later) == "2025-11-27"


def test_a_time_out_of_reach_breaks_nothing() -> None:
    assert normal("2025-11-27", 1e300) == "2025-11-27"
    assert normal("x", 0.0) == "x"


def test_the_difference_is_a_unified_diff_of_what_really_differs() -> None:
    diff = difference(tool("a\nb 12 ms\nc"), tool("a\nb 13 ms\nd"))
    assert diff.split("\n") == [
        "--- recorded", "+++ replayed", "@@ -1,3 +1,3 @@", " a", " b <duration>", "-c", "+d",
    ]  # fmt: skip


def test_pictures_are_compared_by_their_bytes() -> None:
    assert difference(tool("x", "AAAA"), tool("x", "AAAA")) == ""
    assert "image/png" in difference(tool("x", "AAAA"), tool("x", "AAAB"))
    assert difference(tool("x", "AAAA"), tool("x"))


def test_answers_are_compared_too() -> None:
    was = EpisodeFinished(stop_reason="submitted", answer="42")
    assert difference(was, EpisodeFinished(stop_reason="model_error", answer="42")) == ""
    assert "-42\n+43" in difference(was, EpisodeFinished(stop_reason="submitted", answer="43"))
