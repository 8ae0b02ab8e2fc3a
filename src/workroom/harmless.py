"""Text from models and sandboxes made fit to be shown.

A model or a program in the sandbox can print escape sequences that retitle the window, forge earlier lines or fill
the clipboard, and characters that reorder or hide text. None of them reaches a person's screen: they become `\\u{..}`.
"""

import unicodedata

_KEPT = frozenset("\n\t")
_ESCAPED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
# Invisible, though Unicode counts them as letters or marks: joiner, Hangul fillers, Khmer inherent vowels.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def harmless(text: str) -> str:
    r"""The text with every control, bidirectional, zero-width and tag character shown as `\u{..}`.

    Newlines and tabs stay; a carriage return stays only as part of a line end, where it is dropped.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if _shown(char) else f"\\u{{{ord(char):x}}}" for char in text.replace("\r\n", "\n"))


def _shown(char: str) -> bool:
    if char in _KEPT:
        return True
    if char in _INVISIBLE or "\U000e0100" <= char <= "\U000e01ef":
        return False
    return unicodedata.category(char) not in _ESCAPED


def one_line(text: str) -> str:
    """Harmless text on one line, runs of white space as one blank."""
    return " ".join(harmless(text).split())
