"""What a run is made of, and where each value came from.

flags > `--config FILE` > `./workroom.toml`, else `[tool.workroom]` in `./pyproject.toml` >
`$XDG_CONFIG_HOME/workroom/config.toml` > defaults. A value is taken from the first of these that has it. Keys are flat
and named like the flags (`max_turns` for `--max-turns`). API keys are no configuration: they come from the environment
only, so that no file and no `run.json` can leak them.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit, urlunsplit

from workroom.errors import ConfigError
from workroom.sandbox.base import Limits, parse_size

if TYPE_CHECKING:
    from workroom.agent import Pricing
    from workroom.models.base import Sampling

Mode = Literal["sandbox", "llm"]
Backend = Literal["bwrap", "docker"]
Protocol = Literal["auto", "native", "json", "bash"]
Vision = Literal["auto", "on", "off"]
Style = Literal["compute", "neutral"]
Documents = Literal["files", "prompt"]

_ALLOW = re.compile(r"allow:[^\s,]+(,[^\s,]+)*")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The resolved settings of one run. Sizes in bytes or text (`4g`), times in seconds, `max_cost` in US dollars.

    None means no bound, or (model, image, temperature, seed) that the part concerned decides. `price` is what the model
    costs per million tokens: `IN,OUT` or `IN,OUT,CACHED`. `checkpoints`: keep the sandbox's files after each turn, so
    that the run can go on after a crash. `documents`: into the sandbox as files, or into the prompt and nowhere else.
    `execution`: off, the model can edit files but run nothing. `read_only`: the model can write no file but its answer.

    Raises ConfigError for settings that exclude each other.
    """

    model: str | None = None
    base_url: str | None = None
    tool_protocol: Protocol = "auto"
    vision: Vision = "auto"
    model_timeout: float = 3600.0
    style: Style = "compute"
    mode: Mode = "sandbox"
    documents: Documents = "files"
    execution: bool = True
    read_only: bool = False
    sandbox: Backend = "bwrap"
    image: str | None = None
    network: str = "packages"
    cpus: float | None = None
    memory: str | int = "4g"
    pids: int = 512
    disk: str | int = "4g"
    command_timeout: float = 120.0
    command_output: str | int = "10m"
    max_turns: int = 100
    max_tokens: int | None = None
    max_cost: float | None = None
    price: str | None = None
    max_time: float | None = None
    checkpoints: bool = True
    temperature: float | None = None
    seed: int | None = None
    token_ids: bool = False

    def __post_init__(self) -> None:
        if not self.execution and self.tool_protocol == "bash":
            raise ConfigError(
                "execution = false leaves nothing to a model that can only give bash scripts: use --tool-protocol json"
            )
        if self.read_only and self.sandbox != "bwrap":
            raise ConfigError("read_only needs the bwrap backend: leave out --sandbox docker")

    @property
    def limits(self) -> Limits:
        """The bounds of the sandbox."""
        return Limits(
            memory=self.memory,
            pids=self.pids,
            disk=self.disk,
            cpus=self.cpus,
            command_timeout=self.command_timeout,
            output=self.command_output,
        )

    @property
    def pricing(self) -> "Pricing | None":
        """What tokens cost, None where nobody said."""
        if self.price is None:
            return None
        from workroom.agent import Pricing

        fresh, output, *cached = _prices(self.price)
        return Pricing(input=fresh, output=output, cached=cached[0] if cached else fresh)

    @property
    def sampling(self) -> "Sampling":
        from workroom.models.base import Sampling

        return Sampling(temperature=self.temperature, seed=self.seed)


KEYS = tuple(f.name for f in fields(RunConfig))
# What may be another when a run goes on.
CHANGEABLE = frozenset(("base_url", "max_turns", "max_tokens", "max_cost", "max_time", "price", "checkpoints"))


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration and the origin of each of its values (a flag, a file or `default`)."""

    config: RunConfig
    origins: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """What goes into `run.json`: per key the value and its origin, with no secret in it."""
        values = asdict(self.config)
        if self.config.base_url is not None:
            values["base_url"] = redact_url(self.config.base_url)
        return {key: {"value": values[key], "origin": self.origins.get(key, "default")} for key in KEYS}


def redact_url(url: str) -> str:
    """The URL without user, password, query and fragment, any of which may hold a key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def resolve(flags: Mapping[str, Any], config_file: Path | None = None) -> Resolved:
    """Merges flags (None: not given) and configuration files, and checks every value.

    Raises ConfigError for a file that cannot be read, an unknown key, or a value of a wrong type or range.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = [_flag_layer(flags)]
    if config_file is not None:
        layers.append(_file_layer(config_file, required=True))
    layers.append(_file_layer(Path("workroom.toml")) or _file_layer(Path("pyproject.toml"), table=("tool", "workroom")))
    layers.append(_file_layer(user_config_path()))
    for layer in reversed(layers):
        for key, (value, origin) in layer.items():
            values[key] = value
            origins[key] = origin
    return Resolved(RunConfig(**values), origins)


def from_arguments(arguments: Mapping[str, Any]) -> Resolved:
    """The configuration of a call from Python: arguments (None: not given) and defaults; no file is read."""
    for key in arguments:
        if key not in KEYS:
            raise ConfigError(f"there is no setting {key!r}{_nearest(key)}")
    layer = {key: (_check(key, value, key), "argument") for key, value in arguments.items() if value is not None}
    return Resolved(
        RunConfig(**{key: value for key, (value, _) in layer.items()}),
        {key: origin for key, (_, origin) in layer.items()},
    )


def recorded(record: Mapping[str, Any], flags: Mapping[str, Any]) -> Resolved:
    """The configuration of a run that goes on, from its `run.json`, with the flags of now.

    Raises ConfigError for a flag that would make it another run, and for a record that this version cannot read.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, entry in record.items():
        if key not in KEYS or not isinstance(entry, Mapping) or "value" not in entry:
            raise ConfigError(
                f"the run was made with the setting {key!r}, which this version of workroom does not know"
            )
        if entry["value"] is not None:
            values[key] = _check(key, entry["value"], f"{key!r} of the run")
        origins[key] = str(entry.get("origin", "default"))
    for key, (value, origin) in _flag_layer(flags).items():
        was = values.get(key, RunConfig.__dataclass_fields__[key].default)
        if value != was and key not in CHANGEABLE:
            raise ConfigError(
                f"the run was begun with {key} = {was!r} and cannot go on with {value!r}: leave {origin} out"
            )
        values[key], origins[key] = value, origin
    if "***" in (values.get("base_url") or ""):
        raise ConfigError("the run's base URL held a login, which is not recorded: give it again with --base-url")
    return Resolved(RunConfig(**values), origins)


def user_config_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "workroom" / "config.toml"


def _flag_layer(flags: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    layer = {}
    for key, value in flags.items():
        if value is not None:
            flag = "--" + key.replace("_", "-")
            typed = _number_of(value) if key in _NUMERIC else value
            layer[key] = (_check(key, typed, flag), f"flag {flag}")
    return layer


def _number_of(value: Any) -> Any:
    """A flag's text as a number; left as it is where it is none, for the check to say so."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _file_layer(path: Path, *, required: bool = False, table: tuple[str, ...] = ()) -> dict[str, tuple[Any, str]]:
    """The checked values of one file; empty where the file (unless required) or the table in it is missing."""
    where = f"{path}" if not table else f"[{'.'.join(table)}] in {path}"
    content: Any = _load_toml(path, required=required)
    for name in table:
        content = content.get(name, {}) if isinstance(content, dict) else {}
    if not isinstance(content, dict):
        raise ConfigError(f"[{'.'.join(table)}] in {path} must be a table of keys and values")
    layer = {}
    for key, value in content.items():
        if key not in KEYS:
            raise ConfigError(f"{where} has the unknown key {key!r}{_nearest(key)}")
        layer[key] = (_check(key, value, f"{key!r} in {where}"), f"file {path}")
    return layer


def _load_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"the configuration file {path} does not exist") from None
        return {}
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not valid TOML: {error}") from error


def _nearest(key: str) -> str:
    name = key.replace("-", "_").lower()
    close = difflib.get_close_matches(name, KEYS, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(KEYS)}"


def _check(key: str, value: Any, where: str) -> Any:
    """The value in its right type. `where` names it in the error (a flag, or a key in a file)."""
    return _CHECKS[key](value, where)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where} must be text and not empty, not {value!r}")
    return value


def _choice(literal: Any) -> Callable[[Any, str], str]:
    choices = get_args(literal)

    def check(value: Any, where: str) -> str:
        if value not in choices:
            raise ConfigError(f"{where} must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return check


def _switch(value: Any, where: str) -> bool:
    words = {"on": True, "true": True, "off": False, "false": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise ConfigError(f"{where} must be on or off, not {value!r}")
    return found


def _whole(minimum: int | None) -> Callable[[Any, str], int]:
    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or (minimum is not None and value < minimum):
            bound = "" if minimum is None else f" of at least {minimum}"
            raise ConfigError(f"{where} must be a whole number{bound}, not {value!r}")
        return value

    return check


def _number(*, positive: bool) -> Callable[[Any, str], float]:
    """A finite number, above 0 where `positive`, else 0 or above."""

    def check(value: Any, where: str) -> float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        if not fits or (positive and value == 0):
            raise ConfigError(f"{where} must be a number {'above 0' if positive else 'not below 0'}, not {value!r}")
        return float(value)

    return check


def _size(value: Any, where: str) -> str | int:
    try:
        fits = isinstance(value, str | int) and not isinstance(value, bool) and parse_size(value) > 0
    except ConfigError:
        fits = False
    if not fits:
        raise ConfigError(f"{where} must be a size above 0 such as 512m or 4g, not {value!r}")
    return value if isinstance(value, int) else str(value)


def _network(value: Any, where: str) -> str:
    if value not in ("none", "packages", "open") and not (isinstance(value, str) and _ALLOW.fullmatch(value)):
        raise ConfigError(f"{where} must be none, packages, open or allow:HOST,HOST (no spaces), not {value!r}")
    return str(value)


def _prices(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _price(value: Any, where: str) -> str:
    try:
        numbers = _prices(value)
        fits = len(numbers) in (2, 3) and all(0 <= number < float("inf") for number in numbers)
    except (AttributeError, ValueError):
        fits = False
    if not fits:
        raise ConfigError(
            f"{where} must be IN,OUT or IN,OUT,CACHED in US dollars per million tokens, such as 1.25,10, not {value!r}"
        )
    return str(value)


def _url(value: Any, where: str) -> str:
    text = _text(value, where)
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        shown = redact_url(text) if "@" not in text else "what was given"
        raise ConfigError(f"{where} must be a URL such as http://127.0.0.1:8000/v1, not {shown!r}")
    return text


_NUMERIC = frozenset(
    ("cpus", "pids", "command_timeout", "max_turns", "max_tokens", "max_cost", "max_time", "temperature", "seed")
)
_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "model": _text,
    "base_url": _url,
    "tool_protocol": _choice(Protocol),
    "vision": _choice(Vision),
    "model_timeout": _number(positive=True),
    "style": _choice(Style),
    "mode": _choice(Mode),
    "documents": _choice(Documents),
    "execution": _switch,
    "read_only": _switch,
    "sandbox": _choice(Backend),
    "image": _text,
    "network": _network,
    "cpus": _number(positive=True),
    "memory": _size,
    "pids": _whole(1),
    "disk": _size,
    "command_timeout": _number(positive=True),
    "command_output": _size,
    "max_turns": _whole(1),
    "max_tokens": _whole(1),
    "max_cost": _number(positive=True),
    "price": _price,
    "max_time": _number(positive=True),
    "checkpoints": _switch,
    "temperature": _number(positive=False),
    "seed": _whole(None),
    "token_ids": _switch,
}
