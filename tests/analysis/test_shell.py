"""bash texts as simple commands."""

import pytest

from workroom.analysis.awk import awk_calculates, shell_calculates
from workroom.analysis.shell import parse
from workroom.analysis.shell_programs import core, given, operands, printed


def words(text: str) -> list[list[str]]:
    return [command.words for command in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ls -la 'a b' \"c $d\" e\\ f", [["ls", "-la", "a b", "c $d", "e f"]]),
        ("a && b || c; d & e | f |& g", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("echo 'pip install x' # curl y\nls", [["echo", "pip install x"], ["ls"]]),
        ("echo a#b", [["echo", "a#b"]]),
        ("if test -f a; then cat a; else ls; fi", [["test", "-f", "a"], ["cat", "a"], ["ls"]]),
        ('for f in *.txt; do head "$f"; done', [["for", "f", "in", "*.txt"], ["head", "$f"]]),
        ("case $x in a|b) ls;; *) cat c;; esac; pwd", [["ls"], ["cat", "c"], ["pwd"]]),
        ("f() { grep x y; }; f", [["grep", "x", "y"], ["f"]]),
        ("(cd a && ls) | wc", [["cd", "a"], ["ls"], ["wc"]]),
        ("[[ $a < $b && -f c ]] && ls", [["ls"]]),
        ('echo "a $(ls b) `cat c`"', [["ls", "b"], ["cat", "c"], ["echo", "a $() $()"]]),
        ("x=$(grep 'a)b' c)", [["grep", "a)b", "c"], ["x=$()"]]),
        ("diff <(sort a) <(sort b)", [["sort", "a"], ["sort", "b"], ["diff", "<()", "<()"]]),
        ("echo $'a\\tb\\'c'", [["echo", "a\tb'c"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("echo ${x:-$(ls)}", [["echo", "${x:-$(ls)}"]]),
    ],
)
def test_words(text: str, expected: list[list[str]]) -> None:
    assert words(text) == expected


def test_redirects_are_no_words() -> None:
    (command,) = parse("grep x < in.txt > out.txt 2>> log &> all")
    assert command.words == ["grep", "x"]
    assert command.redirects == [("<", "in.txt"), (">", "out.txt"), ("2>>", "log"), ("&>", "all")]
    assert parse("echo 2 > x")[0].words == ["echo", "2"]


def test_here_documents_belong_to_their_command() -> None:
    first, second, third = parse("cat <<A - <<-'B' > x; sort\nit's (one\nA\n\ttwo $(rm y)\n\tB\nls")
    assert (first.words, first.stdin) == (["cat", "-"], "two $(rm y)\n")
    assert second.words == ["sort"]
    assert third.words == ["ls"]


def test_a_here_document_without_quotes_runs_what_it_substitutes() -> None:
    commands = parse("cat <<A > x\nn: $(wc -l y) \\$z\nA")
    assert [command.words for command in commands] == [["cat"], ["wc", "-l", "y"]]
    assert commands[0].stdin == "n: $() $z\n"


def test_a_here_document_within_a_substitution_may_hold_anything() -> None:
    code, rest = parse('r=$(python3 - <<\'EOF\'\nprint("it\'s :)")\nEOF\n); echo "$r"')[::2]
    assert (code.words, code.stdin) == (["python3", "-"], 'print("it\'s :)")\n')
    assert rest.words == ["echo", "$r"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo $((3 * (4+5)))", ["3 * (4+5)"]),
        ("((i += 2))", ["i += 2"]),
        ('echo "$((a/b))"', ["a/b"]),
        ("echo $( (ls) )", []),
    ],
)
def test_arithmetic(text: str, expected: list[str]) -> None:
    assert [one for command in parse(text) for one in command.arithmetic] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1 B=2 sudo -u me env C=3 timeout -k 5 60 pip install x", ["pip", "install", "x"]),
        ("nohup nice -n 5 xargs -n 1 grep y", ["grep", "y"]),
        ("command -v curl", ["command", "-v", "curl"]),
        ("A=1", []),
    ],
)
def test_what_only_runs_another_is_left_out(text: str, expected: list[str]) -> None:
    assert core(parse(text)[0].words) == expected


def test_operands() -> None:
    assert operands("head -n 5 a -q --lines=3 - b".split(), "nc") == ["a", "-", "b"]
    assert operands("rm -- -x".split()) == ["-x"]


def test_what_goes_through_a_pipe_is_known_where_it_stands_in_the_text() -> None:
    commands = parse("echo -e 'a\\nb' | tee x | python3; printf '%s=%s' k v | bc; cat f | python3")
    assert given(commands[2]) == "a\nb\n"
    assert printed(commands[3]) == "k=v"
    assert given(commands[-1]) is None
    assert given(parse("bc <<< '2+3'")[0]) == "2+3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{s+=$3} END{print s}", True),
        ("{print $1/$2}", True),
        ("{c[$1]++} END{for (k in c) print k, c[k]}", True),
        ("{print int($1)}", True),
        ("NR>=10 && NR<=20", False),
        ("/a+b*/ {print $2}", False),
        ("!seen[$0]++", False),
        ('{print "a*b", $1}', False),
        ("{print NR+1}", False),
        ('"', False),
    ],
)
def test_awk_that_calculates(text: str, expected: bool) -> None:
    assert awk_calculates(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("17*23", True), ("a % 7", True), ("i+1", False), ("a+b", True), ("x", False), ("-3", False)]
)
def test_shell_arithmetic_that_calculates(text: str, expected: bool) -> None:
    assert shell_calculates(text) is expected
