"""`execute_bash` with `wait` and `job`: commands that outlive their call, and what is told of what still runs."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import SMALL, RunInBox
from tests.tools.helpers import section, use
from workroom.sandbox import Limits, Sandbox
from workroom.tools import BashTool, Observation

UNTIL_DONE = "until [ -e done ]; do sleep 0.05; done; sleep 0.3"
Call = Callable[..., Awaitable[Observation]]


def with_calls(run_in_box: RunInBox, work: Callable[[Sandbox, Call], Awaitable[None]], limits: Limits = SMALL) -> None:
    """`await call(command, wait=...)` in `work`; each call is of a new tool, so that nothing can be kept in one."""

    async def inside(box: Sandbox) -> None:
        async def call(command: str = "", **arguments: Any) -> Observation:
            return await use(BashTool(box.limits), box, command=command, **arguments)

        await work(box, call)

    run_in_box(inside, limits=limits)


def test_within_its_wait_a_command_is_as_any_other(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        seen = await call("cd /usr; export X=1; echo out; echo err >&2; exit 3", wait=20)
        assert seen.text == "[exit code: 3]\n[stdout]\nout\n[stderr]\nerr\n"
        assert seen.is_error
        assert "job" not in seen.facts
        assert "running" not in seen.facts
        assert (await call("pwd; echo $X")).text == "[exit code: 0]\n[stdout]\n/usr\n1\n"
        assert (await call("nosuchcommand", wait=20)).facts["exit_code"] == 127
        assert (await call("kill -9 $$", wait=20)).facts["exit_code"] == 137
        long = await call("seq 1 5000", wait=20)
        path = re.search(r"the whole text is in (\S+) …", long.text)
        assert path is not None
        assert (await box.read(path[1])).endswith(b"4999\n5000\n")
        assert (await box.exec("ls /var/lib/workroom/jobs")).stdout == ""

    with_calls(run_in_box, work)


def test_a_job_is_looked_at_until_it_ends(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        await call("export X=before")
        late = "cd /tmp; export X=job; echo one; echo oops >&2; read line; echo two; exit 7"
        seen = await call(late, wait=20)
        assert seen.text.startswith("[job 1 runs on after ")
        assert "job 1 and a line of input" in seen.text
        assert not seen.is_error
        assert section(seen.text, "stdout") == "one"
        assert section(seen.text, "stderr") == "oops\n"
        assert seen.facts["job"] == 1
        assert seen.facts["exit_code"] is None
        assert seen.facts["running"] == [f"job 1 ({late[:60]}…, waits for input)"]
        assert (await call("pwd; echo $X; cd /usr")).text.endswith("[stdout]\n/testbed\nbefore\n")
        look = await call(job=1, wait=0)
        assert "[no new output]" in look.text
        end = await call("go", job=1)
        assert end.text == "[exit code: 7]\n[job 1 has ended]\n[stdout]\ntwo\n"
        assert end.facts["exit_code"] == 7
        assert (await call("pwd; echo $X")).text == "[exit code: 0]\n[stdout]\n/usr\nbefore\n"
        assert (await call(job=1)).text == "[exit code: 7]\n[job 1 has ended]\n[no new output]"

    with_calls(run_in_box, work)


THREAD = "import sys, threading as t; x = t.Thread(target=lambda: print(input())); x.start(); x.join()"
# id: command, then what is typed and what of stdout and stderr is to be seen then
DIALOGS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "input": ("python3 -c \"print('hi', input('name? '))\"", [("Ann", "hi Ann\n")]),
    "read": ("read x; echo got $x", [("a  'b'", "got a 'b'\n")]),
    "repl": ("python3 -i", [("print(6*7)", "42\n"), ("C-c", "KeyboardInterrupt"), ("print(2", ""), (")", "2\n")]),
    "lines": ("cat -n", [("a\nb\n", "     2\tb\n"), ("\n", "     3\t\n"), ("C-d", "[exit code: 0]")]),
    "thread": (f"python3 -c '{THREAD}'", [("deep", "deep\n")]),
    "child": ("bash -c 'sh -c \"cat; echo on\"'", [("x", "x\n"), ("C-d", "on\n")]),
}


def test_a_program_that_waits_for_input_is_told_and_fed(run_in_box: RunInBox) -> None:
    async def dialog(name: str, call: Call) -> None:
        command, typed = DIALOGS[name]
        seen = await call(command, wait=25)
        job = seen.facts["job"]
        for line, expected in typed:
            assert f"[job {job} waits for input]" in seen.text, name
            assert seen.facts["waiting_for_input"]
            seen = await call(line, job=job, wait=25)
            assert expected in seen.text, name

    async def work(box: Sandbox, call: Call) -> None:
        began = time.monotonic()
        await asyncio.gather(*(dialog(name, call) for name in DIALOGS))
        assert time.monotonic() - began < 20

    with_calls(run_in_box, work)


def test_a_terminal_program_seems_to_wait(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        seen = await call("script -qc 'python3 -q' /dev/null", wait=25)
        assert "[job 1 seems to wait for input]" in seen.text
        seen = await call("6*7", job=1, wait=25)
        assert "\n42\r\n" in seen.text
        assert (await call("exit(5)", job=1, wait=25)).text.startswith("[exit code: ")
        read = "import os, pty, time\nif pty.fork()[0]: time.sleep(60)\nelse: os.read(0, 1)"
        late = await call(f"python3 -c '{read}'", timeout=2)
        assert "waited for input" in late.text

    with_calls(run_in_box, work)


def test_without_wait_a_program_that_asks_is_told_why_it_fails(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        seen = await call("python3 -c 'input()'")
        assert seen.text.startswith("[exit code: 1]\n[there is no standard input here; give `wait`")
        compact = await use(BashTool(wording="compact"), box, command="python3 -c 'input()'")
        assert "printf 'TEXT\\n' | COMMAND" in compact.text

    with_calls(run_in_box, work)


def test_an_interrupt(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        await call("sleep 60; echo never", wait=0.3)
        end = await call("C-c", job=1, wait=20)
        assert end.facts["exit_code"] == 130
        assert "never" not in end.text
        await call("trap '' INT; read x; while true; do sleep 0.1; done", wait=20)
        await call("go", job=2, wait=0.2)
        seen = await call("C-c", job=2, wait=0.5)
        way = re.search(r"\[job 2 runs on after the interrupt; (kill -9 -\d+) ends it\]", seen.text)
        assert way is not None
        told = await call(f"{way[1]}; sleep 0.1")
        assert "[job 2 (trap '' INT;" in told.text
        assert "has ended with exit code 137" in told.text

    with_calls(run_in_box, work)


def test_what_still_runs_is_told_and_nothing_else_costs(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        async def requests(command: str) -> int:
            before = box._connection._next_id
            await call(command)
            return box._connection._next_id - before

        assert await requests("true") == 1
        assert await requests("echo on; sleep 0.01") == 1
        seen = await call("echo page > p.txt; python3 -m http.server 8123 > /dev/null 2>&1 &")
        assert re.search(r"\[still running: pid \d+ \(.*python3 -m http.server 8123.*\)\]", seen.text)
        fetch = "for i in {1..100}; do curl -s localhost:8123/p.txt && break; sleep 0.05; done"
        seen = await call(fetch)
        assert section(seen.text, "stdout") == "page\n"
        [server] = seen.facts["running"]
        assert re.fullmatch(r"pid \d+ \(python3 -m http.server 8123\)", server)
        seen = await call("(sleep 50; echo) &")
        assert "((sleep 50; echo) &)]" in seen.text
        await box.kill_all()
        assert await requests("true") == 1

    with_calls(run_in_box, work)


def test_a_job_that_ended_between_calls_is_told_once(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        await call("echo begun; read x; sleep 0.2; echo done; touch done; exit 4", wait=20)
        await call("go", job=1, wait=0)
        seen = await call(UNTIL_DONE)
        assert "[job 1 (echo begun; read x; sleep 0.2; echo done; touch done; exit 4) has ended" in seen.text
        assert "exit code 4;" in seen.text
        assert seen.facts["running"] == []
        assert "job 1" not in (await call("true")).text
        last = await call(job=1)
        assert last.text == "[exit code: 4]\n[job 1 has ended]\n[stdout]\ndone\n"
        assert (await box.read("/var/lib/workroom/jobs/1/stdout")) == b"begun\ndone\n"
        assert "[no new output]" in (await call(job=1)).text

    with_calls(run_in_box, work)


def test_wrong_calls_are_answered_in_words(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        assert "there is no job 3; none runs" in (await call(job=3)).text
        await call("sleep 60", wait=0)
        assert "there is no job 3; there are: job 1 (sleep 60)" in (await call("hi", job="3")).text
        assert "no job -1" in (await call(job=-1)).text
        assert "must be an integer" in (await call(job="one")).text
        assert "C-c interrupts" in (await call("C-z", job=1)).text
        assert "does not go with `job`" in (await call("x", job=1, timeout=5)).text
        assert "`wait` must be at least 0" in (await call("x", wait=-1)).text
        assert "`command` is required" in (await use(BashTool(), box, wait=3)).text
        assert "lowered to 30 s" in (await call("true", wait=1000)).text
        seen = await call("y" * 100_000, job=1, wait=0.1)
        assert "has not read 100001 bytes" in seen.text
        assert "not read the input of an earlier call" in (await call("more", job=1)).text
        assert "[job 1 is running]" in (await call(job=1, wait=0)).text

    with_calls(run_in_box, work)


def test_long_output_of_a_job_is_cut_and_its_file_told(run_in_box: RunInBox) -> None:
    limits = Limits(memory="1g", pids=256, disk="512m", command_timeout=30, output="2m")

    async def work(box: Sandbox, call: Call) -> None:
        seen = await call("head -c 1000000 /dev/zero | tr '\\0' x; echo; sleep 60", wait=3)
        assert len(seen.text.encode()) < 16_384 + 1000
        assert "the whole text is in /var/lib/workroom/jobs/1/stdout" in seen.text
        assert seen.facts["truncated"]
        assert len(await box.read("/var/lib/workroom/jobs/1/stdout")) == 1_000_001
        await call("read x; yes | head -c 5000000; echo end; touch done; sleep 60", wait=20)
        await call("go", job=2, wait=0)
        await call(UNTIL_DONE)
        seen = await call(job=2, wait=0)
        assert seen.text.endswith("y\nend\n")
        assert re.search(r"\[\d+ bytes that job 2 wrote before are not shown", seen.text)
        kept = await box.exec("stat -c %s /var/lib/workroom/jobs/2/* | sort -n | tail -1")
        assert int(kept.stdout) <= 1 << 20

    with_calls(run_in_box, work, limits)


def test_a_hard_timeout_within_a_wait_and_after_it(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        began = time.monotonic()
        seen = await call("export X=1; echo partial; sleep 77 & sleep 78", wait=20, timeout=1)
        assert time.monotonic() - began < 10
        assert seen.text.startswith("[exit code: 124]\n[timed out after 1 s")
        assert section(seen.text, "stdout") == "partial\n"
        assert seen.facts["timed_out"]
        seen = await call("setsid sleep 77 & sleep 78", wait=0.1, timeout=0.5)
        assert seen.facts["job"] == 1
        late = await call(job=1, wait=20)
        assert late.text.startswith("[exit code: 124]\n[job 1 reached its timeout")
        left = await call("echo $X; ps ax | grep -c '[s]leep 7'")
        assert left.text == "[exit code: 1]\n[stdout]\n\n0\n"

    with_calls(run_in_box, work)


def test_jobs_that_time_out_at_once_stop_nobody_else(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        await call("while :; do sleep 0.1; done > /dev/null 2>&1 &")
        for number in range(12):
            await call(f"sleep 6{number} & sleep 7{number}", wait=0, timeout=2)
        await asyncio.sleep(3.5)
        stopped = await box.exec("grep -l '^State:.T' /proc/[0-9]*/status")
        assert stopped.stdout == ""
        assert (await box.exec("pgrep -c -fx 'sleep [67][0-9]*'")).stdout == "0\n"
        assert "still running" in (await call("true")).text

    with_calls(run_in_box, work)


def test_a_job_that_hangs_holds_up_no_other_command(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        await call("sleep 60", wait=0)
        await box.exec(
            "kill -STOP $(pgrep -f 'guest job start' | head -1 || true); kill -STOP $(pgrep -x guest | tail -1)"
        )
        began = time.monotonic()
        assert "hi" in (await call("echo hi")).text
        assert time.monotonic() - began < 5

    with_calls(run_in_box, work)


def test_many_jobs_and_the_end_of_all(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        for number in range(1, 10):
            assert (await call(f"echo {number}; sleep 60", wait=0.1)).facts["job"] == number
        seen = await call("true")
        assert seen.text.count("job ") == 6
        assert "3 more]" in seen.text
        both = await asyncio.gather(call(job=3, wait=0.2), call(job=4, wait=0.2))
        assert [one.facts["job"] for one in both] == [3, 4]
        await box.kill_all()
        assert (await call("true")).text == "[exit code: 0]\n[no output]"
        assert "[job 2 is gone" in (await call(job=2)).text
        assert (await call("sleep 60", wait=0)).facts["job"] == 10

    with_calls(run_in_box, work)


def test_a_copy_of_the_sandbox_has_no_jobs(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        await call("read x; echo got $x", wait=20)
        async with await box.fork() as branch:
            tool = BashTool(branch.limits)
            assert "[job 1 is gone" in (await use(tool, branch, command="", job=1)).text
            assert (await use(tool, branch, command="sleep 60", wait=0)).facts["job"] == 2
        assert "got on" in (await call("on", job=1)).text

    with_calls(run_in_box, work)


def test_a_job_survives_what_happens_to_its_files(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox, call: Call) -> None:
        loop = "while read x; do echo got $x; done"
        await call(loop, wait=20)
        await call("one", job=1)
        await call(": > /var/lib/workroom/jobs/1/stdout")
        assert "got two" in (await call("two", job=1)).text
        await call("rm -rf /var/lib/workroom/jobs")
        assert "got three" in (await call("three", job=1)).text
        assert (await call("C-d", job=1)).facts["exit_code"] == 0

    with_calls(run_in_box, work)


FILL = """import os, time
try:
    while os.fork(): pass
except OSError:
    print("full> ", end="", flush=True)
time.sleep(60)
"""


def test_a_full_disk_ends_no_job_and_a_full_table_of_processes_is_told(run_in_box: RunInBox) -> None:
    limits = Limits(memory="1g", pids=40, disk="8m", output="4m", command_timeout=30)

    async def work(box: Sandbox, call: Call) -> None:
        await call("read x; yes | head -c 3000000; echo end; read x; echo got $x", wait=20)
        await call("cat /dev/zero > /testbed/full")
        assert (await call("go", job=1, wait=20)).text.endswith("y\nend\n")
        await call("rm /testbed/full")
        assert "got on" in (await call("on", job=1)).text
        assert "seems to wait" in (await call(f"python3 -c '{FILL}'", wait=20)).text
        refused = await call("echo on", wait=5)
        assert refused.facts["exit_code"] == 254
        assert "cannot" in refused.text
        await box.kill_all()
        assert (await call("echo on", wait=5)).text == "[exit code: 0]\n[stdout]\non\n"

    with_calls(run_in_box, work, limits)
