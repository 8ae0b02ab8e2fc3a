"""The texts that a model wrote into files, so that what runs them later can be read."""

import posixpath

from workroom.analysis.shell import Command
from workroom.analysis.shell_programs import core, operands, printed, program
from workroom.sandbox.base import WORKING_DIR

_LOGS = (".log", ".out", ".err")
_LARGEST = 1 << 20  # characters of one file that are kept
_MOST = 1000  # files that are kept


class Workspace:
    """Files by path. One that is asked for by another path is found by its name, the latest first."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._logs: set[str] = set()

    def write(self, path: str, text: str, *, append: bool = False) -> None:
        """Writes or appends to a file."""
        path = _normal(path)
        old = self._texts.pop(path, "") if append else self._texts.pop(path, "")[:0]
        if len(old) + len(text) <= _LARGEST and len(self._texts) < _MOST:
            self._texts[path] = old + text  # popped before, so that the latest stands last

    def replace(self, path: str, old: str, new: str) -> None:
        """Replaces the first place of a text, as the editor does."""
        found = self._find(path)
        if found is not None and old:
            self.write(found, self._texts[found].replace(old, new, 1))

    def insert(self, path: str, line: int, text: str) -> None:
        """Inserts a text after a line, counted from 1."""
        found = self._find(path)
        if found is not None:
            lines = self._texts[found].splitlines(keepends=True)
            self.write(found, "".join([*lines[:line], text if text.endswith("\n") else text + "\n", *lines[line:]]))

    def text(self, path: str) -> str | None:
        """What the file holds as far as it is known, None for one that the model has not written."""
        found = self._find(path)
        return None if found is None else self._texts[found]

    def is_log(self, path: str) -> bool:
        """Whether the file is a log of one of the model's own programs."""
        return _normal(path) in self._logs

    def follow(self, command: Command) -> None:
        """Takes note of what a command writes: `echo x > file`, `cat > file <<EOF`, `tee file`, `cp`, `mv`."""
        for operator, target in command.redirects:
            kind = operator.lstrip("0123456789&")
            if kind != "<" and target.endswith(_LOGS):
                self._logs.add(_normal(target))
            if kind in (">", ">>", ">|") and operator[0] != "2" and (text := printed(command)) is not None:
                self.write(target, text, append=kind == ">>")
        words = core(command.words)
        name = program(words[0]) if words else ""
        if name == "tee" and (text := printed(command)) is not None:
            for target in operands(words):
                self.write(target, text, append="-a" in words)
        elif name in ("cp", "mv") and len(found := operands(words)) == 2:
            moved = self.text(found[0])
            if moved is not None:
                self.write(found[1], moved)

    def _find(self, path: str) -> str | None:
        path = _normal(path)
        if path in self._texts:
            return path
        name = posixpath.basename(path)
        return next((one for one in reversed(self._texts) if posixpath.basename(one) == name), None) if name else None


def _normal(path: str) -> str:
    return posixpath.normpath(posixpath.join(WORKING_DIR, path))
