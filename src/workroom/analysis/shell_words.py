"""Words of a bash text: quotes, escapes, substitutions."""

import re
from typing import Final

DEPTH: Final = 40  # of nested substitutions and subshells; what is nested deeper is read as if it were not nested
_ARITHMETIC: Final = 4000  # characters in which the end of `$((` is looked for
_PATIENCE: Final = 100_000  # characters that are looked at in vain for it, in all
_PLAIN = re.compile(r"[^ \t\r\f\v\n'\"\\$`|&;()<>]+")
_IN_QUOTES = re.compile(r"[^\"\\$`]+")
_SPECIAL = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


class Words:
    """Reads on from `at`. What to do with the commands in a substitution is said by who reads commands.

    `arithmetic`: the texts of `$((...))` and `((...))` of the command that is being read.
    """

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self.arithmetic: list[str] = []
        self._more_braces = True
        self._patience = _PATIENCE

    def nested(self) -> None:
        """Reads the commands from here to the closing parenthesis, one deeper."""
        raise NotImplementedError

    def inside(self, text: str) -> None:
        """Reads the commands in a text that was between backquotes."""
        raise NotImplementedError

    def word(self) -> str:
        text, parts = self.text, []
        while self.at < len(text):
            if plain := _PLAIN.match(text, self.at):
                parts.append(plain.group())
                self.at = plain.end()
                continue
            char = text[self.at]
            if char == "'":
                parts.append(self._until("'", self.at + 1))
            elif char == '"':
                self.at += 1
                self.quoted(parts, '"')
            elif char == "\\":
                parts.append(text[self.at + 1 : self.at + 2].replace("\n", ""))
                self.at += 2
            elif char in "$`":
                self._dollar(parts, quoted=False)
            else:
                break
        return "".join(parts)

    def quoted(self, parts: list[str], end: str) -> None:
        """Text in double quotes, after the first of them; without `end` a here-document."""
        text = self.text
        while self.at < len(text):
            if plain := _IN_QUOTES.match(text, self.at):
                parts.append(plain.group())
                self.at = plain.end()
                continue
            char = text[self.at]
            if char == end:
                self.at += 1
                return
            if char == "\\":
                escaped = text[self.at + 1 : self.at + 2]
                parts.append(
                    "" if escaped == "\n" else escaped if escaped in '$`\\"'[: 4 if end else 3] else char + escaped
                )
                self.at += 2
            elif char == '"':
                parts.append(char)
                self.at += 1
            else:
                self._dollar(parts, quoted=True)

    def _dollar(self, parts: list[str], *, quoted: bool) -> None:
        """What begins with a dollar, or a backquote."""
        text, at = self.text, self.at
        following = text[at + 1 : at + 2]
        if text[at] == "`":
            self._backquoted()
            parts.append("$()")
        elif following == "(" and text[at + 2 : at + 3] == "(" and self.take_arithmetic(at + 3):
            parts.append("$(())")
        elif following == "(" and self.depth < DEPTH:
            self.at += 2
            self.nested()
            parts.append("$()")
        elif following == "{" and self._more_braces:
            close = text.find("}", at)
            self._more_braces = close >= 0
            self.at = close + 1 if close >= 0 else at + 2
            parts.append(text[at : self.at])
        elif following == "'" and not quoted:
            self._ansi(parts)
        else:
            self.at += 1
            if following != '"' or quoted:
                parts.append("$")

    def _ansi(self, parts: list[str]) -> None:
        """`$'...'`, with escapes."""
        text, at = self.text, self.at + 2
        start = at
        while at < len(text) and text[at] != "'":
            at += 2 if text[at] == "\\" else 1
        self.at = at + 1
        parts.append(unescape(text[start:at]))

    def _backquoted(self) -> None:
        start = at = self.at + 1
        text = self.text
        while at < len(text) and text[at] != "`":
            at += 2 if text[at] == "\\" else 1
        self.at = at + 1
        if self.depth < DEPTH:
            inside = text[start:at].replace("\\`", "`").replace("\\\\", "\\")
            self.inside(inside)

    def _until(self, mark: str, start: int) -> str:
        end = self.text.find(mark, start)
        end = len(self.text) if end < 0 else end
        self.at = end + 1
        return self.text[start:end]

    def take_arithmetic(self, start: int) -> bool:
        """Takes an arithmetic expression that begins at `start`, if it is one: closed by two parentheses at once."""
        depth, at = 0, start
        for at in range(start, min(len(self.text), start + min(_ARITHMETIC, self._patience))):
            char = self.text[at]
            if char == "(":
                depth += 1
            elif char == ")" and depth:
                depth -= 1
            elif char == ")":
                if not self.text.startswith("))", at):
                    break
                self.arithmetic.append(self.text[start:at])
                self.at = at + 2
                return True
        self._patience -= at - start
        return False


def unescape(text: str) -> str:
    r"""The text with `\n`, `\t` and their like as the characters that they mean."""
    return _SPECIAL.sub(lambda match: _ESCAPES.get(match[1], match[1] if match[1] in "\\'\"" else match[0]), text)
