"""`view` of a picture: shown to a model that can see, described to one that cannot.

A picture is decoded and scaled inside the sandbox, by the image's own Python and Pillow: the file may be hostile. Here
only the beginning and the size of what came back are checked.
"""

import json
import shlex
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from workroom.errors import ToolError, TransferError
from workroom.models.base import Image
from workroom.tools.arguments import shorten
from workroom.tools.base import Observation
from workroom.tools.picture_header import HEAD, Header, read_header

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox

SIDE = 1568  # pixels of the longer side as shown: providers scale down what is larger, and bill it first
SIZE = 1 << 20  # bytes of a picture as shown
_TIMEOUT = 60.0
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}
_PYTHON = "look at it with Python in execute_bash"
_WHOLE = 10 << 20  # bytes of a picture that is looked at where no program is run


async def view_picture(path: str, sandbox: "Sandbox", *, vision: bool, part: Any = None) -> Observation | None:
    """What `view` gives for a picture; None where the file is none.

    Raises ToolError for a picture that is damaged or too large to be decoded, or of which a `part` is asked for.
    """
    found = await _head(path, sandbox)
    if found is None:
        return None
    if part is not None:
        raise ToolError("`view_range` is not allowed for a picture; leave it out")
    header, size = found
    facts: dict[str, Any] = {"command": "view", "path": path, "format": header.format, "bytes": size}
    if not vision:
        return Observation(_described(path, header, size, executes=sandbox.executes), facts=facts)
    image, told = await _shown(path, header, size, sandbox)
    width, height = told["shown"]
    text = f"{path} is a {header.format} picture of {told['width']} x {told['height']} pixels ({size:,} bytes)"
    if told.get("frames", 1) != 1:
        text += f", of which the first of {told['frames']} frames is shown"
    if (width, height) != (told["width"], told["height"]):
        text += f", scaled to {width} x {height} to be shown"
    facts |= {"width": told["width"], "height": told["height"], "shown": [width, height]}
    return Observation(f"{text}. You see it with this result.", facts=facts, images=(image,))


async def _head(path: str, sandbox: "Sandbox") -> tuple[Header, int] | None:
    """Header and size in bytes of a picture file."""
    if not sandbox.executes:
        return await _whole(path, sandbox)
    quoted = shlex.quote(path)
    command = f"test -f {quoted} && stat -Lc %s -- {quoted} && head -c {HEAD} -- {quoted}"
    result = await sandbox.exec(["/bin/sh", "-c", command], timeout=_TIMEOUT, output=2 * HEAD)
    size, _, head = result.stdout_bytes.partition(b"\n")
    header = read_header(head) if result.exit_code == 0 and size.isdigit() and len(size) < 20 else None
    return (header, int(size)) if header else None


async def _whole(path: str, sandbox: "Sandbox") -> tuple[Header, int] | None:
    """The same without a program: the model may have changed every one that is there."""
    try:
        data = await sandbox.read(path, limit=_WHOLE)
    except (OSError, TransferError):
        return None
    header = read_header(data[:HEAD])
    return (header, len(data)) if header else None


def _described(path: str, header: Header, size: int, *, executes: bool) -> str:
    pixels = f" of {header.size[0]} x {header.size[1]} pixels" if header.size else ""
    if not executes:
        return f"{path} is a {header.format} picture{pixels} ({size:,} bytes). You cannot be shown pictures."
    code = shlex.quote(f"from PIL import Image; i = Image.open({path!r}); print(i.size, i.mode, i.getextrema())")
    return (
        f"{path} is a {header.format} picture{pixels} ({size:,} bytes). You cannot be shown pictures; {_PYTHON}, "
        f"for example: python3 -c {code}"
    )


async def _shown(path: str, header: Header, size: int, sandbox: "Sandbox") -> tuple[Image, dict[str, Any]]:
    """The picture as it is shown, and what the script tells of it."""
    if not sandbox.executes:
        return await _unchanged(path, header, size, sandbox)
    argv = ["python3", "-I", "-c", _script(), path, str(SIDE), str(SIZE)]
    result = await sandbox.exec(argv, timeout=_TIMEOUT, cwd="/", output=SIZE + 65_536)
    line, _, data = result.stdout_bytes.partition(b"\n")
    told = _told(line)
    if result.exit_code == 127 or told.get("error") == "no Pillow":
        return await _unchanged(path, header, size, sandbox)
    name = f"the picture {shorten(path, 300)}"
    if result.timed_out or "memory" in result.limits_hit or result.exit_code == 137:
        what = "memory" if not result.timed_out else "time"
        raise ToolError(f"{name} needs too much {what} to be decoded; make a smaller one of it, or {_PYTHON}")
    if "error" in told:
        error = shorten(str(told["error"]), 300)
        raise ToolError(f"{name} cannot be shown: {error}. Make it anew, or {_PYTHON}")
    made = read_header(data)
    right = all(type(told.get(key)) is int and 0 < told[key] < 1 << 31 for key in ("width", "height", "frames"))
    if (
        not right
        or made is None
        or made.size is None
        or max(made.size) > SIDE
        or made.format not in _MEDIA_TYPES
        or len(data) > SIZE
    ):
        raise ToolError(f"{name} cannot be shown: python3 in the sandbox did not decode it; {_PYTHON}")
    return Image(_MEDIA_TYPES[made.format], data), {**told, "shown": made.size}


async def _unchanged(path: str, header: Header, size: int, sandbox: "Sandbox") -> tuple[Image, dict[str, Any]]:
    """The file as it is, where nothing inside can scale it and it need not be scaled."""
    if header.format not in _MEDIA_TYPES or header.size is None or max(header.size) > SIDE or size > SIZE:
        bounds = f"a PNG of at most {SIDE} pixels a side and {SIZE:,} bytes"
        why = f"only {bounds} can be"
        if sandbox.executes:
            why = f"since python3 with Pillow is missing; install it (pip install pillow), or save {bounds}"
        raise ToolError(f"the picture {shorten(path, 300)} cannot be made ready to be shown, {why}")
    try:
        data = await sandbox.read(path, limit=SIZE)
    except TransferError as error:
        raise ToolError(str(error)) from error
    if read_header(data) != header:
        raise ToolError(f"the picture {shorten(path, 300)} is changing; view it again once it is written")
    width, height = header.size
    return Image(_MEDIA_TYPES[header.format], data), {"width": width, "height": height, "shown": header.size}


def _told(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@cache
def _script() -> str:
    return files(__package__).joinpath("picture_script.py").read_text("utf-8")
