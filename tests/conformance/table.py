"""The words of the table: a row, the calls a model makes for it, and what they must give.

`ROW` in a path, a command or an expected text stands for a directory of the row's own, in which its commands begin.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from workroom.tools.truncate import Bounds

# What the list marks as optional, or leaves to us to decide; all other rows are musts.
OPTIONAL = {14, 23, 35, 50, 64, 65, 66, 67, 75, 92, 93, 94, 95, 98, 99, 110, 119, 124, 126, 128}

LEFT_OUT = {
    64: "the editor has the paper's four commands, no undo; row 68 asserts that undo_edit is refused with their list",
    65: "no undo",
    66: "no undo",
    67: "no undo",
    75: "stdout and stderr are told apart instead, row 74",
    92: "there is no terminal that could be queried; control characters are shown as text",
    95: "a sandbox has one session; test_bash.py asserts that two sandboxes share nothing",
    98: "nothing to restart: each command is a process of its own; row 102 asserts that one that dies costs nothing",
    110: "blanks at the end of a line are the command's own output, row 77",
    119: "the sandbox's one user is root in it, to whom no file of its own is forbidden",
    126: "a command always runs as the sandbox's one user",
    128: "there is no server that a sandbox is reached through",
}


RUSSIAN = "Привет, мир!\nЭто проверка.\n"


def lines(count: int) -> str:
    return "".join(f"line {n}\n" for n in range(1, count + 1))


@dataclass(frozen=True)
class Step:
    """One tool call, and what its observation must be."""

    tool: str
    arguments: dict[str, Any]
    is_error: bool | None = None
    exit_code: int | None = None
    streams: dict[str, str | None] = field(default_factory=dict)
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    bounds: Bounds | None = None
    seconds: float | None = None

    def gives(self, *holds: str, lacks: tuple[str, ...] = (), bounds: Bounds | None = None) -> Self:
        """It succeeds, and what the model sees holds these texts, lacks those, and is no longer than the bounds."""
        return replace(self, is_error=False, holds=holds, lacks=lacks, bounds=bounds)

    def refuses(self, *holds: str) -> Self:
        """It fails with a text that holds these words."""
        return replace(self, is_error=True, holds=holds, lacks=("Traceback",), bounds=Bounds(2000, 12))

    def exits(self, code: int, out: str | None = None, err: str | None = None, *holds: str, **rest: Any) -> Self:
        """The command ends with this code, with exactly this stdout and a stderr that holds `err` (None: with none)."""
        return replace(self, exit_code=code, streams={"stdout": out, "stderr": err}, holds=holds, **rest)

    def shows(self, code: int, *holds: str, lacks: tuple[str, ...] = (), bounds: Bounds | None = None) -> Self:
        """The command ends with this code, and what the model sees holds these texts."""
        return replace(self, exit_code=code, holds=holds, lacks=lacks, bounds=bounds)


@dataclass(frozen=True)
class Row:
    """One behaviour, or several that are seen together.

    `files` are there before (text stands for UTF-8), `after` must be afterwards, byte for byte (None: no file).
    """

    numbers: tuple[int, ...]
    behaviour: str
    steps: tuple[Step, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    after: dict[str, str | bytes | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join(map(str, self.numbers))

    @property
    def folder(self) -> str:
        return f"/testbed/row-{self.name}"


def row(
    numbers: int | tuple[int, ...],
    behaviour: str,
    *steps: Step,
    files: dict[str, str | bytes] | None = None,
    after: dict[str, str | bytes | None] | None = None,
) -> Row:
    return Row((numbers,) if isinstance(numbers, int) else numbers, behaviour, steps, files or {}, after or {})


def view(path: str = "ROW/f", **rest: Any) -> Step:
    return Step("str_replace_editor", {"command": "view", "path": path, **rest})


def create(path: str = "ROW/f", **rest: Any) -> Step:
    return Step("str_replace_editor", {"command": "create", "path": path, **rest})


def swap(old: Any, new: Any = "", path: str = "ROW/f") -> Step:
    return Step("str_replace_editor", {"command": "str_replace", "path": path, "old_str": old, "new_str": new})


def insert(line: Any, new: Any, path: str = "ROW/f") -> Step:
    return Step("str_replace_editor", {"command": "insert", "path": path, "insert_line": line, "new_str": new})


def edit(command: str, path: str = "ROW/f", **rest: Any) -> Step:
    """A call of the editor that lacks something, or has too much."""
    return Step("str_replace_editor", {"command": command, "path": path, **rest})


def bash(command: str, **rest: Any) -> Step:
    return Step("execute_bash", {"command": command, **rest})


def numbered(first: int, *lines: str) -> str:
    """Lines as `view` shows them: the number right-aligned in six columns, a tab, the text."""
    return "\n".join(f"{number:6}\t{line}" for number, line in enumerate(lines, first))
