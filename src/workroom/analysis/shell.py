"""bash text as simple commands: quotes, here-documents, pipes, lists, subshells, substitutions, comments.

One pass over the text, so that it takes linear time. Nothing is expanded or run: `$x` stays as it is, and of `$(...)`
the commands within are told as commands of their own. What is no bash at all gives some commands, never an error.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from workroom.analysis.shell_words import DEPTH, Words

LIMIT: Final = 100_000  # characters of one text that are looked at
_BLANK = re.compile(r"(?:[ \t\r\f\v]|\\\n)+")
_CLOSE = re.compile(r"[ \t]*\)")
_PATTERN = re.compile(r"\s*(?!esac\b)\(?[^()\n;]{0,200}\)")
_NEXT_LINE = re.compile(r"[^\n]*")
_REDIRECT = re.compile(r"&?(?:<<-|<<<|<<|<&|<>|<|>>|>&|>\||>)")
_RESERVED = frozenset("if then else elif fi while until do done { } ! time".split())


@dataclass(slots=True)
class Command:
    """A simple command. `words` are without quotes; `redirects` are operator and target, `>` and `out.txt`.

    `stdin`: a here-document or here-string, None where there is none. `piped`: it reads from a pipe, of which `source`
    is the other end where that is a simple command. `arithmetic`: the texts of `$((...))` and `((...))` in it.
    """

    words: list[str] = field(default_factory=list)
    redirects: list[tuple[str, str]] = field(default_factory=list)
    stdin: str | None = None
    piped: bool = False
    source: "Command | None" = None
    arithmetic: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.words or self.redirects or self.arithmetic)


def parse(text: str) -> list[Command]:
    """The simple commands of a bash text, of the first `LIMIT` characters, in the order in which they end."""
    parser = _Parser(text[:LIMIT], 0)
    parser.read()
    return parser.commands


@dataclass(slots=True)
class _HereDocument:
    command: Command
    delimiter: str
    tabs: bool
    literal: bool


class _Parser(Words):
    """Adds the commands that it reads to `commands`."""

    def __init__(self, text: str, depth: int) -> None:
        super().__init__(text, depth)
        self.commands: list[Command] = []
        self._waiting: list[_HereDocument] = []
        self._cases = 0  # that are open

    def read(self, end: str = "") -> None:
        """Commands up to the closing parenthesis `end`, or to the end of the text."""
        text, command = self.text, Command()
        outer, self.arithmetic, cases, self._cases = self.arithmetic, [], self._cases, 0
        while self.at < len(text):
            if blank := _BLANK.match(text, self.at):
                self.at = blank.end()
                continue
            char = text[self.at]
            if char == ")":
                self.at += 1
                if end:
                    break
                command = Command()
            elif char == "#":
                self._line()
            elif char in "\n;|&" and text[self.at : self.at + 2] != "&>":
                command = self._separator(command)
            elif char == "(":
                command = self._parenthesis(command)
            elif operator := _REDIRECT.match(text, self.at):
                self._redirect(command, operator.group())
            else:
                self._word_of(command)
        self._done(command)
        self.arithmetic, self._cases = outer, cases

    def _separator(self, command: Command) -> Command:
        """What ends a command; gives the next one."""
        char = self.text[self.at]
        following = Command()
        if char == "|" and not self.text.startswith("||", self.at):
            following.piped = True
            following.source = command if command.words else None
        self._done(command)
        if self._cases and self.text.startswith(";;", self.at):
            self.at += 2
            self._pattern()
            return following
        while self.at < len(self.text) and self.text[self.at] in ";|&" and self.text[self.at : self.at + 2] != "&>":
            self.at += 1
        if char == "\n":
            self.at += 1
            self._here_documents()
            following.piped = command.piped and not command
            following.source = command.source if following.piped else None
        return following

    def _parenthesis(self, command: Command) -> Command:
        if not command.words and self.text.startswith("((", self.at) and self.take_arithmetic(self.at + 2):
            return command
        self.at += 1
        if len(command.words) == 1 and (close := _CLOSE.match(self.text, self.at)):
            self.at = close.end()
            return Command()  # what was read is the name of a function
        if self.depth < DEPTH:
            self.nested()
        return command

    def nested(self) -> None:
        self.depth += 1
        self.read(")")
        self.depth -= 1

    def inside(self, text: str) -> None:
        inner = _Parser(text, self.depth + 1)
        inner.read()
        self.commands += inner.commands

    def _done(self, command: Command) -> None:
        command.arithmetic += self.arithmetic
        self.arithmetic = []
        if command:
            self.commands.append(command)

    def _line(self) -> None:
        self.at = _NEXT_LINE.match(self.text, self.at).end()  # type: ignore[union-attr]

    def _word_of(self, command: Command) -> None:
        """Reads a word into the command, unless it is one of the shell's own."""
        start = self.at
        word = self.word()
        if command.words or command.redirects or self.text[start] in "'\"\\":
            command.words.append(word)
        elif word == "case":
            self._skip_blanks()
            self.word()
            self._skip_blanks()
            if self.text.startswith("in", self.at):
                self.at += 2
            self._cases += 1
            self._pattern()
        elif word == "esac":
            self._cases = max(self._cases - 1, 0)
        elif word == "function":
            self._skip_blanks()
            self.word()
        elif word == "[[":
            self._test()
        elif word not in _RESERVED:
            command.words.append(word)

    def _pattern(self) -> None:
        """The pattern of a case, up to its parenthesis."""
        if found := _PATTERN.match(self.text, self.at):
            self.at = found.end()

    def _skip_blanks(self) -> None:
        while blank := _BLANK.match(self.text, self.at):
            self.at = blank.end()

    def _test(self) -> None:
        """`[[ ... ]]`, in which < and && are no operators of the shell."""
        while self.at < len(self.text) and self.text[self.at] != "\n":
            self._skip_blanks()
            before = self.at
            if self.word() == "]]":
                return
            if self.at == before:
                self.at += 1

    def _redirect(self, command: Command, operator: str) -> None:
        if operator in ("<", ">") and self.text.startswith("(", self.at + 1):  # process substitution
            self.at += 2
            if self.depth < DEPTH:
                self.nested()
            command.words.append(operator + "()")
            return
        if command.words and command.words[-1].isdigit() and self.at and self.text[self.at - 1].isdigit():
            operator = command.words.pop() + operator  # 2> file
        self.at += len(operator.lstrip("0123456789"))
        self._skip_blanks()
        start = self.at
        target = self.word()
        kind = operator.lstrip("0123456789")
        if kind == "<<<":
            command.stdin = target
        elif kind in ("<<", "<<-"):
            literal = any(mark in self.text[start : self.at] for mark in "'\"\\")
            self._waiting.append(_HereDocument(command, target, kind == "<<-", literal))
        else:
            command.redirects.append((operator, target))

    def _here_documents(self) -> None:
        """Reads the bodies that were announced on the line before."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            lines = []
            while self.at < len(self.text):
                start = self.at
                self._line()
                line = self.text[start : self.at]
                self.at += 1
                if one.tabs:
                    line = line.lstrip("\t")
                if line.rstrip("\r") == one.delimiter:
                    break
                lines.append(line + "\n")
            body = "".join(lines)
            one.command.stdin = body if one.literal else self._expanded(body)

    def _expanded(self, body: str) -> str:
        """A here-document without its escapes; the commands in its substitutions are told."""
        if self.depth >= DEPTH or not ("$(" in body or "`" in body or "\\" in body):
            return body
        inner = _Parser(body, self.depth + 1)
        parts: list[str] = []
        inner.quoted(parts, "")
        self.commands += inner.commands
        self.arithmetic += inner.arithmetic
        return "".join(parts)
