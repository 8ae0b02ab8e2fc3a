"""The keys of the configured providers, out of everything that a run leaves or a sandbox is given.

Each occurrence becomes as many asterisks, so that sizes and offsets stay. What is known as a key: the environment's
`..._API_KEY` and the like, the keys that models were opened with, and logins in their base URLs.
"""

import base64
import hashlib
import json
import mmap
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

if TYPE_CHECKING:
    from workroom.sandbox.base import FileEntry
    from workroom.task import Task
    from workroom.trajectory.events import Event

_VARIABLES = re.compile(r"\w+_API_KEY|ANTHROPIC_AUTH_TOKEN|OPENAI_ADMIN_KEY")
_URLS = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL")
_PARAMETER = re.compile(r"key|token|secret|password|signature|auth", re.IGNORECASE)

_remembered: set[str] = set()
_changes = 0  # of what is remembered


def remember(key: str) -> None:
    """Takes a key that a model is opened with."""
    _take(_worth_hiding([key]))


def forget(key: str) -> None:
    """Drops a key that was made for a single episode and is of no use any more: each one costs time in every text."""
    global _changes
    _remembered.difference_update(_worth_hiding([key]))
    _changes += 1


def remember_url(url: str) -> None:
    """Takes what is secret in a base URL."""
    _take(_worth_hiding(_secrets_of_url(url)))


def _take(keys: Iterable[str]) -> None:
    global _changes
    _remembered.update(keys)
    _changes += 1


def access_variables() -> dict[str, str]:
    """What of the environment gives access to models: keys, and where servers are."""
    return {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name) or name in _URLS}


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that needs no keys: without all that is named like one or holds one."""
    redactor = Redactor()
    return {
        name: value
        for name, value in environment.items()
        if name not in _URLS
        and not _VARIABLES.fullmatch(name)
        and not _PARAMETER.search(name)
        and redactor.text(value) == value
    }


class Redactor:
    """Takes the keys that are known out of texts, files, events and tasks. The environment is read once."""

    def __init__(self) -> None:
        found = [part for name, value in os.environ.items() if _VARIABLES.fullmatch(name) for part in _parts(value)]
        for name in _URLS:
            found += _secrets_of_url(os.environ.get(name, ""))
        self._own = frozenset(_worth_hiding(found))
        self._seen = -1
        self._forms: tuple[str, ...] = ()

    @property
    def forms(self) -> tuple[str, ...]:
        """Every key as it may be written, the longest first."""
        if self._seen != _changes:
            self._seen = _changes
            forms = {form for key in self._own | _remembered for form in _forms(key)}
            self._forms = tuple(sorted(forms, key=len, reverse=True))
        return self._forms

    def text(self, text: str) -> str:
        for form in self.forms:
            if form in text:
                text = text.replace(form, "*" * len(form))
        return text

    def data(self, data: bytes) -> bytes:
        for form in self.forms:
            data = data.replace(form.encode(), b"*" * len(form))
        return data

    def value(self, value: Any) -> Any:
        """A JSON value, keys of objects included; the same one where nothing is in it."""
        if not self.forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def arguments(self, arguments: str) -> str:
        """The raw arguments of a tool call, whose escapes may hide a key too."""
        arguments = self.text(arguments)
        if "\\u" not in arguments or not self.forms:
            return arguments
        try:
            given = json.loads(arguments)
            clean = self.value(given)
        except (ValueError, RecursionError):
            return arguments
        return arguments if clean == given else json.dumps(clean)

    def event(self, event: "Event") -> "Event":
        if not self.forms:
            return event
        values = event.model_dump()
        clean = self.value(values)
        return event if clean == values else type(event).model_validate(clean)

    def task(self, task: "Task") -> "tuple[Task, list[str]]":
        """The task without keys, and the names of its parts that held one."""
        if not self.forms:
            return task, []
        documents = {self.text(name): self._document(content) for name, content in task.documents.items()}
        clean = replace(task, prompt=self.text(task.prompt), documents=documents)
        names = ["the prompt"] if clean.prompt != task.prompt else []
        pairs = zip(documents, documents.values(), task.documents.values(), strict=True)
        names += [f"the document {name}" for name, new, old in pairs if new is not old]
        return clean, names

    def files(self, folder: Path, entries: "Iterable[FileEntry]") -> "tuple[list[FileEntry], list[str]]":
        """Overwrites the keys in these files below `folder`; their entries as they are now, and the names of those."""
        result, names = [], []
        for entry in entries:
            path, size = folder / entry.path, entry.size
            name = self.text(entry.path)
            if name != entry.path:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                path = path.rename(folder / name)
            if size and path.is_file() and self._overwrite(path):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                names.append(name)
            else:
                digest = entry.sha256
            result.append(replace(entry, path=name, sha256=digest))
        return result, names

    def _document(self, content: str | bytes | Path) -> str | bytes | Path:
        if isinstance(content, str):
            clean = self.text(content)
            return content if clean == content else clean
        data = content if isinstance(content, bytes) else self._read_if_it_holds_a_key(content)
        clean_data = None if data is None else self.data(data)
        return content if clean_data is None or clean_data == data else clean_data

    def _read_if_it_holds_a_key(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return data[:] if any(data.find(form.encode()) >= 0 for form in self.forms) else None
        except (OSError, ValueError):  # missing, which is told elsewhere; empty
            return None

    def _overwrite(self, path: Path) -> bool:
        changed = False
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
            for form in self.forms:
                key = form.encode()
                at = data.find(key)
                while at >= 0:
                    data[at : at + len(key)] = b"*" * len(key)
                    changed = True
                    at = data.find(key, at + len(key))
        return changed


def _parts(value: str) -> list[str]:
    """The keys of a variable, which may list several."""
    return [value.strip(), *re.split(r"[\s,]+", value)]


def _worth_hiding(values: Iterable[str]) -> set[str]:
    """Without the placeholders that servers without a key are given: `none`, `EMPTY`, `not-needed`."""
    return {
        value
        for value in values
        if len(value) >= 16 or (len(value) >= 8 and any(character.isdigit() for character in value))
    }


def _secrets_of_url(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        user, password = parts.username or "", parts.password or ""
    except ValueError:
        return []
    found = [value for name, value in parse_qsl(parts.query) if _PARAMETER.search(name)]
    if password:
        login = f"{unquote(user)}:{unquote(password)}"
        found += [f"{user}:{password}@", password, unquote(password), base64.b64encode(login.encode()).decode()]
    elif user:
        found += [user, unquote(user)]
    return found


def _forms(key: str) -> set[str]:
    """The key as it is, escaped in JSON in either way, and in a URL."""
    escaped = json.dumps(key)[1:-1]
    return {key, escaped, escaped.replace("/", "\\/"), quote(key, safe=""), quote(key)}
