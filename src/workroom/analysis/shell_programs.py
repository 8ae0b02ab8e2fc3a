"""What a simple command runs: without the programs that only run another, and what it is given and prints."""

from typing import Final

from workroom.analysis.shell import Command
from workroom.analysis.shell_words import unescape

# Programs that run what follows them, and the letters of their options that take a value.
_PREFIXES: Final = {
    "sudo": "ugpChD",
    "doas": "u",
    "env": "uCS",
    "timeout": "ks",
    "nohup": "",
    "nice": "n",
    "ionice": "cnp",
    "setsid": "",
    "stdbuf": "ioe",
    "time": "fo",
    "xargs": "InPLdsEa",
    "command": "",
    "exec": "a",
    "builtin": "",
    "busybox": "",
    "unbuffer": "",
    "parallel": "j",
}
_MOST_PREFIXES = 8
_DEPTH = 8  # of a pipe that is followed backwards
_LOOK_UPS = frozenset(("-v", "-V"))  # `command -v curl` runs nothing


def program(word: str) -> str:
    """The name of a program without its folder and version: `python` of `/usr/bin/python3.11`."""
    name = word.rpartition("/")[2]
    for known in ("python", "pip", "pypy"):
        if name.startswith(known) and not name[len(known) :].strip("0123456789."):
            return known
    return name


def core(words: list[str]) -> list[str]:
    """The words from the program on that does the work: without `X=1`, `sudo`, `timeout 60`, `xargs -n 1`."""
    start = 0
    for _ in range(_MOST_PREFIXES):
        while start < len(words) and is_assignment(words[start]):
            start += 1
        name = program(words[start]) if start < len(words) else ""
        valued = _PREFIXES.get(name)
        if valued is None or words[start + 1 : start + 2] in ([one] for one in _LOOK_UPS):
            break
        start += 1
        while start < len(words) and words[start].startswith("-"):
            start += 2 if takes_value(words[start], valued) else 1
        if name == "timeout":
            start += 1
    return words[start:]


def takes_value(option: str, valued: str) -> bool:
    """Whether the value of a short option is the next word: `-n 5`, and not `-n5`."""
    return len(option) > 1 and option[1] != "-" and option[-1] in valued


def is_assignment(word: str) -> bool:
    """`NAME=value`."""
    name, equals, _ = word.partition("=")
    return bool(equals) and name.removesuffix("+").replace("_", "a").isalnum() and not name[0].isdigit()


def operands(words: list[str], valued: str = "") -> list[str]:
    """The words after the program that are no options and no values of options."""
    found: list[str] = []
    index = 1
    while index < len(words):
        word = words[index]
        if word == "--":
            return found + words[index + 1 :]
        if word.startswith("-") and word != "-":
            index += takes_value(word, valued)
        else:
            found.append(word)
        index += 1
    return found


def given(command: Command, depth: int = 0) -> str | None:
    """The text on the standard input of a command, where it stands in the text itself."""
    if command.stdin is not None:
        return command.stdin
    if command.source is not None and depth < _DEPTH:
        return printed(command.source, depth + 1)
    return None


def printed(command: Command, depth: int = 0) -> str | None:
    """What a command prints, where that stands in the text: `echo`, `printf`, `cat` and `tee` of what is given."""
    words = core(command.words)
    name = program(words[0]) if words else ""
    if name == "echo":
        rest = words[1:]
        escapes = False
        while rest and rest[0].startswith("-") and rest[0] != "-" and not rest[0][1:].strip("neE"):
            escapes = escapes or "e" in rest[0]
            rest = rest[1:]
        text = " ".join(rest)
        return (unescape(text) if escapes else text) + "\n"
    if name == "printf" and len(words) > 1:
        form, *values = words[1:]
        text = unescape(form)
        for value in values[:_DEPTH]:
            text = text.replace("%s", value, 1)
        return text.replace("%%", "%")
    if name == "tee" or (name == "cat" and not operands(words)):
        return given(command, depth)
    return None
