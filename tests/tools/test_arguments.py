"""What a model may write as the arguments of a call: anything, and each gets one stable text (fault F18)."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workroom.errors import ToolError
from workroom.tools import BashTool
from workroom.tools.arguments import check, integer, parse, text

SPEC = BashTool().spec

BAD = {
    "cut": '{"command": "ls',
    "no-json": "ls -la",
    "list": '["ls"]',
    "string": '"ls"',
    "number": "7",
    "nan": '{"command": "ls", "timeout": NaN}',
    "infinity": '{"timeout": -Infinity}',
    "twice": '{"command": "a", "command": "b"}',
    "deep": '{"command": ' + "[" * 10_000 + "]" * 10_000 + "}",
    "deep-objects": '{"a":' * 100_000,
    "megabytes": '{"command": "' + "x" * 5_000_000,
    "digits": '{"timeout": ' + "9" * 10_000 + "}",
    "control": '{"command": "a\nb"}',
    "nul": '{"command": "a\0b"}',
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_object_is_refused_with_an_example(name: str) -> None:
    texts = set()
    for _ in range(2):
        with pytest.raises(ToolError) as caught:
            parse(BAD[name], SPEC)
        texts.add(str(caught.value))
    assert len(texts) == 1
    [said] = texts
    assert "Nothing was run" in said
    assert '{"command": "ls -la /testbed/documents"}' in said
    assert len(said) < 500


def test_no_arguments_at_all_are_an_empty_object() -> None:
    assert parse("", SPEC) == parse("  ", SPEC) == parse("null", SPEC) == parse("{}", SPEC) == {}


def test_five_megabytes_of_text_are_fine() -> None:
    assert len(parse(json.dumps({"command": "x" * 5_000_000}), SPEC)["command"]) == 5_000_000


@settings(max_examples=60, deadline=None)
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_gives_an_object_or_a_tool_error(raw: str) -> None:
    with contextlib.suppress(ToolError):
        assert isinstance(parse(raw, SPEC), dict)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(max_size=9), st.none() | st.floats(allow_nan=False) | st.lists(st.text()), max_size=5))
def test_any_object_comes_through(value: dict[str, object]) -> None:
    raw = json.dumps(value)
    if "Infinity" not in raw:
        assert parse(raw, SPEC) == value


def test_missing_and_unknown_parameters_are_named() -> None:
    with pytest.raises(ToolError, match=r"`command` is required and missing.*such as"):
        check({"command": None}, "execute_bash", known=("command",), required=("command",))
    with pytest.raises(ToolError, match="no parameter 'cmd'; its parameters are: command"):
        check({"cmd": "ls"}, "execute_bash", known=("command",))
    check({"other": None}, "execute_bash", known=("command",))


@pytest.mark.parametrize(("value", "expected"), [(3, 3), ("3", 3), (3.0, 3), ("-1", -1), (None, None)])
def test_integers_also_as_text(value: object, expected: int | None) -> None:
    assert integer({"n": value}, "n", "submit") == expected


@pytest.mark.parametrize("value", [True, 1.5, "x", "1e400", [], {}, float("inf"), "nan"])
def test_no_integers(value: object) -> None:
    with pytest.raises(ToolError, match="`n` must be an integer"):
        integer({"n": value}, "n", "submit")


@pytest.mark.parametrize("value", [True, [], {}, "\ud800"])
def test_no_texts(value: object) -> None:
    with pytest.raises(ToolError, match="`s`"):
        text({"s": value}, "s", "submit")
