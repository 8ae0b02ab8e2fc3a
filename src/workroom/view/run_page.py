"""The page of a run: also of one that is under way, was killed, is damaged or was imported."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from workroom.errors import ConfigError
from workroom.trajectory.files import MANIFEST
from workroom.trajectory.reader import read_json, whole_text
from workroom.view.artefacts import ALL, EACH, Artefact, artefacts, read_artefact, style_sources, within
from workroom.view.page import assemble
from workroom.view.parts import LONG, cut
from workroom.view.turns import CHUNK, Turns

if TYPE_CHECKING:
    from workroom.trajectory.events import EpisodeStarted

FORMAT: Final = 1
_MOST_DOCUMENTS: Final = 2000  # that are listed
_TITLE: Final = 120  # characters
_LONGEST: Final = 2000  # characters of a name or an error in the head
_LIMITS = ("max_turns", "max_tokens", "max_cost", "max_time")
_SETTINGS = ("network", "image", "style", "temperature", "seed", "tool_protocol")


class RunSource:
    """A run as data of a page. It may go on meanwhile: `advance` reads what is new.

    `root`: what is shown in all, out of which nothing may lead. Raises ConfigError where there is no run, where it
    cannot be read, or is elsewhere.
    """

    def __init__(self, directory: Path, *, root: Path | None = None, each: int = EACH, total: int = ALL) -> None:
        self.directory = directory
        self._root = (root or directory).resolve()
        self.turns = Turns(directory / "events.jsonl")
        self._each, self._total = each, total
        self._run: dict[str, Any] = {}
        self._files: list[Artefact] = []
        self.alive = False
        self.advance()

    def advance(self) -> bool:
        """Reads what is new, and says whether anything is."""
        before = self._run, self.alive
        for path in (self.turns.log, self.directory / "run.json", self.files_dir):
            if not path.resolve().is_relative_to(self._root) or path.is_symlink():
                raise ConfigError(f"{path} is a link, or leads out of {self._root}: a run that is shown has none")
        if not self.turns.log.is_file():
            raise ConfigError(f"there is no run in {self.directory} (no events.jsonl); name the directory of a run")
        try:
            self._run = read_json(self.directory / "run.json")
            if before[0].get("started") != self._run.get("started"):  # another run took the place of this one
                self.turns = Turns(self.turns.log)
            self.alive = _is_written(self.turns.log, self._run)
            grown = self.turns.advance(ended=not self.alive)
        except OSError as error:
            raise ConfigError(f"the run in {self.directory} cannot be read: {error.strerror} (events.jsonl)") from error
        changed = (self._run, self.alive) != before
        if changed or not self.alive:
            name = self._run.get("manifest")
            found = artefacts(self.files_dir, name if isinstance(name, str) else MANIFEST)
            self._files = within(found, self._each, self._total)
        return grown or changed

    @property
    def files(self) -> list[Artefact]:
        """What the run left, as far as it is there."""
        return self._files

    def index(self, after: int = 0) -> dict[str, Any]:
        """What the page knows at once: the facts of the run, its files, and its rows from the one numbered `after`.

        Where a run goes on, a row that was there may change as long as it is the last one; after a resumption earlier
        ones may be void, and `voided` counts these.
        """
        rows = self.turns.rows
        return {
            "format": FORMAT,
            "kind": "run",
            "title": self.title,
            **self._facts(),
            "files": [_file_record(number, artefact) for number, artefact in enumerate(self._files)],
            "damaged": self.turns.damaged,
            "live": self.alive,
            "chunk": CHUNK,
            "bytes": rows[-1].end if rows else 0,
            "voided": sum(row.void for row in rows),
            "after": after,
            "rows": [row.record() for row in rows[after:]],
        }

    @property
    def title(self) -> str:
        """The first words of the task."""
        words = " ".join(self._prompt()[:1000].split())
        return f"{words[:_TITLE]}…" if len(words) > _TITLE else words or self.directory.name

    def chunk(self, name: str) -> bytes:
        """A chunk that the index or another chunk names. Raises KeyError where there is none."""
        if name in ("prompt", "answer"):
            return (self._prompt() if name == "prompt" else self._answer() or "").encode()
        return self.turns.chunk(name)

    def chunks(self) -> Iterator[tuple[str, bytes]]:
        """Every chunk with its name, for a page that has no server to ask; the files come last, as `file-N`."""
        for name in ("prompt", "answer"):
            if len(text := self.chunk(name)) > LONG:
                yield name, text
        yield from self.turns.chunks()
        for number, artefact in enumerate(self._files):
            data = read_artefact(self.files_dir, artefact.path, artefact.size) if artefact.embedded else None
            if data is not None:
                yield f"file-{number}", data

    @property
    def files_dir(self) -> Path:
        """Where the files are that the run left."""
        return self.directory / "files"

    def _prompt(self) -> str:
        """The task's text; of a run that does not tell it, what the model was asked last before it began."""
        task = self._run.get("task")
        if isinstance(task, dict) and isinstance(task.get("prompt"), str):
            return whole_text(task["prompt"])
        started = self.turns.started
        asked = [one.get("content") for one in started.messages if one.get("role") == "user"] if started else []
        return asked[-1] if asked and isinstance(asked[-1], str) else ""

    def _answer(self) -> str | None:
        finished = self.turns.finished
        return finished.answer if finished is not None else None

    def _facts(self) -> dict[str, Any]:
        """The facts of the run's head. Of what run.json does not tell, the log may."""
        run, started, end, last = self._run, self.turns.started, self.turns.finished, self.turns.last
        answer = self._answer()
        settings = run.get("config") if isinstance(run.get("config"), dict) else {}
        facts: dict[str, Any] = {
            "task": _short(started.task) if started else None,
            "prompt": cut(self._prompt(), "prompt"),
            "documents": _documents(run, started),
            "model": _short(started.model if started else run.get("model")),
            "mode": started.mode if started else _short(_setting(settings, "mode")),
            "sandbox": _sandbox(run),
            "status": self._status(),
            "stop_reason": end.stop_reason if end else None,
            "error": _short(end.error if end else run.get("error")),
            "answer": None if answer is None else cut(answer, "answer"),
            "turns": end.turns if end else sum(row.kind == "turn" and not row.void for row in self.turns.rows),
            "usage": end.usage.model_dump() if end else None,
            "cost": end.cost if end else None,
            "duration": end.duration if end else last.elapsed if last else None,
            "model_seconds": end.model_seconds if end else None,
            "tool_seconds": end.tool_seconds if end else None,
            "started": run.get("started"),
            "limits": {name: _setting(settings, name) for name in _LIMITS},
            "settings": {name: _setting(settings, name) for name in _SETTINGS},
            "versions": _told(run.get("versions")),
            "origin": _told(run.get("imported_from")),
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _status(self) -> str:
        if self.alive:
            return "running"
        status = self._run.get("status")
        return "killed" if status == "running" or not isinstance(status, str) else status


def index(directory: Path, after: int = 0) -> dict[str, Any]:
    """See `RunSource.index`."""
    return RunSource(directory).index(after)


def chunk(directory: Path, name: str) -> bytes:
    """See `RunSource.chunk`."""
    return RunSource(directory).chunk(name)


def write(directory: Path, target: Path, *, each: int = EACH, total: int = ALL) -> Path:
    """Writes the page of the run in a directory, in the place of the file that is there at once.

    `each`, `total`: bytes of a file, and of all together, that go into the page; what is larger is listed. Raises
    ConfigError where there is no run, or where the target cannot be written.
    """
    source = RunSource(directory, each=each, total=total)
    pieces = assemble(
        title=source.title,
        kind="run",
        index={**source.index(), "live": False},
        chunks=source.chunks(),
        styles=style_sources(source.files_dir, source.files),
    )
    return write_pieces(target, pieces)


def write_pieces(target: Path, pieces: Iterable[bytes]) -> Path:
    """Writes a file piece by piece, and puts it in the place of the one that is there once it is whole.

    Raises ConfigError where that is not possible.
    """
    temporary = target.with_name(f"{target.name}.tmp.{os.getpid()}")
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):  # the page would take a device's place
            raise ConfigError(f"{target} is no regular file: name one with -o FILE.html")
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}; choose another with -o FILE") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def _is_written(log: Path, run: dict[str, Any]) -> bool:
    """Whether a process is at work on the run, which holds a lock as long as it is."""
    if run.get("status") in ("finished", "failed"):
        return False
    with log.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _short(value: Any) -> str | None:
    """A text of the run's head, which nobody has made long in earnest."""
    return value[:_LONGEST] if isinstance(value, str) else None


def _documents(run: dict[str, Any], started: "EpisodeStarted | None") -> list[dict[str, Any]]:
    """Names of the documents, with sizes where the run tells them."""
    task = run.get("task")
    kept = task.get("documents") if isinstance(task, dict) else None
    told = kept if isinstance(kept, dict) else {}
    names = list(told) or (started.documents if started else [])
    return [{"name": _short(name), "size": _document_size(told.get(name))} for name in names[:_MOST_DOCUMENTS]]


def _document_size(entry: Any) -> int | None:
    if not isinstance(entry, dict):
        return None
    if isinstance(entry.get("text"), str):
        return len(entry["text"].encode("utf-8", "replace"))
    if isinstance(entry.get("base64"), str):
        return len(entry["base64"]) * 3 // 4
    return entry["size"] if isinstance(entry.get("size"), int) else None


def _setting(settings: Any, name: str) -> Any:
    entry = settings.get(name) if isinstance(settings, dict) else None
    return entry.get("value") if isinstance(entry, dict) else None


def _sandbox(run: dict[str, Any]) -> dict[str, str] | None:
    told = run.get("sandbox")
    if not isinstance(told, dict):
        return None
    return _told({name: told.get(name) for name in ("backend", "image", "network", "notices")})


def _told(values: Any) -> dict[str, str] | None:
    """An object of run.json as texts by name; None where it is none."""
    if not isinstance(values, dict):
        return None
    texts = {
        name: "; ".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in values.items()
    }
    return {name[:_LONGEST]: text[:_LONGEST] for name, text in texts.items() if text}


def _file_record(number: int, artefact: Artefact) -> dict[str, Any]:
    """`href`: the path as a server takes it, percent-encoded byte by byte."""
    record = asdict(artefact) | {"path": whole_text(os.fsencode(artefact.path).decode("utf-8", "replace"))}
    return record | {"chunk": f"file-{number}", "href": quote(os.fsencode(artefact.path))}
