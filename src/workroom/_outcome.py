"""What comes of a run: its result, its directory's name, and what is left to say of one that was cut short."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.errors import ConfigError
from workroom.sandbox.base import OUTPUT_DIR, FileEntry
from workroom.trajectory.files import MANIFEST

if TYPE_CHECKING:
    from workroom.agent.limits import Prices
    from workroom.sandbox import Sandbox
    from workroom.trajectory.events import EpisodeFinished, Event, StopReason, TokenUsage
    from workroom.trajectory.rundir import RunDirectory


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave.

    `answer` is None where there is none. `files` are host paths of what the model left in `/testbed/output`.
    `error` is one sentence where the plant failed. `cost` in US dollars, None where the price is unknown; `duration` in
    seconds. `trajectory` is every event in order; `path` the run directory.
    """

    answer: str | None
    files: tuple[Path, ...]
    stop_reason: "StopReason"
    usage: "TokenUsage"
    trajectory: "tuple[Event, ...]"
    path: Path
    error: str | None = None
    cost: float | None = None
    turns: int = 0
    duration: float = 0.0


def slug(prompt: str) -> str:
    """The first words of a task, as a part of a directory's name."""
    return "-".join(re.findall(r"[a-z0-9]+", prompt.lower()))[:40].rstrip("-") or "task"


def default_directory(name: str) -> Path:
    """Makes `runs/<time>-<name>`, with a number where that is taken. Raises ConfigError where it cannot be made."""
    base = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    for number in count(1):
        path = base if number == 1 else Path(f"{base}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:  # also where `runs` is a file, or a link that leads nowhere
            if os.path.lexists(path):
                continue
            raise ConfigError(
                f"cannot make {path}: {path.parent} is no directory; choose another with -o DIR"
            ) from error
        except OSError as error:
            raise ConfigError(f"cannot make {path}: {error.strerror}; choose another with -o DIR") from error
        return path
    raise AssertionError("unreachable")


async def output_stamps(box: "Sandbox") -> dict[str, str]:
    """Size and time of the last change of each output file, by name; empty where the sandbox cannot tell."""
    found = await box.exec(["find", OUTPUT_DIR, "-type", "f", "-printf", r"%s %C@\t%P\0"], output=64 << 20)
    records = (record.partition("\t") for record in found.stdout.split("\0"))
    return {name: stamp for stamp, tab, name in records if tab}


def cut_short(events: "list[Event]", prices: "Prices | None") -> "EpisodeFinished":
    """The end of an episode that was stopped in the middle of a step, from what was recorded of it."""
    from workroom.agent.accounting import recorded, token_usage
    from workroom.trajectory.events import EpisodeFinished

    account = recorded(events, prices)
    turns = [event for event in events if event.type == "assistant"]
    return EpisodeFinished(
        stop_reason="interrupted",
        turns=len({turn.turn for turn in turns}),
        usage=token_usage(account.usage, account.environment, estimated=account.estimated),
        cost=account.cost,
        duration=events[-1].elapsed,
        model_seconds=sum(turn.duration for turn in turns),
        tool_seconds=sum(event.duration for event in events if event.type == "tool"),
    )


def result_of(directory: "RunDirectory", files: list[FileEntry]) -> RunResult:
    """The result of a run that has come to an end."""
    end = directory.finished
    assert end is not None
    return RunResult(
        answer=end.answer,
        files=tuple(directory.files_dir / entry.path for entry in files),
        stop_reason=end.stop_reason,
        usage=end.usage,
        trajectory=tuple(directory.events),
        path=directory.path,
        error=end.error,
        cost=end.cost,
        turns=end.turns,
        duration=end.duration,
    )


def present_files(directory: "RunDirectory") -> Iterator[FileEntry]:
    """The files that were brought out before something went wrong."""
    folder = directory.files_dir
    own = directory.run.get("manifest", MANIFEST if directory.run.get("files") else None)  # older runs do not say it
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and str(path.relative_to(folder)) != own:
            data = path.read_bytes()
            yield FileEntry(str(path.relative_to(folder)), len(data), hashlib.sha256(data).hexdigest())
