"""The documents of a run, found again where `run.json` says that they came from."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.inputs import collect_documents
from workroom.trajectory.reader import open_regular

if TYPE_CHECKING:
    from workroom.trajectory.rundir import RunDirectory

Content = str | bytes | Path


def find_documents(run: "RunDirectory", inputs: Sequence[Path], notice: Callable[[str], None]) -> dict[str, Content]:
    """The documents of the run: from `inputs` where they have the name, else from where the run had them.

    A document of `inputs` may differ from the recorded one, which `notice` is told. Raises ConfigError for a document
    that is missing or changed, and for an input that the run did not have.
    """
    names = run.started.documents if run.started else []
    given = collect_documents(inputs, notice)
    for name in given:
        if name not in names:
            raise ConfigError(f"the run had no document {name}; it had: {', '.join(names) or 'none'}")
    task = run.run.get("task")
    noted = task.get("documents") if isinstance(task, dict) else None
    found: dict[str, Content] = {}
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


def _recorded(name: str, origin: Mapping[str, Any]) -> Content:
    text, path = origin.get("text"), origin.get("path")
    if isinstance(text, str):
        return text
    if isinstance(origin.get("base64"), str):
        return base64.b64decode(origin["base64"])
    if not isinstance(path, str) or not isinstance(origin.get("sha256"), str):
        raise ConfigError(f"the run does not tell where its document {name} came from; hand it in with -i")
    try:
        changed = _digest(Path(path)) != origin["sha256"]
    except (OSError, ValueError) as error:  # a name with NUL is no name
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"the document {name} is no longer at {path} ({why}); hand it in with -i") from error
    if changed:
        raise ConfigError(f"the document {name} ({path}) has changed since the run; hand in the one of then with -i")
    return Path(path)


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
