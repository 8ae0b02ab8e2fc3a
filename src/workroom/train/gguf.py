"""From a folder in Hugging Face form to a GGUF, which llama.cpp serves."""

import struct
from pathlib import Path

from workroom.models.local.gguf import read_header

_ALIGNMENT = 32
_BEGIN = 4 + 4 + 8 + 8  # magic, version, numbers of tensors and of fields


def copy_metadata(gguf: Path, target: Path) -> None:
    """Writes a GGUF that has all metadata and the vocabulary of `gguf`, and no weights."""
    header = read_header(gguf)
    with gguf.open("rb") as file:
        data = file.read(header.metadata_end)
    begin = data[:4] + struct.pack("<IQ", header.version, 0) + data[16:_BEGIN]
    body = begin + data[_BEGIN:]
    target.write_bytes(body + b"\0" * (-len(body) % _ALIGNMENT))
