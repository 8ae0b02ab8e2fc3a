"""Which turns of an episode used which capability, and why."""

import json
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.helpers import Step, bash, editor, episode
from workroom.analysis.calls import EXCERPT, CallReader
from workroom.analysis.capabilities import together, usage
from workroom.analysis.rules import CAPABILITIES, load_rules
from workroom.trajectory.events import EpisodeResumed, ToolFinished

SEARCH = "for n in range(1, 1000):\n    if n * n % 7 == 2:\n        print(n)\n"


def used(*turns: list[Step], documents: tuple[str, ...] = ()) -> list[set[str]]:
    """The capabilities of each turn."""
    found = usage(episode(*turns, documents=documents))
    return [{one.capability for one in found.evidence if one.turn == turn} for turn in range(1, len(turns) + 1)]


def test_rates_are_of_turns_and_shares_of_episodes() -> None:
    first = usage(episode([bash("ls documents")], [bash("cat documents/a")], [bash("echo 1 > answer.txt")], []))
    assert first.turns == 4
    assert first.matched == {"external": 0, "files": 2, "computation": 0}
    assert first.rate("files") == 0.5
    assert [first.share(name) for name in CAPABILITIES] == [0, 1, 0]
    whole = together([first, usage(episode([bash("pip install x; cat documents/a")]))])
    assert (whole.turns, whole.episodes, whole.rate("files"), whole.share("external")) == (5, 2, 3 / 5, 1 / 2)
    assert together([]).rate("files") is None
    assert together([]).share("files") is None


def test_a_turn_counts_once_however_often_it_does_something() -> None:
    found = usage(episode([bash("cat documents/a"), bash("cat documents/b; grep x documents/c")]))
    assert found.matched["files"] == 1
    assert [(one.turn, one.call_id, one.rule) for one in found.evidence] == [(1, "c0", "reading"), (1, "c1", "reading")]


def test_the_evidence_is_the_command_or_the_line() -> None:
    command = "cd /testbed && python3 - <<'EOF'\nimport numpy as np\n\nprint(np.linalg.det(m))\nEOF"
    (one,) = usage(episode([bash(command)])).evidence
    assert one == (1, "c0", "computation", "numerical", "print(np.linalg.det(m))")
    (one,) = usage(episode([bash("pip install " + "x" * 1000)])).evidence
    assert len(one.excerpt) == EXCERPT


@pytest.mark.parametrize(
    "write",
    [
        editor("create", "/testbed/solve.py", file_text=SEARCH),
        bash(f"cat > solve.py <<'EOF'\n{SEARCH}EOF"),
        bash(f"cat <<'EOF' > /testbed/solve.py\n{SEARCH}EOF"),
        bash(f"tee solve.py <<'EOF'\n{SEARCH}EOF"),
        bash("printf 'x = 5\\nprint(x ** 3 + 4 * x)\\n' > solve.py"),
    ],
)
def test_a_script_counts_where_it_is_run(write: Step) -> None:
    assert used([write], [bash("python3 solve.py | tail -1")]) == [set(), {"computation"}]
    assert used([write], [bash("cd /testbed; timeout 60 python3 -u ./solve.py")]) == [set(), {"computation"}]


def test_a_script_is_followed_through_edits_and_copies() -> None:
    harmless = editor("create", "/testbed/a.py", file_text="print('x')\n")
    assert used([harmless], [bash("python3 a.py")]) == [set(), set()]
    edit = editor("str_replace", "/testbed/a.py", old_str="print('x')", new_str="import math\nprint(math.sqrt(2))")
    assert used([harmless], [edit], [bash("cp a.py b.py")], [bash("python3 b.py")])[3] == {"computation"}
    insert = editor("insert", "/testbed/a.py", insert_line="1", new_str="print(3 * 4)")
    assert used([harmless], [insert], [bash("python3 a.py")])[2] == {"computation"}
    shell = bash("echo 'pip install x' > get.sh; chmod +x get.sh")
    assert used([shell], [bash("bash get.sh")], [bash("./get.sh")]) == [set(), {"external"}, {"external"}]


def test_a_program_that_was_never_seen_is_taken_for_a_computation() -> None:
    assert used([bash("python3 solve.py")], [bash("gcc a.c -o a")], [bash("./a 5")]) == [
        {"computation"},
        set(),
        {"computation"},
    ]
    assert used([bash("python3 scan.py documents/a.txt")]) == [{"computation", "files"}]
    assert used([bash("python3 --version; /usr/bin/env; source venv/bin/activate")]) == [set()]
    assert used([bash("venv/bin/pip install x")], [bash("/root/.local/bin/x --help")]) == [{"external"}, set()]


def test_scripts_that_run_each_other_come_to_an_end() -> None:
    write = bash("echo 'bash b.sh; ls documents' > a.sh; echo 'bash a.sh; bash b.sh' > b.sh")
    assert used([write], [bash("bash a.sh")]) == [set(), {"files"}]


def test_input_is_no_answer_no_source_no_log_and_nothing_of_the_system() -> None:
    own = [
        "cat answer.txt",
        "cat solve.py",
        "ls -la /usr/bin",
        "cat /proc/cpuinfo",
        "python3 x.py > run.log; tail run.log",
    ]
    assert all("files" not in turn for turn in used(*([bash(command)] for command in own)))
    assert used([bash("cat documents/code.py")], documents=("code.py",)) == [{"files"}]
    assert used([editor("view", "/testbed/documents/a.txt")], [editor("view", "/testbed/solve.py")]) == [
        {"files"},
        set(),
    ]


@pytest.mark.parametrize(
    "command",
    [
        "ls | head -5",
        "pip list | grep numpy | sed -n 1p",
        "python3 x.py | awk '{print $1}' | sort | uniq",
        "echo x | cat",
        "tail -n 5",
        "sed -e s/a/b/",
    ],
)
def test_a_filter_in_a_pipe_reads_no_file(command: str) -> None:
    hits = CallReader().read("execute_bash", json.dumps({"command": command.partition("ls | ")[2] or command}))
    assert [hit for hit in hits if hit.capability == "files"] == []


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("python3 -m pip install -q x", "packages"),
        ("sudo DEBIAN_FRONTEND=noninteractive apt-get -y install x", "packages"),
        ("git -c a=b clone https://example.org/x", "sources"),
        ("curl -sL https://example.org/x -o /tmp/x", "network"),
        ("python3 -c \"import pandas as pd; pd.read_csv('https://example.org/x.csv')\"", "network"),
        ("python3 -c \"from transformers import AutoModel; AutoModel.from_pretrained('x')\"", "sources"),
        ("python3 -c \"import os; os.system('wget -q https://example.org')\"", "network"),
        ("python3 - <<'E'\nimport urllib.request\nurllib.request.urlopen(u\nE", "network"),
    ],
)
def test_external(command: str, rule: str) -> None:
    hits = CallReader().read("execute_bash", json.dumps({"command": command}))
    assert [(hit.capability, hit.rule) for hit in hits] == [("external", rule)]


@pytest.mark.parametrize(
    "command",
    [
        "curl http://localhost:8000/x",
        "curl --version",
        "git clone /testbed/documents/repo.git",
        "pip install --no-index ./x",
        "python3 -c \"import requests; requests.get('http://127.0.0.1:5000/x')\"",
        "command -v wget",
        "echo 'pip install x' # apt-get install y",
    ],
)
def test_not_external(command: str) -> None:
    hits = CallReader().read("execute_bash", json.dumps({"command": command}))
    assert [hit for hit in hits if hit.capability == "external"] == []


def test_lines_for_a_job_are_read_as_what_it_reads() -> None:
    events = episode(
        [("execute_bash", {"command": "python3", "wait": 1})],
        [("execute_bash", {"command": "print(17 * 23)", "job": 1})],
        [("execute_bash", {"command": "cat documents/a", "job": "2"})],
    )
    answer = next(event for event in events if isinstance(event, ToolFinished))
    answer.facts = {"job": 1}
    assert [(one.turn, one.capability) for one in usage(events).evidence] == [(2, "computation")]


def test_what_a_resumed_run_has_put_aside_does_not_count() -> None:
    events = episode([bash("ls documents")], [bash("pip install x")])
    end = events.pop()
    resumed = EpisodeResumed(turn=1, after=2, seq=len(events))
    found = usage([*events, resumed, end])
    assert (found.turns, found.matched["files"], found.matched["external"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "arguments", ["", "{", "[]", "null", '{"command": 5}', '{"command": null}', "[" * 100_000, "{}"]
)
@pytest.mark.parametrize("name", ["execute_bash", "str_replace_editor", "submit", "python"])
def test_arguments_that_are_none_have_no_hits(name: str, arguments: str) -> None:
    assert CallReader().read(name, arguments) == []


def test_numbers_of_any_size_are_no_error() -> None:
    huge = "9" * 5000
    assert used([("execute_bash", {"command": "ls documents", "job": huge})]) == [{"files"}]
    edit = editor("insert", "a.py", insert_line=huge, new_str="print(2 * 3)")
    assert used([editor("create", "a.py", file_text="")], [edit], [bash("python3 a.py")])[2] == {"computation"}


_PIECES = [
    "$(",
    ")",
    "`",
    "'",
    '"',
    "<<A",
    "\nA\n",
    "|",
    "python3 -c ",
    "((",
    "case x in",
    "${",
    "\\",
    "\0",
    "\ud800",
    "cat ",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=8)), max_size=40).map("".join))
def test_any_text_is_read(text: str) -> None:
    for name, key in (("execute_bash", "command"), ("python", "code")):
        for hit in CallReader().read(name, json.dumps({key: text})):
            assert hit.capability in CAPABILITIES
            assert len(hit.excerpt) <= EXCERPT


@pytest.mark.parametrize(
    "piece", ["$(", "((", "`", "'", "<<A\n", "a|", ";", "${", "\\", "python3 -c 'x';", "sudo ", "tee |"]
)
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    CallReader().read("execute_bash", json.dumps({"command": piece * ((1 << 20) // len(piece))}))


def test_every_rule_says_what_it_is_and_none_is_given_twice() -> None:
    rules = load_rules().rules
    assert len({(rule["capability"], rule["name"]) for rule in rules}) == len(rules)
    assert all(rule["what"] and rule["capability"] in CAPABILITIES for rule in rules)
    for rule in rules:
        entries = [*rule.get("commands", ()), *rule.get("calls", ())]
        assert len(set(entries)) == len(entries), rule["name"]
    assert files("workroom.analysis").joinpath("rules.toml").is_file()
