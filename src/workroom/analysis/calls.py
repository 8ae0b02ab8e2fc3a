"""Tool calls as hits of rules: what a call runs, also the code within it and the scripts written before it."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from workroom.analysis import python_code, shell
from workroom.analysis.awk import awk_calculates, shell_calculates
from workroom.analysis.python_code import Sight
from workroom.analysis.rules import CAPABILITIES, Capability, Match, Rules, is_local, load_rules
from workroom.analysis.shell import Command
from workroom.analysis.shell_programs import core, given, operands, program, takes_value
from workroom.analysis.workspace import Workspace

EXCERPT: Final = 160  # characters
_DEPTH = 5  # of scripts that run scripts
_DIGITS = 19
_MOST_COMMANDS = 20_000  # of one call that are looked at
_SHELLS = frozenset("bash sh dash zsh".split())
_PYTHONS = frozenset("python pypy ipython sage".split())
_RUNNERS = frozenset(("pytest",))  # of Python files that they are given
_AWKS = frozenset("awk gawk mawk".split())
_ADDRESS = ("http://", "https://", "ftp://", "s3://", "hf://")
_SHIFT = re.compile(r"\d\s*(?:day|week|month|year|hour|minute|second)s?\b", re.IGNORECASE)  # of a date
_SUMS = re.compile(r"\b(?:sum|avg|total|min|max)\s*\(|\bgroup\s+by\b", re.IGNORECASE)  # of a query
_NETWORK = Match("external", "network")
_READING = Match("files", "reading")
_ARITHMETIC = Match("computation", "arithmetic")
_CHECKING = Match("computation", "checking")
_PROGRAM = Match("computation", "program")


class Hit(NamedTuple):
    """A rule that holds for a part of a call: the command, or the line of code, in `excerpt`."""

    capability: Capability
    rule: str
    excerpt: str


class CallReader:
    """Reads the calls of one episode in their order. `documents`: names of the documents of its task."""

    def __init__(self, documents: Iterable[str] = (), rules: Rules | None = None) -> None:
        self._rules = rules or load_rules()
        self._documents = frozenset(name.rpartition("/")[2] for name in documents)
        self._workspace = Workspace()
        self._jobs: dict[int, str] = {}  # what is read by a job that runs on: `python`, `shell`
        self._interactive = ""  # the same of the command that was read last
        self._seen: set[tuple[str, str]] = set()  # code of this call that was read

    def read(self, name: str, arguments: str, facts: Mapping[str, Any] | None = None) -> list[Hit]:
        """The hits of a call, of each rule the first. `facts`: of its result. It never raises."""
        kind = self._rules.tools.get(name)
        values = _arguments(arguments)
        if kind is None or values is None:
            return []
        self._seen.clear()
        if kind == "editor":
            hits = self._editor(values)
        elif kind == "python":
            hits = self._python(_text(values, "code") or _text(values, "command"), 0)
        else:
            hits = self._bash(values, facts or {})
        first: dict[Match, Hit] = {}
        for hit in hits:
            first.setdefault(Match(hit.capability, hit.rule), hit)
        return sorted(first.values(), key=lambda hit: (CAPABILITIES.index(hit.capability), hit.rule))

    def _editor(self, values: Mapping[str, Any]) -> Iterator[Hit]:
        path, command = _text(values, "path"), values.get("command")
        if command == "view" and self._is_input(path):
            yield _hit(_READING, f"view {path}")
        elif command == "create":
            self._workspace.write(path, _text(values, "file_text"))
        elif command == "str_replace":
            self._workspace.replace(path, _text(values, "old_str"), _text(values, "new_str"))
        elif command == "insert":
            self._workspace.insert(path, _number(values.get("insert_line")) or 0, _text(values, "new_str"))

    def _bash(self, values: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Hit]:
        command = _text(values, "command")
        job = _number(values.get("job"))
        if job is not None:  # a line of input for a program that runs
            reads = self._jobs.get(job)
            if reads is not None:
                yield from self._python(command, 0) if reads == "python" else self._shell(command, 0)
            return
        yield from self._shell(command, 0)
        if isinstance(started := facts.get("job"), int) and self._interactive:
            self._jobs[started] = self._interactive

    def _shell(self, text: str, depth: int) -> Iterator[Hit]:
        if self._is_known("shell", text) or depth > _DEPTH:
            return
        for command in shell.parse(text)[:_MOST_COMMANDS]:
            yield from self._command(command, depth)
            self._workspace.follow(command)

    def _command(self, command: Command, depth: int) -> Iterator[Hit]:
        words = _without_module(core(command.words))
        shown = " ".join(command.words)[: 2 * EXCERPT] + "".join(f" {sign} {to}" for sign, to in command.redirects[:3])
        for match in self._rules.command(words):
            yield _hit(match, shown)
        paths = self._rules.read_paths(words)
        given_files = [to for sign, to in command.redirects if sign.lstrip("0123456789") == "<"]
        if paths == [] or any(map(self._is_input, [*(paths or ()), *given_files])):
            yield _hit(_READING, shown)
        if any(map(shell_calculates, command.arithmetic)):
            yield _hit(_ARITHMETIC, shown or command.arithmetic[0])
        if words:
            yield from self._program(command, words, shown, depth)

    def _is_input(self, path: str) -> bool:
        return self._rules.is_input(path, self._documents) and not self._workspace.is_log(path)

    def _program(self, command: Command, words: list[str], shown: str, depth: int) -> Iterator[Hit]:
        """What only some programs do: run code, calculate."""
        name = program(words[0])
        self._interactive = ""
        if name in _PYTHONS or name in _SHELLS:
            yield from self._interpreter("python" if name in _PYTHONS else "shell", command, words, depth)
        elif name == "eval":
            yield from self._shell(" ".join(words[1:]), depth + 1)
        elif name in ("source", "."):
            if (code := self._workspace.text("".join(words[1:2]))) is not None:
                yield from self._shell(code, depth + 1)
        elif name in _RUNNERS:
            files = [word.partition("::")[0] for word in operands(words) if ".py" in word]
            yield from self._file(files or words[:1], "python", words, depth)
        elif words[:2] == ["uv", "run"]:
            yield from self._file(words[2:3], "python", words, depth)
        elif "/" in words[0] and self._rules.is_own_program(words[0]):
            yield from self._file(words[:1], "shell", words, depth)
        elif (foreign := self._rules.foreign_code(words)) is not None:
            if foreign == "" or awk_calculates(foreign):
                yield _hit(_PROGRAM, shown)
        elif name == "wc" and self._measures_own_text(command, words):
            yield _hit(_CHECKING, shown)
        elif _calculates(name, words):
            yield _hit(_ARITHMETIC, shown)

    def _measures_own_text(self, command: Command, words: list[str]) -> bool:
        """Whether `wc` is of a text that stands in the command, or of the answer."""
        found = operands(words)
        return all(map(self._rules.is_answer, found)) if found else given(command) is not None

    def _interpreter(self, kind: str, command: Command, words: list[str], depth: int) -> Iterator[Hit]:
        """`python -c CODE`, `python FILE`, `python` with code on its standard input; the same of a shell."""
        valued = "WXc" if kind == "python" else "cO"
        index = 1
        while index < len(words) and words[index].startswith("-") and words[index] != "-":
            option = words[index]
            if option[1:2] != "-" and option.endswith("c"):
                yield from self._code(kind, "".join(words[index + 1 : index + 2]), depth)
                return
            index += 2 if takes_value(option, valued) else 1
        if index < len(words) and words[index] not in ("-", "/dev/stdin", "<()"):
            yield from self._file(words[index : index + 1], kind, words, depth)
            return
        code = given(command)
        if code is None:
            code = next((self._workspace.text(target) for sign, target in command.redirects if sign == "<"), None)
        if code is not None:
            yield from self._code(kind, code, depth)
        elif not command.piped:
            self._interactive = kind

    def _file(self, paths: Iterable[str], kind: str, words: list[str], depth: int) -> Iterator[Hit]:
        """Programs of the model's own. One whose text was never seen is taken for a computation."""
        for path in paths:
            code = self._workspace.text(path)
            if code is None:
                shown = " ".join(words)
                yield _hit(_PROGRAM, shown)
                if any(self._rules.is_document(word, self._documents) for word in words[1:]):
                    yield _hit(_READING, shown)
                continue
            first = code[:100].partition("\n")[0]
            if path.endswith(".py") or (first.startswith("#!") and "python" in first):
                kind = "python"
            yield from self._code(kind, code, depth)

    def _code(self, kind: str, code: str, depth: int) -> Iterator[Hit]:
        yield from self._python(code, depth) if kind == "python" else self._shell(code, depth + 1)

    def _python(self, code: str, depth: int) -> Iterator[Hit]:
        if self._is_known("python", code) or depth > _DEPTH:
            return
        lines = code.split("\n")
        for sight in _sights(code[: python_code.LIMIT]):
            shown = lines[sight.line - 1].strip() if 0 < sight.line <= len(lines) else ""
            if sight.kind == "call":
                yield from (_hit(match, shown) for match in self._call(sight))
            elif sight.kind == "command":
                yield from self._shell(sight.text or "", depth + 1)
            else:
                yield _hit(_ARITHMETIC if sight.kind == "arithmetic" else _CHECKING, shown)

    def _call(self, sight: Sight) -> Iterator[Match]:
        distant = sight.text is not None and sight.text.startswith(_ADDRESS)
        for match in self._rules.call(sight.name):
            if match.capability == "external":
                if not (distant and is_local(sight.text or "")):
                    yield match
            elif match.capability == "files" and distant:
                yield _NETWORK
            elif match.capability != "files" or (
                self._rules.is_reading(sight.source, sight.mode) and (sight.text is None or self._is_input(sight.text))
            ):
                yield match

    def _is_known(self, kind: str, text: str) -> bool:
        """Whether this call has come to the text before; code that runs itself would have no end."""
        known = (kind, text) in self._seen
        self._seen.add((kind, text))
        return known


@lru_cache(maxsize=64)
def _sights(code: str) -> tuple[Sight, ...]:
    return tuple(python_code.read(code))


def _calculates(name: str, words: list[str]) -> bool:
    if name in _AWKS:
        found = operands(words, "Fv")
        return bool(found) and awk_calculates(found[0])
    if name == "uniq":
        return any(word.startswith("-") and "c" in word for word in words[1:])
    if name == "date":
        return any(_SHIFT.search(word) is not None for word in words[1:])
    if name == "sqlite3":
        return any(_SUMS.search(word) is not None for word in words[2:])
    return name in ("expr", "let") and shell_calculates(" ".join(words[1:]))


def _hit(match: Match, text: str) -> Hit:
    line = " ".join(text[: 4 * EXCERPT].split())
    return Hit(match.capability, match.rule, line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…")


def _without_module(words: list[str]) -> list[str]:
    """`python -m pip install x` as `pip install x`, `python -m solver` as `./solver`: a program of the model's own.

    A module of Python itself is `python -m NAME`.
    """
    if len(words) > 2 and words[1] == "-m" and program(words[0]) in _PYTHONS:
        module = words[2]
        top = module.partition(".")[0]
        if top in ("pip", *_RUNNERS):
            return [top, *words[3:]]
        return [f"python -m {module}" if top in sys.stdlib_module_names else f"./{module}", *words[3:]]
    return words


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    """A whole number, also one that is given as a text; None for anything else."""
    text = str(value)
    return int(text) if isinstance(value, int | str) and text.isdecimal() and len(text) < _DIGITS else None
