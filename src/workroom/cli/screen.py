"""Where a verb writes: the answer to stdout, activity to stderr."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workroom.cli.live import View, wants_colour
from workroom.cli.text import harmless, one_line
from workroom.errors import WorkroomError
from workroom.redaction import Redactor

if TYPE_CHECKING:
    from workroom.trajectory.events import Event


class Screen:
    """Standard output and standard error as one run uses them.

    `as_json`: events go to stdout, one a line. `quiet`: stderr gets errors only. `on_gone` is called once when nobody
    reads stdout any more.
    """

    on_gone: Callable[[], object] | None = None

    def __init__(self, *, as_json: bool = False, quiet: bool = False, max_turns: int | None = None) -> None:
        colour = sys.stdout.isatty() and wants_colour(sys.stderr, os.environ)
        live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.as_json = as_json
        self._redactor = Redactor()
        self.view = View(sys.stderr, colour=colour, live=live, quiet=quiet, max_turns=max_turns)

    @contextmanager
    def warnings(self) -> Iterator[None]:
        """Shows what the package warns of as notices, not in Python's own form."""
        handler = _Warnings(self.view)
        logger = logging.getLogger("workroom")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def event(self, event: "Event") -> None:
        """Shows an event of the episode."""
        self.view.event(event)
        if self.as_json and not event.live_only:
            self.line(event.model_dump(mode="json"))

    def line(self, record: dict[str, Any]) -> None:
        """One JSON line on stdout; ASCII only, so that no terminal can be told anything by it."""
        self._write(json.dumps(self._redactor.value(record)) + "\n")

    def answer(self, text: str) -> None:
        """The answer alone. What a terminal would obey is shown as `\\u{..}`; answer.txt has the exact text."""
        shown = harmless(text)
        self._write(shown if shown.endswith("\n") else shown + "\n")

    def error(self, message: str) -> None:
        """One sentence that is shown even with `--quiet`."""
        self.view.close()
        sys.stderr.write(f"workroom: {one_line(self._redactor.text(message))}\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still in the buffer goes nowhere, or Python would complain of it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if self.on_gone is not None:
                self.on_gone()
        except OSError as error:
            raise WorkroomError(f"standard output cannot be written: {error.strerror}") from error


class _Warnings(logging.Handler):
    def __init__(self, view: View) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        self._view.notice(record.getMessage())
