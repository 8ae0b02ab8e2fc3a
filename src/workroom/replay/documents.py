"""Where the documents of a run came from: noted when it begins, found again when it is replayed."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.inputs import collect_documents

if TYPE_CHECKING:
    from workroom.trajectory.rundir import RunDirectory

_LONGEST = 1 << 20  # bytes of a document without a file that is kept in run.json


def origins(documents: Mapping[str, str | Path]) -> dict[str, dict[str, Any]]:
    """What `run.json` keeps of each document: size, SHA-256, and the host path; of a text that has none, the text."""
    return {name: _origin(content) for name, content in documents.items()}


def find_documents(run: "RunDirectory", inputs: Sequence[Path], notice: Callable[[str], None]) -> dict[str, str | Path]:
    """The documents of the run: from `inputs` where they have the name, else from where the run had them.

    A document of `inputs` may differ from the recorded one, which `notice` is told. Raises ConfigError for a document
    that is missing or changed, and for an input that the run did not have.
    """
    names = run.started.documents if run.started else []
    given = collect_documents(inputs, notice)
    for name in given:
        if name not in names:
            raise ConfigError(f"the run had no document {name}; it had: {', '.join(names) or 'none'}")
    noted = run.run.get("documents")
    found: dict[str, str | Path] = {}
    for name in names:
        origin = noted.get(name) if isinstance(noted, dict) else None
        origin = origin if isinstance(origin, dict) else {}
        if name in given:
            found[name] = given[name]
            if origin.get("sha256") not in (None, _digest(Path(given[name]))):
                notice(f"the document {name} is not the one that the run had")
        else:
            found[name] = _recorded(name, origin)
    return found


def _origin(content: str | Path) -> dict[str, Any]:
    if isinstance(content, str):
        data = content.encode("utf-8", "surrogatepass")
        about: dict[str, Any] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return about | {"text": content} if len(data) <= _LONGEST else about
    try:
        return {"path": str(content.resolve()), "size": content.stat().st_size, "sha256": _digest(content)}
    except OSError:  # the episode will say so
        return {"path": str(content)}


def _recorded(name: str, origin: Mapping[str, Any]) -> str | Path:
    text, path = origin.get("text"), origin.get("path")
    if isinstance(text, str):
        return text
    if not isinstance(path, str) or not isinstance(origin.get("sha256"), str):
        raise ConfigError(f"the run does not tell where its document {name} came from; hand it in with -i")
    try:
        changed = _digest(Path(path)) != origin["sha256"]
    except OSError as error:
        raise ConfigError(
            f"the document {name} is no longer at {path} ({error.strerror}); hand it in with -i"
        ) from error
    if changed:
        raise ConfigError(f"the document {name} ({path}) has changed since the run; hand in the one of then with -i")
    return Path(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
