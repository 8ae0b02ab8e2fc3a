"""Rows of data sets that are not in the schema of the bench: which column is what.

Known are the columns of the authors' release (`problem_statement`, `ground_truth`, `input_files`), those that most
sets of questions on texts have, and contexts with a list of questions, as instruction pre-training data have them
(`context`, and `QA_list` of `Q` and `A`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from workroom.bench.hub import fields_of
from workroom.bench.suite import Source
from workroom.errors import ConfigError

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "_id", "qid", "question_id"),
    "question": ("question", "problem_statement", "problem", "query", "prompt", "Q"),
    "answer": ("answer", "ground_truth", "answers", "answerKey", "target", "A"),
    "choices": ("choices", "options"),
    "documents": ("documents", "input_files", "context", "passage", "article", "document", "text"),
}
_LISTS: Final = ("QA_list", "qa_list", "questions", "qas")


def expanded(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A row for each question of a context that has a list of them, else the row itself."""
    name = next((name for name in _LISTS if _is_questions(row.get(name))), None)
    if name is None:
        yield row
        return
    rest = {key: value for key, value in row.items() if key != name}
    for number, question in enumerate(_listed(row[name]), 1):
        own = {"id": f"{rest['id']}-{number}"} if "id" in rest else {}
        yield {**rest, **question, **own}


def is_foreign(row: Mapping[str, Any]) -> bool:
    """Whether a column of it is called as other sets call it. What is misspelt in our own schema is no such row."""
    return any(name in row and name != field for field, names in _COLUMNS.items() for name in names)


def fields(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The row with the names of a data file; what is none of them goes into `meta`.

    Raises ConfigError where it has no question or no answer.
    """
    columns = {name: column for name, known in _COLUMNS.items() if (column := _first(row, known))}
    for name in ("question", "answer"):
        if name not in columns:
            raise ConfigError(
                f"{where} has no column for the {name} (one of {', '.join(_COLUMNS[name])}); it has {', '.join(row)}"
            )
    source = Source("rows", where, "", "", fields=columns)
    found = fields_of(source, row, where, None)
    if isinstance(domain := found["meta"].pop("domain", None), str):
        found["domain"] = domain
    return found


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if row.get(name) is not None), None)


def _is_questions(value: Any) -> bool:
    if isinstance(value, Mapping):  # a list of structures, as `datasets` may give it: lists by name
        return bool(value) and all(isinstance(entries, list) for entries in value.values())
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _listed(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return [dict(zip(value, entry, strict=True)) for entry in zip(*value.values(), strict=True)]
    return list(value)
