"""The file of a training: read with `--set` on top of it, checked as a whole, written again into the output."""

import difflib
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from workroom.errors import ConfigError
from workroom.train.checks import EXPERT, SOURCES, problems
from workroom.train.config import TrainConfig

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_AS_ANSWERED = "answer"  # of reward.overlong, for None: TOML has no such value
_LONGEST = 60  # characters of a wrong value that are shown
_BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def load(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration in a TOML file. `overrides`: `KEY=VALUE` with the key's full name, which win.

    A relative path in the file is relative to the file's folder, one in an override to the working directory. Raises
    ConfigError for a file that cannot be read, an unknown key, a value of a wrong type or range, values that exclude
    each other, and files that are named and not there.
    """
    values = _read(path)
    _resolve(values, path.resolve().parent)
    given: dict[str, Any] = {}
    for text in overrides:
        key, value = _override(text)
        _put(given, key, value)
    _resolve(given, Path.cwd())
    config = _validated(_merged(values, given), path)
    for problem in problems(config):
        raise ConfigError(f"{path}: {problem}")
    return config


def dump(config: TrainConfig) -> str:
    """The configuration as a TOML file that `load` reads, every value in it, paths absolute."""
    import tomli_w

    values = config.model_dump(mode="json", exclude_none=True)
    if config.reward.overlong is None:
        values["reward"]["overlong"] = _AS_ANSWERED
    return tomli_w.dumps(values)


def keys() -> list[str]:
    """The full name of every key, in the order of the sections."""
    return [name for name, _ in _fields(TrainConfig)]


def _fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{before}{name}.")
        else:
            yield f"{before}{name}", field


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"the configuration {path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration {path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration {path} is not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the configuration {path} holds too long a number or too deep a nesting") from error


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set wants KEY=VALUE, such as algorithm.steps=5, not {text!r}")
    try:
        found = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        found = {}
    return key.strip(), found["value"] if found.keys() == {"value"} else value.strip()


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, name = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {key}: {table!r} is no table")
    values[name] = value


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
        merged[name] = _merged(below[name], value) if both else value
    return merged


def _resolve(values: dict[str, Any], base: Path) -> None:
    """Makes the paths among the values absolute. What has a wrong type is left for the check to say so."""

    def path(text: str) -> str:
        return str(base / Path(text).expanduser())

    def model(text: str) -> str:
        is_path = text.startswith(("/", "./", "../", "~")) or text.endswith(".gguf") or Path(path(text)).exists()
        return path(text) if is_path else text

    def custom(text: str) -> str:
        file, colon, function = text.rpartition(":")
        return f"{path(file)}:{function}" if colon else text

    places: dict[tuple[str, str], Callable[[str], str]] = {
        ("model", "path"): model,
        ("model", "chat_template"): path,
        ("data", "source"): lambda text: text if text.startswith(SOURCES) else path(text),
        ("reward", "custom"): custom,
        ("warm_start", "data"): lambda text: text if text == EXPERT else path(text),
        ("output", "dir"): path,
    }
    for (section, key), change in places.items():
        table = values.get(section)
        if not isinstance(table, dict):
            continue
        value = table.get(key)
        if isinstance(value, str):
            table[key] = change(value)
        elif isinstance(value, list):
            table[key] = [change(entry) if isinstance(entry, str) else entry for entry in value]


def _validated(values: dict[str, Any], path: Path) -> TrainConfig:
    reward = values.get("reward")
    if isinstance(reward, dict) and reward.get("overlong") == _AS_ANSWERED:
        values["reward"] = reward | {"overlong": None}
    try:
        # By way of JSON, in which a strict check still takes text for a path. TOML's dates are text then.
        return TrainConfig.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        raise ConfigError(_sentence(details[0], path)) from None


def _sentence(detail: "ErrorDetails", path: Path) -> str:
    """What is wrong with one key of the file."""
    where = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        key = ".".join(where)
        return f"{path} has the unknown key {key!r}{_nearest(key)}"
    # A value's own parts follow the key's: an index, or the member of a union.
    sections = {name for name, field in TrainConfig.model_fields.items() if name != "verl" and _is_section(field)}
    key = ".".join(where[: 2 if where[0] in sections else 1])
    if detail["type"] == "missing":
        return f"{path} lacks the key {key!r}"
    wanted = _BOUNDS.get(detail["type"])
    value = repr(detail["input"])
    shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    if wanted is None:
        return f"{key} in {path} is {shown}: {detail['msg']}"
    context = detail.get("ctx", {})
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
    also = f', or "{_AS_ANSWERED}"' if key == "reward.overlong" else ""
    return f"{key} in {path} must be {wanted.format(**bounds)}{also}, not {shown}"


def _is_section(field: Any) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _nearest(key: str) -> str:
    names = [*keys(), *(name for name, field in TrainConfig.model_fields.items() if _is_section(field))]
    leaf = key.rpartition(".")[2]
    elsewhere = [name for name in names if name.rpartition(".")[2] == leaf]
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.75) or elsewhere[:1]
    if close:
        return f"; did you mean {close[0]!r}?"
    section = key.partition(".")[0]
    siblings = [name for name in names if name.startswith(f"{section}.")]
    return f"; the keys are {', '.join(siblings or TrainConfig.model_fields)}"
