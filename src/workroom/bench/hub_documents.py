"""The documents of a row: in a column, in the shapes that data sets have them, or in an archive of the data set."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from workroom.bench.items import DOCUMENT_LIMIT
from workroom.bench.suite import Source
from workroom.errors import ConfigError


def documents_of(value: Any) -> list[dict[str, Any]]:
    """The documents in a column, as a data file has them.

    An object of texts by name, or its JSON (the paper's sets); a list of `{name, text}`; titles and sentences
    (HotpotQA); one text.
    """
    if isinstance(value, str):
        value = _parsed(value)
    if not value:
        return []
    if isinstance(value, str):
        return [{"name": "document.txt", "text": value}]
    if isinstance(value, Mapping) and isinstance(value.get("title"), list):
        pairs = zip(value["title"], value["sentences"], strict=True)
        return [_titled(number, title, sentences) for number, (title, sentences) in enumerate(pairs)]
    if isinstance(value, Mapping):
        # A table holds all names of all rows; those of other rows are None here.
        return [{"name": name, "text": text} for name, text in value.items() if text is not None]
    if all(isinstance(entry, Mapping) and "title" in entry for entry in value):
        return [_titled(number, entry["title"], entry["sentences"]) for number, entry in enumerate(value)]
    return [dict(entry) if isinstance(entry, Mapping) else entry for entry in value]


class Archive:
    """A ZIP file of a data set. Its documents are named by a column, as `a.txt;b.txt`."""

    def __init__(self, path: Path, folder: str) -> None:
        self._file = zipfile.ZipFile(path)
        self._folder = folder

    @classmethod
    def of(cls, source: Source) -> Self | None:
        """The archive of a source, None where it has none. Raises ConfigError where it cannot be had."""
        if source.archive is None:
            return None
        try:
            return cls(_fetch(source, source.archive), source.archive_folder)
        except Exception as error:  # whatever the library raises, the documents cannot be had
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ConfigError(
                f"the documents of {source.hub} ({source.archive}) cannot be had from the hub; give a file with "
                f"--data PATH, or see to network access, or to a cache that holds them (HF_HOME): {reason}"
            ) from error

    def documents(self, names: Any, row: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        """The documents of a row. Raises ConfigError for one that is missing or too large."""
        folder = re.sub(r"\{(\w+)\}", lambda match: str(row.get(match[1], match[0])), self._folder)
        listed = names.split(";") if isinstance(names, str) else names or []
        found = []
        for name in filter(None, (str(name).strip() for name in listed)):
            try:
                entry = self._file.getinfo(f"{folder}/{name}")
            except KeyError:
                raise ConfigError(f"{where}: the archive of the data set holds no {folder}/{name}") from None
            if entry.file_size > DOCUMENT_LIMIT:
                raise ConfigError(f"{where}: the document {name!r} is larger than {DOCUMENT_LIMIT >> 20} MiB")
            found.append({"name": name, "text": self._file.read(entry).decode("utf-8", "replace")})
        return found


def _fetch(source: Source, name: str) -> Path:
    if Path(source.hub).is_dir():
        return Path(source.hub) / name
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(source.hub, name, repo_type="dataset", revision=source.revision))


def _parsed(text: str) -> Any:
    """The object or list that the text is the JSON of, else the text."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _titled(number: int, title: str, sentences: list[str]) -> dict[str, str]:
    plain = re.sub(r"[^\w-]+", "_", title).strip("_")[:60]
    return {"name": f"{number:02}_{plain}.txt", "text": f"{title}\n\n{''.join(sentences)}"}
