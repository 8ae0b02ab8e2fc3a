"""What a run is made of, and where each value came from.

flags > `--config FILE` > `./workroom.toml`, else `[tool.workroom]` in `./pyproject.toml` >
`$XDG_CONFIG_HOME/workroom/config.toml` > defaults. A value is taken from the first of these that has it. Keys are flat
and named like the flags (`max_turns` for `--max-turns`). API keys are no configuration: they come from the environment
only, so that no file and no `run.json` can leak them.
"""

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workroom import _values
from workroom._values import redact_url
from workroom.errors import ConfigError
from workroom.sandbox.base import Limits

if TYPE_CHECKING:
    from workroom.agent import Pricing
    from workroom.models.base import Sampling

Mode = Literal["sandbox", "llm"]
Backend = Literal["bwrap", "docker"]
Protocol = Literal["auto", "native", "json", "bash"]
Vision = Literal["auto", "on", "off"]
Style = Literal["compute", "neutral"]
Documents = Literal["files", "prompt"]


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

        fresh, output, *cached = _values.price_list(self.price)
        return Pricing(input=fresh, output=output, cached=cached[0] if cached else fresh)

    @property
    def sampling(self) -> "Sampling":
        from workroom.models.base import Sampling

        return Sampling(temperature=self.temperature, seed=self.seed)


SERVE = "serve"  # the table of a configuration file that is not of runs
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
    layer = {key: (check(key, value, key), "argument") for key, value in arguments.items() if value is not None}
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
            values[key] = check(key, entry["value"], f"{key!r} of the run")
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
            layer[key] = (check(key, typed, flag), f"flag {flag}")
    return layer


def _number_of(value: Any) -> Any:
    """A flag's text as a number; left as it is where it is none, for the check to say so."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def serve_tables(config_file: Path | None = None) -> list[tuple[dict[str, Any], str]]:
    """The tables `[serve]` of the configuration files, those that count more first, each with where it is."""
    places: list[tuple[Path, tuple[str, ...]]] = [] if config_file is None else [(config_file, (SERVE,))]
    own = Path("workroom.toml").exists()
    places.append((Path("workroom.toml"), (SERVE,)) if own else (Path("pyproject.toml"), ("tool", "workroom", SERVE)))
    places.append((user_config_path(), (SERVE,)))
    return [(_file_table(path, table, required=path == config_file), _place(path, table)) for path, table in places]


def check(key: str, value: Any, where: str) -> Any:
    """The value of a setting in its right type. `where` names it in the error (a flag, or a key in a file)."""
    if isinstance(value, int) and value.bit_length() > 64:  # Python itself cannot show all of these, nor JSON keep them
        raise ConfigError(f"{where} is too large a number for any setting")
    return _CHECKS[key](value, where)


def _file_table(path: Path, table: tuple[str, ...], *, required: bool) -> dict[str, Any]:
    """A table of a file, empty where the file (unless required) or the table is missing."""
    content: Any = _load_toml(path, required=required)
    for name in table:
        content = content.get(name, {}) if isinstance(content, dict) else {}
    if not isinstance(content, dict):
        raise ConfigError(f"{_place(path, table)} must be a table of keys and values")
    return content


def _place(path: Path, table: tuple[str, ...]) -> str:
    return f"[{'.'.join(table)}] in {path}" if table else f"{path}"


def _file_layer(path: Path, *, required: bool = False, table: tuple[str, ...] = ()) -> dict[str, tuple[Any, str]]:
    """The checked values of one file; empty where the file (unless required) or the table in it is missing."""
    where = _place(path, table)
    layer = {}
    for key, value in _file_table(path, table, required=required).items():
        if key == SERVE and isinstance(value, dict):
            continue  # the server's own, see `serve_tables`
        if key not in KEYS:
            raise ConfigError(f"{where} has the unknown key {key!r}{_nearest(key)}")
        layer[key] = (check(key, value, f"{key!r} in {where}"), f"file {path}")
    return layer


def _load_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            # Reading a pipe would wait for ever, reading some devices would never end.
            raise ConfigError(f"the configuration file {path} is no regular file")
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
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the configuration file {path} holds too long a number or too deep a nesting") from error


def _nearest(key: str) -> str:
    name = key.replace("-", "_").lower()
    close = difflib.get_close_matches(name, KEYS, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(KEYS)}"


_NUMERIC = frozenset(
    ("cpus", "pids", "command_timeout", "max_turns", "max_tokens", "max_cost", "max_time", "temperature", "seed")
)
_CHECKS: dict[str, _values.Check] = {
    "model": _values.text,
    "base_url": _values.url,
    "tool_protocol": _values.choice(Protocol),
    "vision": _values.choice(Vision),
    "model_timeout": _values.number(positive=True),
    "style": _values.choice(Style),
    "mode": _values.choice(Mode),
    "documents": _values.choice(Documents),
    "execution": _values.switch,
    "read_only": _values.switch,
    "sandbox": _values.choice(Backend),
    "image": _values.text,
    "network": _values.network,
    "cpus": _values.number(positive=True),
    "memory": _values.size,
    "pids": _values.whole(1),
    "disk": _values.size,
    "command_timeout": _values.number(positive=True),
    "command_output": _values.size,
    "max_turns": _values.whole(1),
    "max_tokens": _values.whole(1),
    "max_cost": _values.number(positive=True),
    "price": _values.price,
    "max_time": _values.number(positive=True),
    "checkpoints": _values.switch,
    "temperature": _values.number(positive=False),
    "seed": _values.whole(None),
    "token_ids": _values.switch,
}
