"""The metrics of a training: `metrics.jsonl`, TensorBoard, and a line for the terminal.

A line of the file is `{"step", "kind", "time", "values"}`, there before the next step begins, so that a kill loses at
most a line that was being written, which the next session cuts off.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, Final, Literal, Self

from workroom.bench.lines import cut_torn_line, sound_lines
from workroom.trajectory.files import cannot_write, replace_file, to_json

Kind = Literal["train", "validation", "warm_start", "timing"]
Value = float | int | str | bool | None

FILE: Final = "metrics.jsonl"
BOARD: Final = "tensorboard"
_PACE = 10  # steps whose mean tells how long the others take


@dataclass(frozen=True, slots=True)
class Line:
    """Metrics of one step. Of `warm_start` the step is one of the supervised steps. `time`: seconds since the epoch."""

    step: int
    kind: Kind
    values: Mapping[str, Value]
    time: float = 0.0

    def record(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {"step": self.step, "kind": self.kind, "time": self.time, "values": dict(self.values)}


def read(directory: Path) -> Iterator[Line]:
    """The lines of a training, also of one that runs. A damaged one is told and left out."""
    return sound_lines(directory / FILE, _line)


def _line(record: dict[str, Any]) -> Line:
    return Line(int(record["step"]), record["kind"], dict(record["values"]), float(record.get("time", 0.0)))


class Ledger:
    """Writes the metrics of a training into its directory; a context manager.

    `resume_step`: the step of the checkpoint that the training goes on from, so that what came after it is written once
    more and its old lines are cut; None: it begins anew. What the warm start wrote stays. `on_metrics` is called with
    each record after it was written. Raises WorkroomError where nothing can be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        resume_step: int | None = None,
        tensorboard: bool = True,
        on_metrics: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._path = directory / FILE
        self._on_metrics = on_metrics
        self._board: Any = None
        kept = [] if resume_step is None else self._cut(resume_step)
        if resume_step is None:
            replace_file(self._path, b"")
        self._written = {(line.kind, line.step) for line in kept}
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        if tensorboard:
            self._board = _board(directory / BOARD, resume_step)

    def has(self, kind: Kind, step: int) -> bool:
        """Whether such a line is there, so that a validation is not made twice."""
        return (kind, step) in self._written

    def write(self, kind: Kind, step: int, values: Mapping[str, Value]) -> None:
        """Appends a line. What is no finite number becomes null."""
        line = Line(step, kind, dict(values), time.time())
        data = f"{to_json(line.record())}\n".encode()
        try:
            written = os.write(self._file, data)
            whole = written == len(data)
            if not whole:
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        if not whole:
            raise cannot_write(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self._written.add((kind, step))
        if self._board is not None:
            for name, value in line.values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)
            self._board.flush()
        if self._on_metrics is not None:
            self._on_metrics(line.record())

    def close(self) -> None:
        """Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._board is not None:
            self._board.close()
            self._board = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _cut(self, step: int) -> list[Line]:
        """Leaves what was written up to the step."""
        cut_torn_line(self._path)
        kept = [line for line in read(self._path.parent) if line.kind == "warm_start" or line.step <= step]
        replace_file(self._path, "".join(f"{to_json(line.record())}\n" for line in kept).encode(), durable=True)
        return kept


def _board(folder: Path, resume_step: int | None) -> Any:
    """TensorBoard's writer. What it wrote after the step is hidden from now on; its files cannot be cut."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=None if resume_step is None else resume_step + 1)


@dataclass
class Progress:
    """Lines for a terminal, from records as `Ledger` gives them. `steps`: of the whole training."""

    steps: int
    clock: Callable[[], float] = time.monotonic
    _pace: list[float] = field(default_factory=list)
    _last: float | None = None

    def line(self, record: Mapping[str, Any]) -> str:
        """What to say of a record; empty where there is nothing to say."""
        values: Mapping[str, Any] = record["values"]
        match record["kind"]:
            case "train":
                return self._train(int(record["step"]), values)
            case "warm_start":
                return " · ".join([f"warm start, step {record['step']}", *_shown(values, "loss")])
            case "validation":
                return " · ".join([f"held out after step {record['step']}", *_by_mode(values)])
        return ""

    def _train(self, step: int, values: Mapping[str, Any]) -> str:
        now = self.clock()
        took = values.get("step_seconds") if self._last is None else now - self._last
        self._last = now
        if isinstance(took, int | float):
            self._pace = [*self._pace, took][-_PACE:]
        parts = [f"step {step} of {self.steps}", *_shown(values, *_TRAIN)]
        left = self.steps - step
        if left > 0 and self._pace:
            parts.append(f"{duration(fmean(self._pace) * left)} left")
        return " · ".join(parts)


_TRAIN = ("reward", "success", "turns", "sampled_tokens", "step_seconds")
_WORDS: Mapping[str, Callable[[float], str]] = {
    "loss": lambda value: f"loss {value:.3f}",
    "reward": lambda value: f"reward {value:.2f}",
    "success": lambda value: f"success {100 * value:.0f} %",
    "turns": lambda value: f"{value:.1f} turns",
    "sampled_tokens": lambda value: f"{value:,.0f} tokens an episode",
    "step_seconds": lambda value: f"{value:.0f} s",
}


def _shown(values: Mapping[str, Any], *names: str) -> list[str]:
    return [_WORDS[name](values[name]) for name in names if isinstance(values.get(name), int | float)]


def _by_mode(values: Mapping[str, Any]) -> list[str]:
    """Of names such as `sandbox/success`."""
    modes = dict.fromkeys(name.partition("/")[0] for name in values if "/" in name)
    found = []
    for mode in modes:
        own = {name.partition("/")[2]: value for name, value in values.items() if name.startswith(f"{mode}/")}
        found += [f"{mode}: {', '.join(words)}" for words in [_shown(own, "reward", "success", "turns")] if words]
    return found


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as long as it is."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
