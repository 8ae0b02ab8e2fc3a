"""Reads `suite.toml`. Every mistake in it is told with the file and the key."""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from workroom.bench.suite import OWN_GRADER, PROMPTS, Source, Suite, digest_of, environment
from workroom.config import from_arguments
from workroom.errors import ConfigError

LIMITS: Final = (
    *("max_turns", "max_tokens", "max_cost", "max_time"),
    *("memory", "disk", "pids", "cpus", "command_timeout", "command_output"),
)
# The fields of a task that a column of a data set can be.
FIELDS: Final = ("id", "question", "answer", "choices", "documents", "grader", "meta")

_Check = Callable[[Any, str], Any]


def read_suite(folder: Path) -> Suite:
    """The suite in a folder, its templates parsed. Raises ConfigError."""
    path = folder / "suite.toml"
    values = _table(_load(path), str(path), _SUITE, required=("title", "grader"))
    for name in PROMPTS:
        _parse(folder, name)
    grader = values["grader"]
    if grader.endswith(".py") and grader != OWN_GRADER:
        raise ConfigError(f"{path}: `grader` is {grader!r}; a grader of your own must be named {OWN_GRADER}")
    if grader == OWN_GRADER and not (folder / grader).is_file():
        raise ConfigError(f"{path}: `grader` is {grader!r}, but there is no such file beside it")
    data = folder / values["data"] if "data" in values else None
    if data is not None and not data.exists():
        raise ConfigError(f"{path}: `data` is {values['data']!r}, but there is no such file beside it")
    formats = values.get("answer_format", {})
    sources = values.get("source", ())
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two of its [[source]] have the same `name`")
    return Suite(
        name=folder.name,
        folder=folder,
        title=values["title"],
        description=values.get("description", "").strip(),
        grader=grader,
        domains=values.get("domains", ()),
        network=values.get("network", "packages"),
        repeats=values.get("repeats", 1),
        limits=values.get("limits", {}),
        sources=sources,
        judge=values.get("judge", {}),
        digest=digest_of(folder, formats),
        answer_format=formats,
        data=data,
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _parse(folder: Path, name: str) -> None:
    import jinja2

    try:
        environment(folder).get_template(name)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{error.filename}, line {error.lineno} is no template: {error.message}") from error
    except (OSError, ValueError, jinja2.TemplateError) as error:
        raise ConfigError(
            f"{folder / name} is missing or cannot be read; a suite has {' and '.join(PROMPTS)}"
        ) from error


def _table(content: Any, where: str, checks: Mapping[str, _Check], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The checked values of a table. Raises ConfigError for an unknown key, a missing one or a wrong value."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where} must be a table of keys and values")
    for key in required:
        if key not in content:
            raise ConfigError(f"{where}: `{key}` is missing")
    values = {}
    for key, value in content.items():
        if key not in checks:
            close = difflib.get_close_matches(key, checks, n=1, cutoff=0.5)
            hint = f"did you mean `{close[0]}`?" if close else f"the keys are {', '.join(checks)}"
            raise ConfigError(f"{where}: there is no key `{key}`; {hint}")
        values[key] = checks[key](value, f"{where}: `{key}`")
    return values


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where} must be text and not empty")
    return value


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where} must be a whole number of at least 1")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(entry, str) and entry for entry in value):
        raise ConfigError(f"{where} must be a list of texts")
    return tuple(value)


def _one_or_more(value: Any, where: str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else _texts(value, where)


def _setting(key: str) -> _Check:
    """A check by what the settings of a run allow."""

    def check(value: Any, where: str) -> Any:
        try:
            return getattr(from_arguments({key: value}).config, key)
        except ConfigError as error:
            raise ConfigError(f"{where} is wrong: {error}") from error

    return check


def _tables(checks: Mapping[str, _Check], required: tuple[str, ...] = ()) -> _Check:
    return lambda value, where: _table(value, where, checks, required)


def _formats(value: Any, where: str) -> dict[str, str]:
    """Texts by the name of a grader."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table of texts")
    return {key: _text(text, f"{where}.{key}").strip() for key, text in value.items()}


def _judge(value: Any, where: str) -> dict[str, Any]:
    """Settings of the judge, and tables of them for its variants (`llm_judge:VARIANT`)."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table of keys and values")
    variants = {key: _table(table, f"{where}.{key}", _JUDGE) for key, table in value.items() if isinstance(table, dict)}
    return _table({key: item for key, item in value.items() if key not in variants}, where, _JUDGE) | variants


def _columns(value: Any, where: str) -> str | tuple[str, ...]:
    return value if isinstance(value, str) and value else _texts(value, where)


def _sources(value: Any, where: str) -> tuple[Source, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} must be an array of tables: [[source]]")
    found = []
    for number, entry in enumerate(value, 1):
        inside = f"{where[:-1]}` number {number}"
        values = _table(entry, inside, _SOURCE, required=("name", "hub", "split", "licence", "fields"))
        if "question" not in values["fields"]:
            raise ConfigError(f"{inside}: `fields` names no column for `question`")
        found.append(Source(**{"configs" if key == "config" else key: item for key, item in values.items()}))
    return tuple(found)


_JUDGE: Final[Mapping[str, _Check]] = {"votes": _count, "first": _text}
_SOURCE: Final[Mapping[str, _Check]] = {
    **dict.fromkeys(("name", "hub", "split", "licence", "revision", "grader", "archive", "archive_folder"), _text),
    "config": _one_or_more,
    "repeats": _count,
    "fields": _tables({name: _columns if name == "choices" else _text for name in FIELDS}),
}
_SUITE: Final[Mapping[str, _Check]] = {
    **dict.fromkeys(("title", "description", "grader", "data"), _text),
    "domains": _texts,
    "network": _setting("network"),
    "repeats": _count,
    "answer_format": _formats,
    "limits": _tables({name: _setting(name) for name in LIMITS}),
    "judge": _judge,
    "source": _sources,
}
