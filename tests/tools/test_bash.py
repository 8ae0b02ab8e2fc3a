"""`execute_bash` against the behaviours of the conformance list; each test names its rows there."""

import asyncio
import re
import time
from typing import Any

import pytest

from tests.conftest import SMALL, RunInBox
from tests.tools.helpers import section, use
from workroom.sandbox import Limits, Sandbox
from workroom.sandbox.base import STATE_DIR
from workroom.tools import BashTool, Observation

EMPTY = "[exit code: 0]\n[no output]"


def run(run_in_box: RunInBox, *commands: str | dict[str, Any], limits: Limits = SMALL) -> list[Observation]:
    """Runs the commands one after the other in one sandbox."""

    async def work(box: Sandbox) -> list[Observation]:
        tool = BashTool(box.limits)
        calls = [{"command": command} if isinstance(command, str) else command for command in commands]
        return [await use(tool, box, **call) for call in calls]

    seen: list[Observation] = run_in_box(work, limits=limits)
    return seen


# id: command, exit code, stdout (None: none), stderr (None: none, else what it holds)
ONE: dict[str, tuple[str, int, str | None, str | None]] = {
    "row-71": ("echo hello", 0, "hello\n", None),
    "row-72-1": ("exit 1", 1, None, None),
    "row-72-42": ("exit 42", 42, None, None),
    "row-72-70": ("exit 70", 70, None, None),
    "row-72-and": ("false && true", 1, None, None),
    "row-72-or": ("false || true", 0, None, None),
    "row-73": ("nosuchcommand", 127, None, "command not found"),
    "row-74": ("echo oops >&2", 0, None, "oops"),
    "row-74-both": ("echo out; echo err >&2", 0, "out", "err"),
    "row-76-empty": ("", 0, None, None),
    "row-76-blanks": ("  \n ", 0, None, None),
    "row-76-comment": ("# nothing", 0, None, None),
    "row-77": ("printf '\\n\\n  a \\n\\n\\n'", 0, "\n\n  a \n\n\n", None),
    "row-78": ("printf x", 0, "x", None),
    "row-79": ("echo é中; echo ü >&2", 0, "é中", "ü"),
    "row-80": ("printf 'a\\xffb\\0c'", 0, "a\ufffdb\\x00c", None),
    "row-81": ("echo x > a.txt; find . -name a.txt -exec grep -l x {} \\;", 0, "./a.txt\n", None),
    "row-82": ("echo A!B", 0, "A!B\n", None),
    "row-83": ("echo {1..3} | tr ' ' - > f; echo $(<f)", 0, "1-2-3\n", None),
    "row-84": ('cat <<EOF\nit\'s "so"\nEOF', 0, 'it\'s "so"\n', None),
    "row-84-long": ("wc -l <<'EOF'\n" + "a 'line'\n" * 100 + "EOF", 0, "100\n", None),
    "row-85": ("echo a\n\n\necho b\necho c", 0, "a\nb\nc\n", None),
    "row-86": ("for i in 1 2\ndo\n  echo $i \\\n    x\ndone", 0, "1 x\n2 x\n", None),
    "row-87": ("(a", 2, None, "syntax error"),
    "row-88": (": '" + "x" * (1 << 20) + "'; echo ${#0}", 0, "4\n", None),
    "row-89": ("bash -c 'kill -TERM $$'", 143, None, "Terminated"),
    "row-90": ("touch plain; ./plain", 126, None, "Permission denied"),
    "row-91": (
        "git init -q g && cd g && git -c user.name=a -c user.email=b commit -q --allow-empty -m m && git log -p",
        0,
        "commit",
        None,
    ),
    "row-106": ("python3 -c 'input()'", 1, None, "EOFError"),
    "nothing-of-the-harness": ("echo $# $0", 0, "0 bash\n", None),
    "line-numbers": ("echo a\nnosuch", 127, "a", "line 2: nosuch"),
}


@pytest.mark.parametrize("name", ONE)
def test_one_command(run_in_box: RunInBox, name: str) -> None:
    command, code, stdout, stderr = ONE[name]
    [seen] = run(run_in_box, command)
    assert seen.text.startswith(f"[exit code: {code}]\n")
    assert seen.facts["exit_code"] == code
    assert not seen.facts["timed_out"]
    out, err = section(seen.text, "stdout"), section(seen.text, "stderr")
    if stdout is None or stderr is None:
        assert (out is None, err is None) == (stdout is None, stderr is None)
    if stdout is not None:
        assert out is not None
        assert out.startswith(stdout) if name == "row-91" else out == stdout
    if stderr is not None:
        assert err is not None
        assert stderr in err
    if stdout is None and stderr is None:
        assert seen.text.endswith("[no output]")


# id: commands, and the stdout of the last one
CARRIED: dict[str, tuple[list[str], str]] = {
    "row-93": (["mkdir d; cd d", "pwd"], "/testbed/d\n"),
    "row-93-back": (["cd /usr; cd /tmp", "cd -"], "/usr\n"),
    "row-94": (["export X='a b\n$c\"`'", 'echo "$X"'], 'a b\n$c"`\n'),
    "row-94-function": (["f() { echo f$1; }; export -f f", "f 5"], "f5\n"),
    "row-94-plain": (["Y=1", "echo [$Y]"], "[]\n"),
    "unset": (["unset HOME", "echo ${HOME-gone}"], "gone\n"),
    "export-removed": (["export X=1", "export -n X", "echo [$X]"], "[]\n"),
    "after-exit": (["cd /usr; export X=1; exit 3", "pwd; echo $X"], "/usr\n1\n"),
    "after-set-e": (["cd /usr; set -eu; false; cd /", "pwd; echo ok; false; echo on"], "/usr\nok\non\n"),
    "after-a-syntax-error": (["cd /usr", "cd /; (a", "pwd"], "/usr\n"),
    "after-own-trap": (["trap 'echo bye' EXIT; cd /usr; export X=1", "pwd; echo $X"], "/usr\n1\n"),
    "after-own-trap-exit": (["cd /usr", "trap 'echo bye' EXIT; exit 1", "pwd"], "/usr\n"),
    "after-noclobber": (["set -C; cd /usr", "set -C; cd /tmp", "pwd"], "/tmp\n"),
    "after-redirect": (["exec > log.txt 2>&1; echo lost; cd /usr", "pwd; cat /testbed/log.txt"], "/usr\nlost\n"),
    "after-ifs": (["IFS=/; cd /usr", "pwd"], "/usr\n"),
    "after-posix": (["set -o posix; cd /usr", "pwd"], "/usr\n"),
    "after-exec": (["cd /usr", "exec true", "pwd"], "/usr\n"),
    "after-a-kill": (["cd /usr", "cd /; kill -9 $$", "pwd"], "/usr\n"),
    "readonly": (["readonly R=1; export R", "echo $R", "echo $R"], "1\n"),
    "level": (["true", "true", "echo $SHLVL"], "1\n"),
    "row-96": (["echo text > f.txt", "cat f.txt"], "text\n"),
    "gone": (["mkdir d; cd d", "rmdir ../d", "true", "pwd"], "/testbed\n"),
    "testbed-gone": (["cd /; rm -rf /testbed", "cd /tmp; pwd"], "/tmp\n"),
}


@pytest.mark.parametrize("name", CARRIED)
def test_state_between_commands(run_in_box: RunInBox, name: str) -> None:
    commands, stdout = CARRIED[name]
    seen = run(run_in_box, *commands)
    assert section(seen[-1].text, "stdout") == stdout, [one.text for one in seen]
    assert section(seen[-1].text, "stderr") is None


def test_the_working_directory_is_gone_and_that_is_said_once(run_in_box: RunInBox) -> None:
    seen = run(run_in_box, "mkdir d; cd d; rmdir ../d", "pwd", "pwd")
    assert "the working directory /testbed/d is gone; this is /testbed" in seen[1].text
    assert seen[2].text == "[exit code: 0]\n[stdout]\n/testbed\n"


def test_tracing_shows_nothing_of_the_harness(run_in_box: RunInBox) -> None:
    [seen] = run(run_in_box, "set -x; echo hi; exit 0")
    assert "workroom" not in seen.text


def test_row_97_a_background_server_outlives_its_call(run_in_box: RunInBox) -> None:
    began = time.monotonic()
    seen = run(
        run_in_box,
        "echo served > page.txt; nohup python3 -m http.server 8123 > log.txt 2>&1 &",
        "for i in {1..100}; do curl -s localhost:8123/page.txt && break; sleep 0.05; done",
    )
    assert section(seen[1].text, "stdout") == "served\n"
    assert time.monotonic() - began < 20


def test_row_97_a_job_that_holds_the_output_open_does_not_hold_the_call(run_in_box: RunInBox) -> None:
    [seen] = run(run_in_box, "(sleep 10) & echo on")
    assert section(seen.text, "stdout") == "on\n"
    assert seen.facts["duration"] < 5


def test_row_100_nothing_of_the_hosts_environment(run_in_box: RunInBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", "secret")
    [seen] = run(run_in_box, "env; set")
    assert "CANARY" not in seen.text
    assert "PAGER=cat" in seen.text


def test_rows_101_to_105_a_timeout(run_in_box: RunInBox) -> None:
    began = time.monotonic()
    seen = run(
        run_in_box,
        "export X=1; cd /usr",
        {"command": "echo partial; export X=2; sleep 77 & sleep 78", "timeout": 0.5},
        "echo $X; pwd; ps ax | grep -c '[s]leep 7'",
    )
    assert time.monotonic() - began < 10
    late = seen[1]
    assert late.facts["timed_out"]
    assert late.text.startswith("[exit code: 124]\n[timed out after 0.5 s")
    assert "nohup" in late.text
    assert section(late.text, "stdout") == "partial\n"
    assert section(seen[2].text, "stdout") == "1\n/usr\n0\n"


def test_row_105_unflushed_output_of_python_is_kept(run_in_box: RunInBox) -> None:
    [seen] = run(run_in_box, {"command": "python3 -c 'print(42); import time; time.sleep(60)'", "timeout": 2})
    assert section(seen.text, "stdout") == "42\n"


def test_a_program_that_exits_124_is_no_timeout(run_in_box: RunInBox) -> None:
    [seen] = run(run_in_box, "echo all; exit 124")
    assert not seen.facts["timed_out"]
    assert seen.text == "[exit code: 124]\n[stdout]\nall\n"


def test_the_timeout_is_bounded_by_the_limit(run_in_box: RunInBox) -> None:
    limits = Limits(memory="1g", pids=256, disk="512m", command_timeout=0.5)
    seen = run(
        run_in_box, {"command": "sleep 60", "timeout": 50}, {"command": "echo a", "timeout": "50"}, limits=limits
    )
    assert "timed out after 0.5 s" in seen[0].text
    assert "lowered to 0.5 s" in seen[1].text


@pytest.mark.parametrize("timeout", [0, -1, "soon", True, [1], float("1e400")])
def test_a_wrong_timeout_is_refused(run_in_box: RunInBox, timeout: Any) -> None:
    async def work(box: Sandbox) -> Observation:
        return await use(BashTool(), box, command="touch made", timeout=timeout)

    async def arguments_as_given(box: Sandbox) -> str:
        seen = await work(box)
        assert seen.is_error
        assert (await box.exec("ls made")).exit_code != 0
        return seen.text

    text = run_in_box(arguments_as_given)
    assert "timeout" in text or "Infinity" in text


def test_rows_107_to_109_long_output_is_cut_and_kept_in_a_file(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> tuple[Observation, bytes]:
        seen = await use(BashTool(), box, command="seq 1 5000; exit 3")
        path = re.search(r"the whole text is in (\S+) …", seen.text)
        assert path is not None
        assert path[1].startswith(STATE_DIR)
        return seen, await box.read(path[1])

    seen, whole = run_in_box(work)
    assert whole == b"".join(b"%d\n" % n for n in range(1, 5001))
    assert seen.text.startswith("[exit code: 3]\n[stdout]\n1\n2\n")
    assert seen.text.endswith("4999\n5000\n")
    assert "lines" in seen.text
    assert seen.facts["truncated"]
    assert seen.facts["stdout_bytes"] == len(whole)


@pytest.mark.parametrize(
    "command", ["yes | head -50000", "head -c 120000 /dev/zero | tr '\\0' x", "python3 -c 'print(\"🎉\" * 200000)'"]
)
def test_row_108_the_bound_holds_in_bytes_and_lines(run_in_box: RunInBox, command: str) -> None:
    [seen] = run(run_in_box, command)
    assert len(seen.text.encode()) < 16_384 + 200
    assert len(seen.text.splitlines()) <= 400 + 5
    assert "\ufffd" not in seen.text


def test_output_beyond_what_the_sandbox_keeps(run_in_box: RunInBox) -> None:
    limits = Limits(memory="1g", pids=256, disk="512m", output="100k")
    [seen] = run(run_in_box, "seq 1 1000000", limits=limits)
    assert "more output than the sandbox keeps" in seen.text
    assert seen.text.endswith("1000000\n")


def test_memory_that_is_used_up_is_told(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> tuple[bool, Observation]:
        enforced = box.facts.enforcement.get("memory", "")
        command = "python3 -c 'x = bytearray(600 << 20)'"
        return "cgroup" in enforced, await use(BashTool(box.limits), box, command=command)

    exact, seen = run_in_box(work, limits=Limits(memory="200m", pids=64, disk="64m"))
    assert seen.facts["exit_code"] != 0
    if exact:
        assert seen.facts["limits_hit"] == ["memory"]
        assert "memory was used up" in seen.text


def test_a_nul_in_a_command_is_refused(run_in_box: RunInBox) -> None:
    [seen] = run(run_in_box, "echo a\0b")
    assert seen.is_error
    assert "NUL" in seen.text


def test_control_characters_are_made_visible(run_in_box: RunInBox) -> None:
    [seen] = run(run_in_box, "printf '\\033]52;c;x\\a\\tb\\r\\n'")
    assert section(seen.text, "stdout") == "\\x1b]52;c;x\\x07\tb\r\n"


def test_a_full_disk_loses_only_the_whole_text(run_in_box: RunInBox) -> None:
    limits = Limits(memory="1g", pids=64, disk="8m", command_timeout=60)
    fill = "cd /usr; cat /dev/zero > /testbed/full; df --output=source / /testbed | uniq | wc -l"
    seen = run(run_in_box, fill, "seq 1 90000", "pwd", limits=limits)
    if section(seen[0].text, "stdout") != "2\n":
        pytest.skip("here the working directory is a disk of its own")
    assert "could not be kept" in seen[1].text
    assert seen[1].text.endswith("90000\n")
    assert section(seen[2].text, "stdout") in ("/testbed\n", "/usr\n")


def test_two_sandboxes_with_one_tool_share_nothing(backend: str) -> None:
    async def both() -> str:
        tool = BashTool()
        async with Sandbox.open(backend, limits=SMALL) as one, Sandbox.open(backend, limits=SMALL) as other:
            await use(tool, one, command="export X=1; cd /usr")
            return (await use(tool, other, command="echo [$X]; pwd")).text

    assert asyncio.run(both()) == "[exit code: 0]\n[stdout]\n[]\n/testbed\n"
