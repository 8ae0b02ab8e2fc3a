"""The files that a user hands in: from paths on the host to names below `/testbed/documents`."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from workroom.errors import ConfigError


def collect_documents(paths: Iterable[str | Path], notice: Callable[[str], None]) -> dict[str, str | Path]:
    """Name → host path for every input file, in a stable order.

    A file gets its own name; of a directory all that is in it, folders kept. A link inside a directory is followed
    only where it stays inside; others, and what is no file (sockets, pipes, devices), are left out and told to
    `notice`. Raises ConfigError for a missing or unreadable path and for two inputs with one name.
    """
    documents: dict[str, str | Path] = {}
    origins: dict[str, Path] = {}
    for given in map(Path, paths):
        for name, path in _walk(given, notice) if _is_directory(given) else [(_own_name(given), given)]:
            _check_name(name, path)
            clash = _clash(name, origins)
            if clash is not None:
                raise ConfigError(
                    f"two inputs would both be documents/{clash}: {origins[clash]} and {path}; rename one"
                )
            _check_readable(path)
            documents[name] = path.resolve()
            origins[name] = path
            for parent in Path(name).parents[:-1]:
                origins.setdefault(f"{parent}/", path)
    return documents


def _own_name(path: Path) -> str:
    """The name of a file; `..` and the like are resolved first."""
    return path.name if path.name not in ("", "..") else path.resolve().name


def _clash(name: str, origins: dict[str, Path]) -> str | None:
    """The name already taken that a file of this name collides with: the same file, or a file as a folder's name."""
    if name in origins:
        return name
    if f"{name}/" in origins:
        return f"{name}/"
    return next((str(parent) for parent in Path(name).parents if str(parent) in origins), None)


def _is_directory(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ConfigError(f"the input {path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"the input {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise ConfigError(f"the input {path} is neither a file nor a directory; write its content to a file first")
    return stat.S_ISDIR(mode)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"the input {path} cannot be read: {error.strerror}") from error


def _check_name(name: str, path: Path) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"the input {str(path)!r} has a name that is not UTF-8 text; rename it") from None


def _walk(top: Path, notice: Callable[[str], None]) -> Iterator[tuple[str, Path]]:
    """Files below a directory as (relative name, path). Links to directories inside would repeat files: left out."""
    root = top.resolve()
    skipped: list[str] = []

    def failed(error: OSError) -> None:
        raise ConfigError(f"the input {error.filename} cannot be read: {error.strerror}")

    for folder, folders, files in os.walk(root, onerror=failed):
        folders.sort()
        here = Path(folder)
        skipped += [str((here / name).relative_to(root)) for name in folders if (here / name).is_symlink()]
        for name in sorted(files):
            path = here / name
            relative = str(path.relative_to(root))
            if _is_inside(path, root):
                yield relative, path
            else:
                skipped.append(relative)
    if skipped:
        shown = ", ".join(skipped[:3]) + (", …" if len(skipped) > 3 else "")
        notice(f"left out of {top}: {len(skipped)} that are links or no files ({shown})")


def _is_inside(path: Path, root: Path) -> bool:
    """A regular file that lies in `root` also after links are followed. A broken or looping link is none."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return real.is_relative_to(root) and real.is_file()
