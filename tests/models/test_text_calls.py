"""Calls that a model wrote into its text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.support import TOOLS
from workroom.models.text_calls import find_bash, find_certain_json, find_json, last_word, without

LS = '{"name": "execute_bash", "arguments": {"command": "ls"}}'
LS_CALL = ("execute_bash", {"command": "ls"})
SUBMIT_CALL: tuple[str, Any] = ("submit", {})


def calls(text: str) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in find_json(text, TOOLS)]


def scripts(text: str, *, cut: bool = False) -> list[Any]:
    found = [(call.name, json.loads(call.arguments)) for call in find_bash(text, cut=cut)]
    return [arguments["command"] if name == "execute_bash" else name for name, arguments in found]


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{LS}\n```",
        f"I look.\n\n```json\n{LS}\n```\n",
        f"I look:\n```\n{LS}\n```",
        f"```json {LS}```",
        f"```tool_call\n{LS}\n```",
        f"~~~json\n{LS}\n~~~",
        f"````json\n{LS}\n````",
        f"```json\n{LS}",
        f"<tool_call>\n{LS}\n</tool_call>",
        f"<tool_call>{LS}",
        f"<|python_tag|>{LS}",
        LS,
        f"I look.\n{LS}\n",
        f"I look.\n  {LS}",
        json.dumps(json.loads(LS), indent=2),
        f"[{LS}]",
        f"```json\n{{'a': 1}}\n```\n```json\n{LS}\n```",
        f"An example: ```python\nprint({{}})\n```\n```json\n{LS}\n```",
        '```json\n{"name": "execute_bash", "parameters": {"command": "ls"}}\n```',
        '```json\n{"tool": "execute_bash", "args": {"command": "ls"}}\n```',
        '```json\n{"function": {"name": "execute_bash", "arguments": "{\\"command\\": \\"ls\\"}"}}\n```',
        '```json\n{"tool_calls": [{"function": {"name": "execute_bash", "arguments": {"command": "ls"}}}]}\n```',
        '```json\n{"execute_bash": {"command": "ls"}}\n```',
        '```json\n{"name": "execute_bash", "command": "ls"}\n```',
        f"<think>I could {LS}\n```json\n{LS}\n```</think>\n```json\n{LS}\n```",
        f"```json\n{LS}\n```\nObservation:\na.txt\n\n```json\n{LS}\n```",
        f"```json\n{LS}\n```\n**Observation 1**: a.txt\n\n```json\n{LS}\n```",
    ],
)
def test_one_call(text: str) -> None:
    assert calls(text) == [LS_CALL]


@pytest.mark.parametrize(
    "text",
    [
        f'```json\n{LS}\n```\nthen\n```json\n{{"name": "submit", "arguments": {{}}}}\n```',
        f'```json\n{LS}\n{{"name": "submit"}}\n```',
        f'```json\n[{LS}, {{"name": "submit", "arguments": null}}]\n```',
        f'<tool_call>\n{LS}\n</tool_call>\n<tool_call>\n{{"name": "submit"}}\n</tool_call>',
    ],
)
def test_several_calls_in_order(text: str) -> None:
    assert calls(text) == [LS_CALL, SUBMIT_CALL]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is 42.",
        '```json\n{"a": 1}\n```',
        '```json\n{"name": "Ada", "age": 36}\n```',
        '```json\n{"name": "a tool", "parameters": {"type": "object"}}\n```',
        "```json\n[1, 2]\n```",
        f'```json\n[{LS}, {{"a": 1}}]\n```',
        "```json\n{'name': 1}\n```",
        "```python\nprint(1)\n```",
        f"<think>```json\n{LS}\n```",
        f"{LS} is what I would write",
        '{"a": ' * 50,
        "[" * 100_000,
        "```json\n" + "[" * 100_000,
    ],
)
def test_no_call(text: str) -> None:
    assert calls(text) == []


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "execute_bash", "arguments": {"command": "echo "hi""}}',
        '{"name": "execute_bash", "arguments": {"command": "ls"}',
        '{"name": "execute_bash", "arguments": {"command": "ls',
        '{"name": "execute_bash", "arguments": {\'command\': \'ls\'}}',
    ],
)
def test_a_malformed_call_keeps_its_raw_text(body: str) -> None:
    for text in (f"I look.\n```json\n{body}\n```\n", f"<tool_call>{body}</tool_call>", f"```json\n{body}"):
        (found,) = find_json(text, TOOLS)
        assert (found.name, found.arguments) == ("execute_bash", body)
        assert find_certain_json(text, TOOLS) == []


def test_line_breaks_inside_a_text_are_taken_as_meant() -> None:
    text = '```json\n{"name": "execute_bash", "arguments": {"command": "cat <<E\na\tb\nE"}}\n```'
    assert calls(text) == [("execute_bash", {"command": "cat <<E\na\tb\nE"})]


def test_unknown_tools_are_calls_in_the_protocol_but_not_certain_ones() -> None:
    text = '```json\n{"name": "web_search", "arguments": {"q": "x"}}\n```'
    assert calls(text) == [("web_search", {"q": "x"})]
    assert find_certain_json(text, TOOLS) == []


@pytest.mark.parametrize(
    ("arguments", "certain"),
    [
        ({"command": "ls"}, True),
        ({"command": "ls", "timeout": 5}, True),
        ({"cmd": "ls"}, False),
        ({"command": "ls", "more": 1}, False),
        ({}, False),
        ([], False),
    ],
)
def test_certain_calls_fit_the_schema(arguments: Any, certain: bool) -> None:
    text = f"```json\n{json.dumps({'name': 'execute_bash', 'arguments': arguments})}\n```"
    assert bool(find_certain_json(text, TOOLS)) is certain


def test_text_around_the_calls() -> None:
    text = f"First.\n```json\n{LS}\n```\nObservation:\n3 files\n"
    found = find_json(text, TOOLS)
    assert last_word(text, found) == f"First.\n```json\n{LS}\n```"
    assert without(last_word(text, found), found) == "First."
    assert last_word("An Observation: none", []) == "An Observation: none"


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
objects = st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists, max_leaves=4), max_size=4)


@given(names, objects, st.sampled_from(["```json\n%s\n```", "<tool_call>%s</tool_call>", "words\n```\n%s\n```\n"]))
def test_every_call_is_read_back(name: str, arguments: dict[str, Any], frame: str) -> None:
    text = frame % json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    assert calls(text) == [(name, arguments)]


fragments = st.lists(
    st.sampled_from(
        ["```", "json", "bash", "\n", LS, LS[:30], LS[20:], "<tool_call>", "</tool_call>", "{", "}", "[", "submit",
         "~~~", "Observation:", "<think>", "</think>", " ", "ls", '"name"', '"arguments"', "\ud800"]
    ),
    max_size=25,
)  # fmt: skip


@given(fragments)
def test_nothing_breaks_the_parsers(parts: list[str]) -> None:
    text = "".join(parts)
    for found in (find_json(text, TOOLS), find_certain_json(text, TOOLS), find_bash(text), find_bash(text, cut=True)):
        for call in found:
            assert 0 <= call.start < call.end <= len(text)
            call.arguments.encode()
        starts = [call.start for call in found]
        assert starts == sorted(starts)
        assert len(without(text, found)) <= len(text)
        assert text.startswith(last_word(text, found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```bash\nls -la\n```", ["ls -la"]),
        ("I look.\n\n```sh\nls\nwc -l a\n```\nDone.", ["ls\nwc -l a"]),
        ("```BASH\nls\n```", ["ls"]),
        ("```bash\nls", ["ls"]),
        ("```bash\nls\n```\n```bash\npwd\n```", ["ls", "pwd"]),
        ("```bash\nls\n```\nObservation:\na\n```bash\npwd\n```", ["ls"]),
        ("```bash\nsubmit\n```", ["submit"]),
        ("```\nsubmit\n```", ["submit"]),
        ("submit", ["submit"]),
        ("`submit`\n", ["submit"]),
        ("```bash\necho 3 > answer.txt\nsubmit\n```", ["echo 3 > answer.txt", "submit"]),
        ("```bash\ngit submit\n```", ["git submit"]),
        ("```python\nprint(1)\n```", []),
        ("```\nsome output\n```", []),
        ("```bash\n\n```", []),
        ("no block", []),
        ("<think>\n```bash\nrm x\n```\n</think>\n```bash\nls\n```", ["ls"]),
        ("````bash\ncat <<'E' > a.md\n```\ncode\n```\nE\n````", ["cat <<'E' > a.md\n```\ncode\n```\nE"]),
        ("```bash\ncat <<E\nObservation: none\nE\n```", ["cat <<E\nObservation: none\nE"]),
        ("  ```bash\n  ls\n  ```", ["  ls"]),
    ],
)
def test_bash(text: str, expected: list[str]) -> None:
    assert scripts(text) == expected


def test_half_a_script_is_not_run() -> None:
    assert scripts("```bash\nls\n```\n```bash\nrm -rf", cut=True) == ["ls"]
