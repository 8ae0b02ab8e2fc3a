"""Files as text and back, so that what an edit does not touch keeps its bytes."""

import codecs
import re
from dataclasses import dataclass

from workroom.errors import ToolError

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HIGH_RUNS = re.compile(rb"[\x80-\xff]{2,}")
_HIGH = re.compile(rb"[\x80-\xff]")
_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_SAMPLE = 1 << 16  # bytes that an encoding is guessed from


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file stores its text: the codec, and the byte order mark that it begins with.

    `damaged`: UTF-8 with bytes in between that are none, each kept as half of a surrogate pair.
    """

    codec: str = "utf-8"
    mark: bytes = b""
    damaged: bool = False

    @property
    def errors(self) -> str:
        return "surrogateescape" if self.damaged else "strict"

    def encode(self, text: str) -> bytes:
        """The bytes of the text. Raises ToolError for characters that this encoding lacks."""
        try:
            return self.mark + text.encode(self.codec, self.errors)
        except UnicodeEncodeError as error:
            raise ToolError(
                f"the file is in {self.codec}, which has no {text[error.start]!r}; nothing was written. "
                "Convert it first, for example: iconv -f {0} -t utf-8 OLD > NEW".format(self.codec.upper())
            ) from None


def decode(data: bytes, path: str) -> tuple[str, Encoding]:
    """The text of a file and how it is stored. Raises ToolError for a binary file."""
    for encoding in _candidates(data):
        try:
            text = data[len(encoding.mark) :].decode(encoding.codec, encoding.errors)
        except UnicodeDecodeError:
            continue
        guessed = encoding.damaged or not encoding.codec.startswith("utf-")
        if "\0" not in text and not (guessed and _CONTROLS.search(text)) and encoding.encode(text) == data:
            return text, encoding
    raise ToolError(f"{path} is a binary file ({len(data):,} bytes), not text")


def _candidates(data: bytes) -> list[Encoding]:
    first = _HIGH.search(data)
    sample = data[first.start() : first.start() + _SAMPLE] if first else b""
    high = len(_HIGH.findall(sample))
    damaged = 2 * sum(map(len, _UTF_8.findall(sample))) > high
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return [Encoding(codec, mark), *([Encoding(codec, mark, damaged=True)] if codec == "utf-8" else [])]
    # Cyrillic words are runs of high bytes; in Western European text they stand alone among ASCII letters.
    cyrillic = 2 * sum(map(len, _HIGH_RUNS.findall(sample))) > high
    legacy = ["cp1251", "latin-1"] if cyrillic else ["cp1252", "latin-1"]
    return [Encoding(), *([Encoding(damaged=True)] if damaged else []), *map(Encoding, legacy)]
