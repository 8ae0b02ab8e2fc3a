"""The server's log: one JSON object a line on standard error."""

import json
import logging
import sys
import time

from workroom.redaction import Redactor


class JsonLines(logging.Handler):
    """Lines about requests as they are, all else as `{"time", "level", "message"}`, without any key in it."""

    def __init__(self) -> None:
        super().__init__()
        self._redactor = Redactor()

    def emit(self, record: logging.LogRecord) -> None:
        message = self._redactor.text(record.getMessage())
        if record.name != "workroom.serve.requests":
            line = {"time": round(time.time(), 3), "level": record.levelname.lower(), "message": message}
            message = json.dumps(line, ensure_ascii=True)
        try:
            sys.stderr.write(message + "\n")
            sys.stderr.flush()
        except OSError:
            return  # nobody reads it any more: no reason to stop serving


def start_logging(*, quiet: bool) -> None:
    """From now on the package's log goes to standard error; `quiet`: only what went wrong."""
    logger = logging.getLogger("workroom")
    logger.addHandler(JsonLines())
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
