"""Writing files so that a crash or a full disk never leaves half of one in the place of a good one."""

import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any

from workroom.errors import WorkroomError

MANIFEST = "manifest.json"  # of the files of a run, where the model has left none of that name
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON in ASCII, so that half surrogates and NUL are written as escapes. NaN and infinities become null."""
    try:
        if indent is None:
            return _encode(value)  # `dumps` makes an encoder every time
        return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, indent=indent)


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Puts the data in the place of the file at once: temporary file, rename.

    `durable`: with fsync of the file and its directory, so that it outlasts a power failure, too. That takes
    milliseconds in which the whole process waits: only for what cannot be derived again. Raises WorkroomError where it
    fails; the old file is still there then.
    """
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # it cannot be removed either, on a read-only file system
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def sync_directory(path: Path) -> None:
    """Makes the names in a directory outlast a power failure."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def cannot_write(path: Path, error: OSError) -> WorkroomError:
    """The error to raise for a result that cannot be stored."""
    return WorkroomError(
        f"cannot write {path}: {error.strerror or error}; what was written before is intact: make room or choose "
        "another output directory, and run again"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
