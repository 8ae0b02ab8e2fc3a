"""Runs inside the sandbox, never on the host: decodes a picture and makes it small enough to be shown.

Arguments: path, longest side in pixels, bytes. Prints one line of JSON, then the picture as PNG or JPEG. The line has
`error`, or `width`, `height` and `frames` of the file. A PNG or JPEG that is small enough follows byte for byte.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

MOST_PIXELS = 64_000_000  # a file of a few bytes may hold more than the memory does
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


def tell(data: bytes = b"", **facts: Any) -> NoReturn:
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n" + data)
    sys.exit()


def plain(image: Any) -> Any:
    """The picture in 8 bits a channel, as grey, RGB or RGBA."""
    if image.mode.startswith(("I", "F")):
        low, high = image.getextrema()
        scale = 255 / ((high - low) or 1)
        return image.convert("F").point(lambda value: value * scale - low * scale).convert("L")
    modes = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGBA", "LA": "RGBA", "PA": "RGBA", "RGBA": "RGBA"}
    return image.convert(modes.get(image.mode, "RGB"))


def encodings(image: Any, white: Any, *, photo: bool) -> Iterator[bytes]:
    """The picture in ever fewer bytes."""
    out = io.BytesIO()
    if not photo:
        image.save(out, "PNG")
        yield out.getvalue()
    if image.mode == "RGBA":
        white.paste(image, mask=image.getchannel("A"))
        image = white
    while True:
        for quality in (90, 75, 55, 35):
            out = io.BytesIO()
            image.convert("RGB").save(out, "JPEG", quality=quality)
            yield out.getvalue()
        image = image.resize((max(image.width // 2, 1), max(image.height // 2, 1)))


def show(path: str, side: int, size: int) -> NoReturn:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        tell(error="no Pillow")
    Image.MAX_IMAGE_PIXELS = None  # the bound here is stricter, and no warning
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MOST_PIXELS:
        tell(error=f"it has {width} x {height} pixels, more than {MOST_PIXELS:,}")
    facts = {"width": width, "height": height, "frames": getattr(image, "n_frames", 1)}
    image.load()
    small = max(width, height) <= side and os.path.getsize(path) <= size  # noqa: PTH202
    if small and image.format in ("PNG", "JPEG") and facts["frames"] == 1:
        with open(path, "rb") as file:  # noqa: PTH123
            tell(file.read(), **facts)
    photo = image.format == "JPEG"
    image = plain(ImageOps.exif_transpose(image))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    made = encodings(image, Image.new("RGB", image.size, "white"), photo=photo)
    tell(next(data for data in made if len(data) <= size), **facts)


try:
    show(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
except MemoryError:
    tell(error="it needs too much memory")
except Exception as error:  # noqa: BLE001 - at a hostile file a decoder may raise anything
    tell(error=f"it is damaged ({type(error).__name__}: {error})")
