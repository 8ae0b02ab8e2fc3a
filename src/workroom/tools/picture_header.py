"""What kind of picture some bytes begin, told from their header alone: nothing is decoded here."""

import struct
from dataclasses import dataclass

HEAD = 1 << 18  # bytes in which a header is looked for; a JPEG has its size behind previews and profiles
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # the markers of frames, which tell the size


@dataclass(frozen=True, slots=True)
class Header:
    """`format` is PNG, JPEG, GIF, WebP or BMP. The size in pixels is None where it was not found."""

    format: str
    size: tuple[int, int] | None = None


def read_header(data: bytes) -> Header | None:
    """The header, None where the bytes begin no picture of these kinds."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Header("PNG", _unpack(">II", data, 16) if data[12:16] == b"IHDR" else None)
    if data.startswith(b"\xff\xd8\xff"):
        return Header("JPEG", _jpeg_size(data))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Header("GIF", _unpack("<HH", data, 6))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Header("WebP", _webp_size(data))
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        size = _unpack("<ii", data, 18)
        return Header("BMP", size and (size[0], abs(size[1])))
    return None


def _unpack(form: str, data: bytes, offset: int) -> tuple[int, int] | None:
    try:
        width, height = struct.unpack_from(form, data, offset)
    except struct.error:
        return None
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    offset = 2
    while offset + 9 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker in _JPEG_SIZES:
            size = _unpack(">HH", data, offset + 5)
            return size and (size[1], size[0])
        standalone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        offset += (1 if marker == 0xFF else 2) if standalone else 2 + int.from_bytes(data[offset + 2 : offset + 4])
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    size = _unpack("<HH", data, 26) if kind == b"VP8 " else None
    return size and (size[0] & 0x3FFF, size[1] & 0x3FFF)
