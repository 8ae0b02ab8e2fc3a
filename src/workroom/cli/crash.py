"""An error that nobody foresaw: one sentence for the user, everything else in a file."""

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from workroom.cli.text import one_line
from workroom.redaction import Redactor


def report_crash(error: BaseException, folder: Path | None = None) -> int:
    """Writes the traceback into `folder` (default: the cache), says so on stderr, and gives exit code 1."""
    path = _write(_without_secrets("".join(traceback.format_exception(error))), folder)
    what = one_line(_without_secrets(f"{type(error).__name__}: {error}"))[:300]
    where = f"; the details are in {path}" if path else ""
    sys.stderr.write(f"workroom: internal error, please report it: {what}{where}\n")
    return 1


def _write(text: str, folder: Path | None) -> Path | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "workroom"
    for place in (folder, cache, Path(tempfile.gettempdir())):
        if place is None:
            continue
        path = place / ("traceback.txt" if place == folder else f"traceback-{time.strftime('%Y%m%d-%H%M%S')}.txt")
        try:
            place.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None


def _without_secrets(text: str) -> str:
    """An error message may quote a request; keys of the environment are taken out of it."""
    for name, value in os.environ.items():
        if len(value) >= 8 and name.upper().endswith(("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")):
            text = text.replace(value, f"<{name}>")
    return Redactor().text(text)
