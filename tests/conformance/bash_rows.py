"""Sections F to H of the list: commands."""

from tests.conformance.table import bash, create, row, swap, view
from workroom.tools.truncate import Bounds

SHOWN = Bounds(16_384 + 300, 410)  # one stream, and the lines about it

RESULT = [
    row(71, "nothing but the output", bash("echo hello").exits(0, "hello\n")),
    row(
        72,
        "exit codes",
        bash("exit 1").exits(1),
        bash("exit 42").exits(42),
        bash("exit 70").exits(70),
        bash("false && true").exits(1),
        bash("false || true").exits(0),
    ),
    row(73, "an unknown command", bash("nosuchcommand").exits(127, None, "command not found")),
    row(
        74,
        "stderr is told apart",
        bash("echo oops >&2").exits(0, None, "oops"),
        bash("echo out; echo err >&2").exits(0, "out", "err"),
    ),
    row(76, "a command that does nothing", bash("").exits(0), bash(" \n ").exits(0), bash("# nothing").exits(0)),
    row(77, "blanks and newlines are kept", bash("printf '\\n\\n  a \\n\\n\\n'").exits(0, "\n\n  a \n\n\n")),
    row(78, "no newline is added", bash("printf x").exits(0, "x")),
    row(79, "UTF-8 on both streams", bash("echo é中🎉; echo ü >&2").exits(0, "é中🎉", "ü")),
    row(
        80,
        "other bytes become replacement characters",
        bash("printf 'a\\xffb'").exits(0, "a\ufffdb"),
        bash("head -c 3000 /dev/urandom; echo; echo end").shows(0, "\nend"),
    ),
    row(
        81,
        "a backslash before a semicolon",
        bash("find . -name f -exec grep -l X {} \\;").exits(0, "./f\n"),
        files={"f": "X\n"},
    ),
    row(82, "no history expansion", bash("echo A!B !!").exits(0, "A!B !!\n")),
    row(
        83,
        "it is bash",
        bash("echo {1..3} | tr ' ' - > f; echo $(<f)").exits(0, "1-2-3\n"),
        bash("[[ abc == a* ]] && cat < <(echo sub)").exits(0, "sub\n"),
        after={"f": "1-2-3\n"},
    ),
    row(
        84,
        "here-documents",
        bash('cat <<EOF\nit\'s "so" `echo x`\nEOF').exits(0, 'it\'s "so" x\n'),
        bash("wc -l <<'EOF'\n" + "a 'line' \"$x\n" * 100 + "EOF").exits(0, "100\n"),
    ),
    row(85, "several lines of commands", bash("echo a\n\n\necho b\n  echo c\n").exits(0, "a\nb\nc\n")),
    row(
        86,
        "loops and continued lines",
        bash("for i in 1 2\ndo\n  echo $i \\\n    x\ndone").exits(0, "1 x\n2 x\n"),
        bash("i=0\nwhile ((i < 2))\ndo\n  echo $((i++))\ndone").exits(0, "0\n1\n"),
    ),
    row(87, "a syntax error", bash("(a").exits(2, None, "syntax error"), bash("echo on").exits(0, "on\n")),
    row(88, "a command of 1 MiB", bash(": '" + "x" * (1 << 20) + "'; echo ${#0}").exits(0, "4\n")),
    row(
        89,
        "a program that ends itself by a signal",
        bash("bash -c 'kill -TERM $$'").exits(143, None, "Terminated", lacks=("timed out",)),
    ),
    row(90, "a file that is no program", bash("./f").exits(126, None, "Permission denied"), files={"f": "x"}),
    row(
        91,
        "a pager does not wait",
        bash(
            "git init -q . && git -c user.name=a -c user.email=b commit -q --allow-empty -m first && git log -p"
        ).shows(0, "first"),
        bash("echo next").exits(0, "next\n"),
    ),
]

STATE = [
    row(93, "the working directory is kept", bash("mkdir d; cd d").exits(0), bash("pwd").exits(0, "ROW/d\n")),
    row(
        94,
        "exported variables are kept, others not",
        bash("export X='a b'; Y=1").exits(0),
        bash("echo $X $Y").exits(0, "a b\n"),
    ),
    row(
        96,
        "commands and editor see the same files",
        bash("echo text > f").exits(0),
        bash("cat f").exits(0, "text\n"),
        swap("text", "edited").gives("edited"),
        bash("cat f").exits(0, "edited\n"),
        create("ROW/run.sh", file_text="echo $0").gives("created"),
        bash("bash run.sh").exits(0, "run.sh\n"),
        bash("rm f").exits(0),
        view().refuses("does not exist"),
    ),
    row(
        97,
        "a background server outlives its call",
        bash("python3 -m http.server 8123 --bind 127.0.0.1 &").exits(0, seconds=5),
        bash("for i in {1..100}; do curl -sf localhost:8123/page && break; sleep 0.1; done").exits(0, "served\n"),
        bash("(sleep 10) & echo on").exits(0, "on\n", seconds=5),
        files={"page": "served\n"},
    ),
    row(
        99,
        "a large environment",
        bash("for i in {1..100}; do export V$i=$(printf '%01000d' $i); done").exits(0),
        bash("echo ${#V100}; /bin/true").exits(0, "1000\n"),
        bash("unset ${!V*}").exits(0),
    ),
    row(100, "nothing of the host's environment", bash("env; set").shows(0, "PAGER=cat", lacks=("CANARY",))),
]

BOUNDS = [
    row(
        (101, 102, 103, 104, 105),
        "a time-out tells so, keeps the output, ends all children and costs nothing else",
        bash("echo partial; sleep 77 & sleep 78", timeout=0.5).exits(
            124, "partial\n", None, "timed out after 0.5 s", seconds=10
        ),
        bash("ps ax | grep -c '[s]leep 7[78]'; pwd").exits(0, "0\nROW\n"),
        bash("kill -9 $$").shows(137),
        bash("echo alive").exits(0, "alive\n"),
    ),
    row(
        106,
        "a program that waits for input gets none",
        bash("python3 -c 'input()'").shows(1, "EOFError"),
        bash("cat").exits(0),
        bash("read x || echo none").exits(0, "none\n"),
    ),
    row(
        107,
        "of 5,000 lines the first and last are seen",
        bash("seq 1 5000").shows(0, "[stdout]\n1\n2\n", "\n4999\n5000", "lines", bounds=SHOWN),
    ),
    row(
        108,
        "the bound is in bytes and in lines, and breaks no character",
        bash("yes | head -50000").shows(0, "left out", bounds=SHOWN),
        bash("head -c 12000000 /dev/zero | tr '\\0' x; echo end").shows(0, "left out", "xend", bounds=SHOWN),
        bash("python3 -c 'print(\"🎉\" * 200000)'").shows(0, "left out", "🎉🎉\n", lacks=("\ufffd",), bounds=SHOWN),
    ),
    row(
        109,
        "cut output leaves the exit code",
        bash("seq 1 50000; echo bad >&2; exit 3").shows(
            3, "[exit code: 3]\n", "left out", "\n50000\n", "[stderr]\nbad\n", bounds=SHOWN
        ),
    ),
]
