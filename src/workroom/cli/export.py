"""`workroom export` and `workroom import`."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from workroom.cli.screen import Screen
from workroom.errors import ConfigError
from workroom.trajectory.files import cannot_write


def export_verb(directory: Path, form: str, out: Path | None) -> int:
    """Writes the runs in or below the directory in a format, to the file or to standard output."""
    from workroom.trajectory.export import export_runs, find_runs

    view = Screen().view
    runs = find_runs(directory)
    with _target(out) as stream:
        written = export_runs(runs, form, stream, view.notice)
        if not written:  # raised in here, so that an older file stays
            raise ConfigError(f"none of the {len(runs)} runs in {directory} could be exported as {form}")
    if out is not None:
        view.progress(f"{written} run{'' if written == 1 else 's'} in {out}")
    return 0


def import_verb(file: Path, out: Path) -> int:
    """Makes run directories of a file and gives their paths on standard output."""
    from workroom.trajectory.imports import import_file

    for path in import_file(file, out):
        sys.stdout.write(f"{path}\n")
    return 0


@contextlib.contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there once it is whole; what was there before stays until then."""
    if out is None:
        yield sys.stdout
        return
    temporary = out.with_name(f"{out.name}.tmp.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            yield stream
        temporary.replace(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        temporary.unlink(missing_ok=True)
