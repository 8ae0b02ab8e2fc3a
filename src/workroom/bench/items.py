"""An item of a data set: fields as they were read, checked and made a task."""

import difflib
import hashlib
import json
import math
import posixpath
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from workroom.bench.suite import OWN_GRADER, Suite
from workroom.errors import ConfigError
from workroom.task import Task

DOCUMENT_LIMIT: Final = 64 << 20  # bytes of one document; what is larger is no text that a model reads

# `source` and the licence say where an item is from; `suite` is in the task lists that a bench keeps.
_FIELDS: Final = (
    *("id", "domain", "question", "answer", "choices", "documents", "grader", "meta"),
    *("source", "license", "licence", "suite"),
)
_DOCUMENT_FIELDS: Final = ("name", "text", "file", "sha256", "bytes")
_WITHOUT_ANSWER: Final = ("ifbench_", "ifeval_")  # graders that go by `meta`, and no answer is needed


@dataclass(frozen=True, slots=True)
class Item:
    """Fields as read. `where` begins every error, `folder` is where files of documents are, None for none."""

    fields: Mapping[str, Any]
    where: str
    default_id: str
    folder: Path | None = None

    def task(self, suite: Suite) -> Task:
        """The task. Raises ConfigError that names the place and the field."""
        for name in self.fields:
            if name not in _FIELDS:
                close = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.6)
                hint = f"did you mean `{close[0]}`?" if close else "put what is your own into `meta`"
                raise self.wrong(f"there is no field `{name}`; {hint}")
        choices = self._choices()
        grader = self._get("grader", _is_text, "text")
        effective = grader or suite.grader
        return Task(
            self._get("question", _is_text, "text and not empty", needed=True),
            id=self.id,
            domain=self._get("domain", _is_text, "text") or (suite.domains[0] if suite.domains else suite.name),
            documents=self._documents(),
            answer=self._answer(choices, effective),
            choices=choices,
            grader=grader,
            meta=self._origin() | (self._get("meta", lambda value: isinstance(value, dict), "an object") or {}),
        )

    def _origin(self) -> dict[str, Any]:
        """Where it is from, which the report tells."""
        found = {name: self._get(name, _is_text, "text") for name in ("source", "license", "licence")}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def id(self) -> str:
        """The item's own id, else its place in the data."""
        value = self._get("id", lambda value: _is_text(value) or type(value) is int, "text")
        return self.default_id if value is None else str(value)

    def wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self.where}: {what}")

    def _get(self, name: str, fits: Callable[[Any], bool], kind: str, *, needed: bool = False) -> Any:
        value = self.fields.get(name)
        if value is None and not needed:
            return None
        if value is None:
            raise self.wrong(f"`{name}` is missing")
        if not fits(value):
            raise self.wrong(f"`{name}` must be {kind}")
        return value

    def _choices(self) -> tuple[str, ...]:
        def fits(value: Any) -> bool:
            return isinstance(value, list) and all(map(_is_text, value))

        choices = tuple(self._get("choices", fits, "a list of texts") or ())
        if len(choices) == 1 or len(choices) > len(string.ascii_uppercase):
            raise self.wrong(f"`choices` must be 2 to 26 texts, not {len(choices)}")
        return choices

    def _answer(self, choices: tuple[str, ...], grader: str) -> str | None:
        value = self.fields.get("answer")
        if value is None:
            if grader.startswith(_WITHOUT_ANSWER) or grader == OWN_GRADER:
                return None
            raise self.wrong(f"`answer` is missing, and the grader {grader} needs one")
        if type(value) is int or (type(value) is float and math.isfinite(value)):
            value = json.dumps(value)
        if not _is_text(value):
            raise self.wrong("`answer` must be text or a number, and not empty")
        text = str(value)
        if grader.startswith("label_") and choices and text not in choices:
            raise self.wrong(f"`answer` is {text!r}, which is none of `choices`")
        return self._letter(text, choices) if grader == "mcq_letter" and choices else text

    def _letter(self, answer: str, choices: tuple[str, ...]) -> str:
        """The letter of the right option, where the data have that or its text."""
        letters = string.ascii_uppercase[: len(choices)]
        letter = answer.strip().strip("().").upper()
        if len(letter) == 1 and letter in letters:
            return letter
        if answer in choices:
            return letters[choices.index(answer)]
        raise self.wrong(f"`answer` must be a letter from A to {letters[-1]}, or the text of an option, not {answer!r}")

    def _documents(self) -> dict[str, str | bytes | Path]:
        entries = self._get("documents", lambda value: isinstance(value, list), "a list of objects") or []
        documents: dict[str, str | bytes | Path] = {}
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry, dict) or not _is_text(entry.get("name")):
                raise self.wrong(f"`documents` number {number} must be an object with `name` and `text` or `file`")
            name = entry["name"]
            if unknown := set(entry) - set(_DOCUMENT_FIELDS):
                raise self.wrong(f"the document {name!r} has the unknown field `{min(unknown)}`")
            if posixpath.isabs(name) or ".." in name.split("/") or "\0" in name or not posixpath.basename(name):
                raise self.wrong(f"{name!r} is no name for a document: use a relative path without ..")
            if (name := posixpath.normpath(name)) == ".":
                raise self.wrong(f"{entry['name']!r} is no name for a document, but for the directory of all")
            if name in documents:
                raise self.wrong(f"two documents have the name {name!r}")
            documents[name] = self._content(name, entry)
        for name in documents:
            if folder := next((part for part in map(str, PurePosixPath(name).parents) if part in documents), None):
                raise self.wrong(f"the document {folder!r} cannot be the folder of the document {name!r} as well")
        return documents

    def _content(self, name: str, entry: Mapping[str, Any]) -> str | Path:
        text, file = entry.get("text"), entry.get("file")
        if (text is None) == (file is None):
            raise self.wrong(f"the document {name!r} must have `text` or `file`, and not both")
        content: str | Path
        if text is not None:
            if not isinstance(text, str):
                raise self.wrong(f"`text` of the document {name!r} must be text")
            content, size = text, len(text.encode("utf-8", "surrogatepass"))
        else:
            content = self._file(name, file)
            size = content.stat().st_size
        if size > DOCUMENT_LIMIT:
            raise self.wrong(
                f"the document {name!r} has {size / 2**20:,.1f} MiB; the most is {DOCUMENT_LIMIT >> 20} MiB, split it"
            )
        if "bytes" in entry and entry["bytes"] != size:
            raise self.wrong(f"the document {name!r} has {size} bytes and not {entry['bytes']}, as `bytes` says")
        if "sha256" in entry and entry["sha256"] != _digest(content):
            raise self.wrong(f"the document {name!r} is not the one whose `sha256` is given; get the data anew")
        return content

    def _file(self, name: str, file: Any) -> Path:
        """A file beside the data. It must lie there, so that no data file can put others of the host into a sandbox."""
        if not _is_text(file) or "\0" in file:
            raise self.wrong(f"`file` of the document {name!r} must be a path")
        if self.folder is None:
            raise self.wrong(f"the document {name!r} is a file, and this source has none")
        path: Path = (self.folder / file).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise self.wrong(f"the file {file} of the document {name!r} must lie in the folder of the data file")
        if not path.is_file():
            raise self.wrong(f"the file {file} of the document {name!r} does not exist in {self.folder}")
        return path


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _digest(content: str | Path) -> str:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content.read_bytes()
    return hashlib.sha256(data).hexdigest()
