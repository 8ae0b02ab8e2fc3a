"""Items from a data set of the Hugging Face hub, with its columns called as in a data file.

The paper's data sets hold a row for each repeat: rows that are alike become one item. What no field is made of goes
into `meta`.
"""

import hashlib
import json
import string
from collections.abc import Iterator, Mapping
from typing import Any

from workroom.bench.hub_documents import Archive, documents_of
from workroom.bench.items import Item
from workroom.bench.suite import Source
from workroom.errors import ConfigError

_OPTIONAL = ("id", "documents")  # columns that may be missing


def read_source(source: Source) -> Iterator[Item]:
    """The items of a source. Raises ConfigError where it cannot be had, or has not the columns that were told."""
    found: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for config in source.configs or (None,):
        data_set = f"{source.hub} ({config})" if config else source.hub
        archive = Archive.of(source)
        for number, row in enumerate(rows_of(source, config)):
            where = f"{data_set}, row {number}"
            fields = fields_of(source, row, where, archive)
            if config and len(source.configs) > 1 and "id" in fields:
                fields["id"] = f"{config}-{fields['id']}"
            key = _content(fields)
            if key in found:
                found[key]["meta"]["copies"] = found[key]["meta"].get("copies", 1) + 1
            else:
                found[key], places[key] = fields, where
    ids: set[str] = set()
    for number, (key, fields) in enumerate(found.items()):
        default = f"{source.hub.rpartition('/')[2]}-{number}"
        if fields.get("id") in ids:
            del fields["id"]  # different questions under one id: the place in the data tells them apart
        ids.add(fields.get("id", default))
        yield Item(fields, places[key], default)


def rows_of(
    source: Source, config: str | None, instead: str = "give a file with --data PATH"
) -> Iterator[Mapping[str, Any]]:
    """The rows of the split as the data set has them. Raises ConfigError where they cannot be had, which tells what to
    do `instead`."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(f"data of the hub need an extra: pip install 'workroom[bench]'; or {instead}") from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        rows = datasets.load_dataset(source.hub, config, split=source.split, revision=source.revision)
    except Exception as error:  # whatever the library raises, the data cannot be had
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(
            f"the data set {source.hub} cannot be had from the hub; {instead}, or see to network access, or to a cache "
            f"that holds it (HF_HOME): {reason}"
        ) from error
    if len(rows) == 0:
        raise ConfigError(f"there is no data in the split {source.split} of {source.hub}")
    yield from rows


def fields_of(source: Source, row: Mapping[str, Any], where: str, archive: Archive | None) -> dict[str, Any]:
    """A row with the names of a data file."""
    used: set[str] = set()
    values: dict[str, Any] = {}
    for name, columns in source.fields.items():
        for column in (columns,) if isinstance(columns, str) else columns:
            used.add(column)
            if column not in row and name not in _OPTIONAL:
                raise ConfigError(f"{where}: there is no column {column!r} for `{name}`; it has {', '.join(row)}")
        values[name] = row.get(columns) if isinstance(columns, str) else [row[column] for column in columns]
    meta = {name: _plain(value) for name, value in row.items() if name not in used}
    fields: dict[str, Any] = {"question": values.pop("question"), "meta": meta}
    if (value := values.pop("id", None)) is not None:
        fields["id"] = str(value)
    if "answer" in values:
        fields["answer"], others = _answer(values.pop("answer"))
        if others:
            meta["answers"] = others
    if "choices" in values:
        fields["choices"] = _choices(values.pop("choices"))
    if "documents" in values:
        documents = values.pop("documents")
        fields["documents"] = documents_of(documents) if archive is None else archive.documents(documents, row, where)
    if "meta" in values:
        meta |= _object(values.pop("meta"), where)
    if source.grader is not None:
        fields["grader"] = source.grader
    return fields | values


def _answer(value: Any) -> tuple[Any, list[Any]]:
    """An answer, and all that are right where there are several: a list, or `{"text": list}` as SQuAD has it."""
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, list):
        return (value[0] if value else None), list(value)
    if isinstance(value, Mapping):
        return json.dumps(_plain(value), ensure_ascii=False), []
    return value, []


def _choices(value: Any) -> list[Any]:
    """Options as a list: of a list, of `{"text": list}` or of an object by letter. Empty ones at the end are none."""
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, Mapping):
        value = [value.get(letter) for letter in string.ascii_uppercase]
    options = list(value or [])
    while options and not options[-1]:
        options.pop()
    return options


def _object(value: Any, where: str) -> dict[str, Any]:
    """An object, or the JSON of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ConfigError(f"{where}: the column for `meta` is no JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: the column for `meta` must be an object")
    return dict(_plain(value))


def _content(fields: Mapping[str, Any]) -> str:
    """A digest of what makes an item another one than the next."""
    parts = [fields.get(name) for name in ("question", "answer", "choices", "documents")]
    text = json.dumps([*parts, fields["meta"] if parts[1] is None else None], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A JSON value; what is none, such as a date or a picture, as its text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
