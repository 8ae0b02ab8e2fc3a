"""The directory of a training: whether one may begin or go on in it, its lock, and what is written into it at first."""

import fcntl
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import workroom
from workroom.errors import ConfigError
from workroom.train.config import OutputSection, TrainConfig
from workroom.train.config_file import dump, keys, load
from workroom.trajectory.files import replace_file, to_json

CONFIG: Final = "config.toml"
FACTS: Final = "training.json"
PACKAGES: Final = ("torch", "transformers", "trl", "verl", "accelerate", "datasets")
# What may be another when a training goes on. Where it leaves things, and when, is not compared either.
CHANGEABLE: Final = frozenset(
    ("algorithm.steps", "algorithm.micro_batch", "rollout.concurrency", "validation.every", "validation.modes")
)


def check(directory: Path, config: TrainConfig, *, resume: bool) -> None:
    """Raises ConfigError where a training must not begin there, or cannot go on there as it is configured now."""
    there = (directory / CONFIG).is_file()
    if resume:
        if not there:
            raise ConfigError(f"there is no training in {directory} to go on with: leave out --resume")
        _check_same(directory, config)
    elif there:
        raise ConfigError(
            f"there is a training in {directory}: go on with it with --resume, or choose another with -o DIR"
        )
    elif directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise ConfigError(f"{directory} is not empty and holds no training; choose another with -o DIR")


@contextmanager
def opened(directory: Path, config: TrainConfig, *, resume: bool) -> Iterator[Path]:
    """The directory, made where it is missing, locked, with the configuration and the facts of this session in it.

    Raises ConfigError as `check` does, where the directory cannot be made, and where another process trains in it.
    """
    check(directory, config, resume=resume)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"cannot make {directory}: {error.strerror}; choose another with -o DIR") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"another process trains in {directory}: wait for it, or choose another") from error
        here = config.model_copy(update={"output": _placed(config.output, directory)})
        replace_file(directory / CONFIG, dump(here).encode(), durable=True)
        replace_file(directory / FACTS, to_json(_facts(directory), indent=2).encode())
        yield directory
    finally:
        os.close(lock)


def facts(directory: Path) -> dict[str, Any]:
    """What `training.json` says; empty where there is none, or one that cannot be read."""
    import json

    try:
        found = json.loads((directory / FACTS).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _placed(output: OutputSection, directory: Path) -> OutputSection:
    """With it, `workroom train DIR/config.toml --resume` is enough to go on."""
    return output.model_copy(update={"dir": directory.resolve()})


def _check_same(directory: Path, config: TrainConfig) -> None:
    before = load_kept(directory)
    for key in keys():
        was, now = _value(before, key), _value(config, key)
        if was != now and key not in CHANGEABLE and not key.startswith("output."):
            raise ConfigError(
                f"the training in {directory} was begun with {key} = {was!r} and cannot go on with {now!r}: put it "
                "back, or begin another with -o DIR"
            )


def load_kept(directory: Path) -> TrainConfig:
    """The configuration of a training, from its directory. Raises ConfigError where it cannot be read any more."""
    return load(directory / CONFIG)


def _value(config: TrainConfig, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _facts(directory: Path) -> dict[str, Any]:
    """Versions, machine and the sessions so far; this one is the last."""
    before = facts(directory).get("sessions")
    session = {
        "started": time.time(),
        "command": shlex.join(["workroom", *sys.argv[1:]]),
        "versions": versions(),
    }
    return {
        "machine": {
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
            "python": platform.python_version(),
        },
        "sessions": [*(before if isinstance(before, list) else []), session],
    }


def _processor() -> str:
    """What the kernel calls it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def versions() -> dict[str, str]:
    """Of workroom and of the packages that train, as far as they are there."""
    found = {"workroom": workroom.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
