"""Checkpoint files: one line that says what it is, then what the backend has packed.

The line is JSON with `workroom_checkpoint` (the version of this form), `backend`, `image` (its digest) and `layers`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox.image import Image

VERSION = 1
_LINE = 4096


@contextmanager
def created(path: Path, backend: str, image: Image, layers: int) -> Iterator[int]:
    """A new file with its line written; yields a descriptor for what follows. It is on the disk after the block."""
    head = {"workroom_checkpoint": VERSION, "backend": backend, "image": image.digest, "layers": layers}
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"the checkpoint {path} cannot be written: {error.strerror}") from error
    try:
        os.write(file, json.dumps(head).encode() + b"\n")
        yield file
        os.fsync(file)
    except OSError as error:
        raise SandboxUnavailable(f"the checkpoint {path} cannot be written: {error.strerror}") from error
    finally:
        os.close(file)


@contextmanager
def opened(path: Path, backend: str, image: Image) -> Iterator[tuple[int, int]]:
    """Yields a descriptor behind the line, and the number of layers. Raises ConfigError where it does not fit."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"the checkpoint {path} cannot be read: {error.strerror}") from error
    try:
        line, found, _ = os.read(file, _LINE).partition(b"\n")
        try:
            head = json.loads(line) if found else None
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("workroom_checkpoint") != VERSION:
            raise ConfigError(f"{path} is no checkpoint of a sandbox that this version of workroom can read")
        if head.get("backend") != backend:
            raise ConfigError(f"{path} is a checkpoint of the backend {head.get('backend')}, not of {backend}")
        if head.get("image") != image.digest:
            raise ConfigError(
                f"{path} was made over the image {str(head.get('image'))[:12]}, not over {image.name} "
                f"({image.digest[:12]}): build that one, or name it with image="
            )
        os.lseek(file, len(line) + 1, os.SEEK_SET)
        yield file, int(head.get("layers", 1))
    finally:
        os.close(file)
