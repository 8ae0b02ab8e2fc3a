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
            if record.exc_info and record.exc_info[0] is not None:
                line["error"] = record.exc_info[0].__name__  # what it says may quote what somebody said
            message = json.dumps(line, ensure_ascii=True)
        try:
            sys.stderr.write(message + "\n")
            sys.stderr.flush()
        except OSError:
            return  # nobody reads it any more: no reason to stop serving


def start_logging(*, quiet: bool) -> None:
    """From now on all logs of this process go to standard error; `quiet`: only what went wrong."""
    root = logging.getLogger()
    root.addHandler(JsonLines())
    root.setLevel(logging.WARNING)
    if not quiet:
        logging.getLogger("workroom").setLevel(logging.INFO)
