"""The header of a GGUF file: what a model is, without its weights and without a library for them.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError

_MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says before its weights.

    `fields`: its metadata; of an array only its length. `parameters`: numbers in all its tensors. `metadata_end`: the
    byte after the metadata, where the list of tensors begins.
    """

    version: int
    fields: dict[str, Any]
    parameters: int
    tensors: int
    metadata_end: int

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    @property
    def context(self) -> int | None:
        """Tokens that the model was made for."""
        return self._size("context_length")

    @property
    def hidden(self) -> int | None:
        """Numbers in a token's hidden states over all layers."""
        layers, width = self._size("block_count"), self._size("embedding_length")
        return layers * width if layers and width else None

    def _size(self, name: str) -> int | None:
        value = self.fields.get(f"{self.architecture}.{name}")
        return int(value) if value else None

    @property
    def chat_template(self) -> str | None:
        value = self.fields.get("tokenizer.chat_template")
        return value if isinstance(value, str) and value.strip() else None


def read_header(path: Path) -> Header:
    """Reads the header alone: a few milliseconds for each hundred thousand tokens of the vocabulary.

    Raises ConfigError for what is no GGUF file, is cut off in its header or of another version.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != _MAGIC:
                raise ConfigError(f"{path} is no GGUF file")
            return _Cursor(data).header(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except (struct.error, ValueError, UnicodeDecodeError, KeyError) as error:
        raise ConfigError(f"{path} is no whole GGUF file: its header ends or goes wrong in the middle") from error


class _Cursor:
    """Walks over the bytes of a header."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 4

    def header(self, path: Path) -> Header:
        version = self.number("I")
        if version not in _VERSIONS:
            raise ConfigError(f"{path} is GGUF of version {version}; versions 2 and 3 are read")
        tensors, count = self.number("Q"), self.number("Q")
        fields = {}
        for _ in range(count):
            key = self.text()
            fields[key] = self.value(self.number("I"))
        end = self.at
        parameters = sum(self.tensor() for _ in range(tensors))
        return Header(version, fields, parameters, tensors, end)

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self) -> str:
        length = self.number("Q")
        if self.at + length > len(self.data):
            raise ValueError("a text goes beyond the end of the file")
        self.at += length
        return str(self.data[self.at - length : self.at], "utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array()
        return self.number(_NUMBERS[kind])

    def array(self) -> int:
        """Goes over an array and returns its length."""
        kind, count = self.number("I"), self.number("Q")
        if kind in _NUMBERS:
            self.at += int(count) * struct.calcsize("<" + _NUMBERS[kind])
            return int(count)
        for _ in range(count):
            if kind == _STRING:
                self.at += 8 + struct.unpack_from("<Q", self.data, self.at)[0]
            else:
                self.value(kind)
        return int(count)

    def tensor(self) -> int:
        """Goes over the description of a tensor and returns how many numbers it holds."""
        self.text()
        shape = [self.number("Q") for _ in range(self.number("I"))]
        self.number("I")
        self.number("Q")
        return math.prod(shape)
