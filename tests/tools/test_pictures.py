"""`view` of pictures: shown, sized, described, and what is no picture or a hostile one."""

import struct
import zlib

import pytest

from tests.conftest import RunInBox
from tests.tools.helpers import use
from workroom.sandbox import Sandbox
from workroom.tools import EditorTool, Observation
from workroom.tools.picture_header import Header, read_header
from workroom.tools.pictures import SIDE, SIZE

MAKE = """
import random, PIL.Image as I
def new(name, mode, size, color=0, format=None, **rest):
    I.new(mode, size, color).save(name, format, **rest)
new('small.png', 'RGB', (40, 30), 'red')
new('small.jpg', 'RGB', (40, 30), 'red')
new('disguised.txt', 'RGB', (40, 30), 'red', 'PNG')
new('wide.png', 'RGBA', (3000, 1500), (0, 0, 255, 9))
new('deep.png', 'I;16', (20, 10), 60000)
new('bit.png', '1', (1600, 800), 1)
new('palette.png', 'P', (1600, 80))
new('grey.bmp', 'L', (20, 10))
new('huge.bmp', 'RGB', (2000, 2000))
new('print.jpg', 'CMYK', (1600, 80))
new('flat.webp', 'RGB', (20, 10), lossless=True)
new('lossy.webp', 'RGB', (20, 10))
new('alpha.webp', 'RGBA', (20, 10), (1, 2, 3, 4))
turned = I.Exif(); turned[0x0112] = 6
new('turned.jpg', 'RGB', (3136, 200), exif=turned)
I.new('L', (20, 10)).save('moving.gif', save_all=True, append_images=[I.new('L', (20, 10), 255)])
noise = random.Random(7).randbytes(900 * 900 * 3)
I.frombytes('RGB', (900, 900), noise).save('noise.png')
data = open('noise.png', 'rb').read()
open('cut.png', 'wb').write(data[:5000])
open('tail.jpg', 'wb').write(open('small.jpg', 'rb').read()[:300])
open('empty.png', 'wb')
open('text.png', 'w').write('no picture\\n')
open('drawing.svg', 'w').write('<svg xmlns="http://www.w3.org/2000/svg"/>\\n')
"""

# name: format, size of the file, size as shown, media type as shown
SHOWN: dict[str, tuple[str, tuple[int, int], tuple[int, int], str]] = {
    "small.png": ("PNG", (40, 30), (40, 30), "image/png"),
    "small.jpg": ("JPEG", (40, 30), (40, 30), "image/jpeg"),
    "disguised.txt": ("PNG", (40, 30), (40, 30), "image/png"),
    "wide.png": ("PNG", (3000, 1500), (SIDE, SIDE // 2), "image/png"),
    "deep.png": ("PNG", (20, 10), (20, 10), "image/png"),
    "bit.png": ("PNG", (1600, 800), (SIDE, SIDE // 2), "image/png"),
    "palette.png": ("PNG", (1600, 80), (SIDE, 78), "image/png"),
    "grey.bmp": ("BMP", (20, 10), (20, 10), "image/png"),
    "huge.bmp": ("BMP", (2000, 2000), (SIDE, SIDE), "image/png"),
    "print.jpg": ("JPEG", (1600, 80), (SIDE, 78), "image/jpeg"),
    "flat.webp": ("WebP", (20, 10), (20, 10), "image/png"),
    "lossy.webp": ("WebP", (20, 10), (20, 10), "image/png"),
    "alpha.webp": ("WebP", (20, 10), (20, 10), "image/png"),
    "turned.jpg": ("JPEG", (3136, 200), (100, SIDE), "image/jpeg"),
    "moving.gif": ("GIF", (20, 10), (20, 10), "image/png"),
    "noise.png": ("PNG", (900, 900), (900, 900), "image/jpeg"),
}


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 10^10 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + header, b"IDAT" + zlib.compress(bytes(10_000))]
    packed = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


async def made(box: Sandbox) -> None:
    done = await box.exec(["python3", "-c", MAKE], cwd="/testbed")
    assert done.exit_code == 0, done.stderr
    await box.write("bomb.png", bomb())
    await box.exec("mkfifo pipe.png; ln -s small.png link.png; mkdir folder.png", cwd="/testbed")


async def view(box: Sandbox, name: str, *, vision: bool = True, part: list[int] | None = None) -> Observation:
    return await use(EditorTool(vision=vision), box, command="view", path=f"/testbed/{name}", view_range=part)


def test_pictures_are_shown_and_sized(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await made(box)
        for name, (kind, size, shown, media_type) in SHOWN.items():
            seen = await view(box, name)
            assert not seen.is_error, seen.text
            [image] = seen.images
            assert image.media_type == media_type, name
            assert read_header(image.data) == Header(media_type[6:].upper(), shown), name
            assert len(image.data) <= SIZE
            data = await box.read(name, limit=20 << 20)
            assert (
                f"/testbed/{name} is a {kind} picture of {size[0]} x {size[1]} pixels ({len(data):,} bytes)"
                in seen.text
            )
            assert ("scaled to" in seen.text) == (size != shown), name
            assert (seen.facts["format"], seen.facts["shown"]) == (kind, list(shown))
            if name.startswith("small") or name == "disguised.txt":
                assert image.data == data
        assert "the first of 2 frames" in (await view(box, "moving.gif")).text
        assert (await view(box, "link.png")).images

    run_in_box(work)


def test_what_is_no_picture_or_a_hostile_one(run_in_box: RunInBox) -> None:
    said = {
        "bomb.png": "cannot be shown: it has 100000 x 100000 pixels, more than 64,000,000",
        "cut.png": "cannot be shown: it is damaged (OSError: ",
        "tail.jpg": "cannot be shown: it is damaged (",
        "pipe.png": "regular",
        "small.png": "`view_range` is not allowed for a picture",
    }

    async def work(box: Sandbox) -> None:
        await made(box)
        for name, words in said.items():
            seen = await view(box, name, part=[1, 2] if name == "small.png" else None)
            assert seen.is_error, name
            assert words in seen.text
            assert not seen.images
        assert "is empty" in (await view(box, "empty.png")).text
        assert "1\tno picture" in (await view(box, "text.png")).text
        svg = await view(box, "drawing.svg")
        assert "1\t<svg" in svg.text
        assert "make a PNG of it" in svg.text
        assert not (await view(box, "folder.png")).is_error
        assert "binary file" in (await view(box, "../bin/ls")).text

    run_in_box(work)


def test_a_model_that_cannot_see_is_told_what_it_is(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await made(box)
        for name, (kind, size, _, _) in SHOWN.items():
            seen = await view(box, name, vision=False)
            assert f"/testbed/{name} is a {kind} picture of {size[0]} x {size[1]} pixels (" in seen.text
            assert not seen.images
        command = seen.text.partition("for example: ")[2]
        done = await box.exec(command)
        assert done.stdout.startswith("(900, 900) RGB"), done.stderr

    run_in_box(work)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("rm -r $(python3 -c 'import PIL; print(PIL.__path__[0])')", None),
        ("rm $(readlink -f $(which python3)) $(which python3)", None),
        ("echo 'print(1); raise SystemExit' > $(python3 -c 'import PIL; print(PIL.__file__)')", "did not decode it"),
    ],
    ids=["no Pillow", "no Python", "a lie"],
)
def test_without_pillow_only_what_is_small_enough_is_shown(run_in_box: RunInBox, spoil: str, said: str | None) -> None:
    async def work(box: Sandbox) -> None:
        await made(box)
        assert (await box.exec(spoil)).exit_code == 0
        small = await view(box, "small.png")
        if said is not None:
            assert said in small.text
            return
        [image] = small.images
        assert image.data == await box.read("small.png")
        for name in ("wide.png", "moving.gif", "noise.png"):
            assert "python3 with Pillow is missing" in (await view(box, name)).text

    run_in_box(work)


def test_headers_that_are_cut_or_lie() -> None:
    for data in (b"", b"\x89PNG\r\n\x1a", b"RIFF1234WAVE", b"BM", b"BM" + b"\1" * 40, b"GIF90a", b"\xff\xd8"):
        assert read_header(data) is None
    for start, kind in ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff\xe0\0\x10", "JPEG"), (b"GIF89a\1", "GIF")):
        assert read_header(start) == Header(kind)
    assert read_header(b"\xff\xd8\xff" + b"\xff" * 100) == Header("JPEG")
    assert read_header(b"\xff\xd8\xff\xe0\0\0" * 50) == Header("JPEG")
