"""The rules of `rules.toml`: which commands and which calls of Python use which capability."""

import posixpath
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, get_args

from workroom.analysis.shell_programs import operands, program
from workroom.sandbox.base import ANSWER_FILE, DOCUMENTS_DIR

Capability = Literal["external", "files", "computation"]
CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)
_LOCAL = ("localhost", "127.", "0.0.0.0", "[::1]", "/", "./", "../", "~", "file:")
_NO_INDEX = frozenset(("--no-index", "--offline"))
_DOCUMENTS = (f"{DOCUMENTS_DIR}/", f"{posixpath.basename(DOCUMENTS_DIR)}/", f"./{posixpath.basename(DOCUMENTS_DIR)}/")
_WRITING = ("w", "a", "x")


class Match(NamedTuple):
    """A rule that holds. `rule` is its name within the capability."""

    capability: Capability
    rule: str


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that reads files, see the comment in `rules.toml`."""

    skip: int = 0
    lead: str = ""
    valued: str = ""
    bare: bool = False
    plain: bool = False

    def paths(self, words: list[str]) -> list[str] | None:
        """The files that the command names; None where it reads none but its standard input."""
        options = [word for word in words[1:] if word.startswith("-")]
        if self.plain:  # its operands end at its first option
            first = next((index for index, word in enumerate(words[1:], 1) if word[:1] in ("-", "(", "!")), len(words))
            found = words[1:first]
        else:
            found = operands(words, self.valued)
            led = any(len(word) > 1 and word[1] != "-" and word[-1] in self.lead for word in options)
            found = found[0 if led else self.skip :]
        found = [path for path in found if path != "-"]
        return found if found or self.bare else None


class Rules:
    """All rules, ready to be asked."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.version: int = data["version"]
        self.rules: list[Mapping[str, Any]] = data["rule"]
        self.tools: dict[str, str] = {name: kind for kind, names in data["tools"].items() for name in names}
        self.readers = {name: Reader(**entry) for name, entry in data["readers"].items()}
        own = data["own"]
        self._own_names = frozenset(own["names"])
        self._own_endings = tuple(own["endings"])
        self._own_folders = tuple(f"{folder}/" for folder in own["folders"])
        self._system = tuple(own["system"])
        self._system_data = tuple(own["system_data"])
        self._memory = frozenset(own["memory"])
        self.foreign: dict[str, list[str]] = data["foreign"]
        self._commands: dict[str, list[tuple[list[str], Match]]] = {}
        self._calls: dict[str, list[Match]] = {}
        self._excepted: dict[str, list[Match]] = {}
        for rule in self.rules:
            match = Match(rule["capability"], rule["name"])
            for text in rule.get("commands", ()):
                name, *sub = text.split()
                self._commands.setdefault(name, []).append((sub, match))
            for pattern in rule.get("calls", ()):
                self._calls.setdefault(pattern, []).append(match)
            for pattern in rule.get("except", ()):
                self._excepted.setdefault(pattern, []).append(match)

    def command(self, words: list[str]) -> list[Match]:
        """The rules for a command of these words, without those that depend on what it reads."""
        known = self._commands.get(program(words[0])) if words else None
        if known is None:
            return []
        found = operands(words)
        optional = len(words) > 1 and words[1].startswith("-")
        matches = []
        for sub, match in known:
            holds = found[: len(sub)] == sub or (optional and found[1 : 1 + len(sub)] == sub)
            if holds and (match.capability != "external" or self._goes_outside(words, found, sub)):
                matches.append(match)
        return matches

    @staticmethod
    def _goes_outside(words: list[str], found: list[str], sub: list[str]) -> bool:
        """Whether a command that may get something from outside does: not from this computer, not for `--version`."""
        if not sub:
            return bool(found) and not all(map(is_local, found))
        if sub == ["clone"]:
            return not any(map(is_local, found[1:2]))
        return _NO_INDEX.isdisjoint(words)

    def call(self, name: str) -> list[Match]:
        """The rules for a call of a resolved name."""
        found = _lookup(self._calls, name)
        if not found:
            return []
        excepted = _lookup(self._excepted, name)
        return [match for match in found if match not in excepted]

    def read_paths(self, words: list[str]) -> list[str] | None:
        """The paths that a command reads, searches or manages; None for one that works on none.

        Without a path it works on the folder that it is run in.
        """
        reader = self.readers.get(program(words[0])) if words else None
        return reader.paths(words) if reader is not None else None

    def is_input(self, path: str, known: Iterable[str]) -> bool:
        """Whether a path may be input or data: not the answer, no source code, nothing of the system."""
        name = posixpath.basename(path)
        if name in known:
            return True
        if name in self._own_names or name.lower().endswith(self._own_endings) or path.startswith(self._own_folders):
            return False
        if path.startswith(self._system_data):
            return True
        return not self._is_system(path)

    def is_answer(self, path: str) -> bool:
        """Whether a path is the answer's."""
        return posixpath.basename(path) == posixpath.basename(ANSWER_FILE)

    def is_document(self, path: str, known: Iterable[str]) -> bool:
        """Whether a path is one of the documents."""
        return posixpath.basename(path) in known or path.startswith(_DOCUMENTS)

    def is_own_program(self, path: str) -> bool:
        """Whether a program that is run by its path may be the model's own: none of the system, none that is known."""
        name = program(path)
        return not self._is_system(path) and name not in self._commands and name not in self.readers

    def _is_system(self, path: str) -> bool:
        return any(path == one or path.startswith(one if one.endswith(".") else one + "/") for one in self._system)

    def foreign_code(self, words: list[str]) -> str | None:
        """The code in a call of a language that is not read, empty where it is in a file; None for any other."""
        name = program(words[0])
        options = self.foreign.get(name, self.foreign.get(" ".join(words[:2])))
        if options is None:
            return None
        given = next((word for option, word in pairwise(words) if option in options), None)
        return given if given is not None else "" if operands(words) else None

    def is_reading(self, source: str, mode: str | None) -> bool:
        """Whether a call of Python that a rule for files names reads a file: no text in memory, no page, no writing."""
        if mode is not None and mode.startswith(_WRITING) and "+" not in mode:
            return False
        return source not in self._memory and all(match.capability != "external" for match in self.call(source))


@cache
def load_rules() -> Rules:
    """The rules that come with the package."""
    return Rules(tomllib.loads(files("workroom.analysis").joinpath("rules.toml").read_text("utf-8")))


def is_local(address: str) -> bool:
    """Whether an address is this computer's own, or a path."""
    scheme, separator, rest = address.partition("://")
    return (rest if separator and scheme != "file" else address).startswith(_LOCAL)


def _lookup(patterns: Mapping[str, list[Match]], name: str) -> list[Match]:
    """What holds for a dotted name: itself, all below a part of it, a method of anything, a beginning."""
    found = list(patterns.get(name, ()))
    parts = name.split(".")
    for count in range(1, len(parts)):
        found += patterns.get(".".join(parts[:count]) + ".*", ())
    if len(parts) > 1:
        found += patterns.get("*." + parts[-1], ())
        beginning, underscore, _ = parts[-1].partition("_")
        if underscore:
            found += patterns.get(".".join((*parts[:-1], beginning + "_*")), ())
    return found
