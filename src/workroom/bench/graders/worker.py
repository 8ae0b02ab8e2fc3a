"""A worker process: grades what comes over a socket, and dies with the process that started it.

frame: 8 bytes of the request's number, 8 of the length, then so many bytes. Request: a pickled `Request`. Replies: an
empty frame once the grader is loaded, then the score as JSON, with `spent` where the worker is not to be used again.
Nothing that comes back is unpickled, and standard input and output are not part of it, so that a grader may print what
it likes.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import math
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO, cast

from workroom.bench.score import Score
from workroom.task import Task

HEAD = struct.Struct(">QQ")
LARGEST_REPLY = 16 << 20  # bytes

Grade = Callable[[Task, str], Any]


@dataclass(frozen=True, slots=True)
class Request:
    """`function` is `module:function`, `FILE.py:function`, or the path of a file with a function `grade`. `libraries`
    are loaded first, so that the time they take is not the answer's."""

    function: str
    libraries: tuple[str, ...]
    task: Task
    answer: str


def main() -> None:
    """Serves until the other end is closed. Arguments: the socket's descriptor, the parent's id, bytes of memory."""
    descriptor, parent, memory = (int(argument) for argument in sys.argv[1:4])
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before that
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rwb") as stream:
        channel.set_inheritable(False)
        _serve(stream)


def _serve(stream: Any) -> None:
    functions: dict[str, Grade] = {}
    own = os.getpid()
    while (found := _receive(stream)) is not None:
        number, frame = found
        request: Request = pickle.loads(frame)
        score, spent = _grade(request, functions, partial(_send, stream, number, b""))
        if os.getpid() != own:  # the grader has forked: only one of the two may answer
            os._exit(0)
        try:
            reply = _reply(score, spent)
        except (TypeError, ValueError, RecursionError) as error:
            reply = _reply(Score(None, f"the grader gave details that are no JSON: {error}"), spent)
        _send(stream, number, reply)


def _grade(request: Request, functions: dict[str, Grade], loaded: Callable[[], None]) -> tuple[Score, bool]:
    """The score, and whether this process has had too much of it. `loaded` is called once the grader is."""
    step = "be loaded"
    try:
        if request.function not in functions:
            for library in request.libraries:
                importlib.import_module(library)
            functions[request.function] = load(request.function)
        loaded()
        step = "grade this"
        return as_score(functions[request.function](request.task, request.answer)), False
    except (MemoryError, RecursionError) as error:
        return Score(None, f"the grader ran out of {'memory' if isinstance(error, MemoryError) else 'stack'}"), True
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - a grader may raise what it likes
        return Score(None, f"the grader could not {step}: {type(error).__name__}: {error}"[:500]), False


def _reply(score: Score, spent: bool) -> bytes:
    reply = {"value": score.value, "reason": score.reason, "extracted": score.extracted, "details": score.details}
    return json.dumps(reply | {"spent": spent}, allow_nan=False).encode()


def load(function: str) -> Grade:
    """The function of that name, see `Request`. Whatever its module raises."""
    place, _, name = (function, "", "grade") if function.endswith(".py") else function.rpartition(":")
    if not place.endswith(".py"):
        return cast("Grade", getattr(importlib.import_module(place), name))
    path = Path(place)
    spec = importlib.util.spec_from_file_location(f"grader_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    own = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.parent))  # it may have modules beside it
    spec.loader.exec_module(own)
    return cast("Grade", getattr(own, name))


def as_score(result: Any) -> Score:
    """What a grader gave as a score. Anything but a `Score`, a number from 0 to 1 or None is unscored."""
    score = result if isinstance(result, Score) else Score(result)
    value = score.value
    if value is None:
        return score if score.reason else Score(None, "the grader gave no score", score.extracted, score.details)
    if not isinstance(value, Real) or not math.isfinite(value) or not 0 <= value <= 1:
        return Score(None, f"the grader gave {value!r:.100}, which is no score from 0 to 1")
    return Score(float(value), score.reason, score.extracted, score.details)


def _receive(stream: BinaryIO) -> tuple[int, bytes] | None:
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    number, length = HEAD.unpack(head)
    return number, stream.read(length)


def _send(stream: BinaryIO, number: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone, and so will this be
        stream.write(HEAD.pack(number, len(data)) + data)
        stream.flush()
