"""Cutting, for any text and any bounds."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workroom.tools.truncate import Bounds, cut_middle, fits, readable

TEXT = st.text(alphabet="ab\n🎉é", max_size=400) | st.text(max_size=200)


def notice(lines: int, size: int) -> str:
    return f"[{lines} lines, {size} bytes]"


@settings(max_examples=60, deadline=None)
@given(TEXT, st.integers(60, 300), st.integers(3, 40))
def test_the_result_is_within_the_bounds_and_made_of_both_ends(text: str, size: int, lines: int) -> None:
    bounds = Bounds(size, lines)
    cut = cut_middle(text, bounds, notice)
    assert fits(cut.text, bounds)
    if fits(text, bounds):
        assert cut.text == text
        assert (cut.lines, cut.size) == (0, 0)
        return
    said = notice(cut.lines, cut.size)
    assert said in cut.text
    head, _, tail = cut.text.partition(said + "\n")
    assert text.endswith(tail)
    left_out = len(text.encode()) - len(tail.encode()) - cut.size
    # The line's end before the notice may be the text's or put there; where it could be either, both are meant.
    kept = [one for one in (head, head.removesuffix("\n")) if text.startswith(one)]
    assert left_out in [len(one.encode()) for one in kept]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(3, 100))
def test_first_and_last_line_are_kept(count: int, lines: int) -> None:
    text = "".join(f"{n}\n" for n in range(count))
    assume(count > lines)
    cut = cut_middle(text, Bounds(100_000, lines), notice).text
    assert cut.startswith("0\n")
    assert cut.endswith(f"\n{count - 1}\n")
    assert len(cut.splitlines()) <= lines


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_any_bytes_become_text_that_can_be_shown(data: bytes) -> None:
    text = readable(data)
    text.encode()
    assert not any(ord(character) < 32 and character not in "\t\n\r" for character in text)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"], include_characters="\t\n\r")))
def test_text_without_control_characters_stays_as_it_is(text: str) -> None:
    assert readable(text.encode()) == text
