"""What the server is told by flags, by the table `[serve]` of the configuration files, and by WORKROOM_API_KEY."""

import difflib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workroom import _values
from workroom.config import check, serve_tables
from workroom.errors import ConfigError
from workroom.sandbox.base import parse_size

VARIABLE = "WORKROOM_API_KEY"
SHORTEST = 8  # characters of a key
_OF_RUNS = (
    "network",
    "cpus",
    "memory",
    "pids",
    "disk",
    "command_timeout",
    "max_turns",
    "max_tokens",
    "max_cost",
    "max_time",
)


@dataclass(frozen=True, slots=True)
class Key:
    """Who may use the server, and what of it. `digest` is the SHA-256 of the bearer key, empty for the anonymous key of
    a server without any.

    `settings` are those of runs (`network`, `max_turns`, ...) that are others for this key. `budget_tokens` and
    `budget_usd` bound all its requests together, over restarts; `quota` its files, in bytes; `concurrency` its requests
    at work at once. None: no bound.
    """

    name: str
    digest: bytes = field(repr=False, default=b"")
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget_tokens: int | None = None
    budget_usd: float | None = None
    concurrency: int | None = None
    quota: int | None = None


ANONYMOUS = Key("local")


@dataclass(frozen=True, slots=True)
class Settings:
    """The resolved settings of a server. Times in seconds, sizes in bytes or text.

    `concurrency`: episodes at once, `queue`: requests that may wait for that. `idle`: until a conversation's sandbox is
    saved and closed, `keep`: until the conversation is removed. `grace`: for the steps under way when the server ends.
    `public_url`: what links to files begin with (None: the address that the request came to). `cors`: origins whose
    pages may call. `ignore_tools`: tools that a client offers are passed over instead of refused. `max_body`: of a JSON
    request, `max_file`: of an upload, `quota`: of all files of one key.
    """

    keys: tuple[Key, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    concurrency: int | None = None
    queue: int = 64
    idle: float = 300.0
    keep: float = 86400.0
    grace: float = 30.0
    state: str | None = None
    cors: tuple[str, ...] = ()
    ignore_tools: bool = False
    max_body: str | int = "64m"
    max_file: str | int = "200m"
    quota: str | int = "10g"

    @property
    def at_once(self) -> int:
        """Episodes at once: as said, else by cores and memory, of which an episode may need some."""
        if self.concurrency is not None:
            return self.concurrency
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(2, min(4 * (os.cpu_count() or 1), memory >> 30))

    @property
    def folder(self) -> Path:
        """Where the server keeps what it has to keep."""
        if self.state is not None:
            return Path(self.state).expanduser().absolute()
        named = Path(os.environ.get("XDG_STATE_HOME", ""))
        return (named if named.is_absolute() else Path.home() / ".local/state") / "workroom" / "serve"


def read_settings(flags: Mapping[str, Any], config_file: Path | None = None) -> Settings:
    """Merges flags (None: not given), configuration files and the environment.

    Raises ConfigError for an unknown key, a wrong value, and for a server that others could reach without a key.
    """
    values: dict[str, Any] = {}
    for table, where in reversed(serve_tables(config_file)):
        for name, value in table.items():
            if name not in _CHECKS:
                raise ConfigError(f"{where} has the unknown key {name!r}{_nearest(name, _CHECKS)}")
            values[name] = _CHECKS[name](value, f"{name!r} in {where}")
    for name, value in flags.items():
        if value is not None:
            given = value if name in _TEXTS else _typed(value)
            values[name] = _CHECKS[name](given, "--" + name.replace("_", "-"))
    values["keys"] = (*values.get("keys", ()), *_environment_keys())
    settings = Settings(**values)
    _check_keys(settings)
    return settings


def digest(key: str) -> bytes:
    """What is compared of a key."""
    return hashlib.sha256(key.encode()).digest()


def is_local(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _check_keys(settings: Settings) -> None:
    if not settings.keys and not is_local(settings.host):
        raise ConfigError(
            f"without a key the server listens on this machine only, not on {settings.host}: set {VARIABLE}, or keys "
            "in the table [serve] of the configuration"
        )
    for what in ("name", "digest"):
        seen: dict[Any, str] = {}
        for key in settings.keys:
            value = getattr(key, what)
            if value in seen:
                raise ConfigError(
                    f"two keys of the server have the same {'key' if what == 'digest' else what}: {key.name}"
                )
            seen[value] = key.name


def _environment_keys() -> tuple[Key, ...]:
    """The keys in the environment. Their names say nothing, and stay the same from start to start."""
    given = [part.strip() for part in os.environ.get(VARIABLE, "").split(",") if part.strip()]
    return tuple(Key(f"key-{_secret(text, VARIABLE).hex()[:8]}", digest(text)) for text in dict.fromkeys(given))


def _secret(given: Any, where: str) -> bytes:
    if not isinstance(given, str) or len(given.strip()) < SHORTEST or not given.isascii() or not given.isprintable():
        raise ConfigError(f"{where} must be a key of at least {SHORTEST} printable ASCII characters")
    return digest(given.strip())


def _keys(value: Any, where: str) -> tuple[Key, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ConfigError(f"{where} must be tables, each begun by [[serve.keys]]")
    return tuple(_key(entry, f"{where}, number {number}") for number, entry in enumerate(value, 1))


def _key(entry: dict[str, Any], where: str) -> Key:
    own: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    name = _values.text(entry.get("name"), f"'name' in {where}")
    for key, value in entry.items():
        if key in _OF_RUNS:
            settings[key] = check(key, value, f"{key!r} of the key {name!r} in {where}")
        elif key in _KEY_CHECKS:
            own[key] = _KEY_CHECKS[key](value, f"{key!r} of the key {name!r} in {where}")
        elif key not in (*_SOURCES, "name"):
            allowed = ("name", *_SOURCES, *_KEY_CHECKS, *_OF_RUNS)
            raise ConfigError(f"the key {name!r} in {where} has the unknown setting {key!r}{_nearest(key, allowed)}")
    if "quota" in own:
        own["quota"] = parse_size(own["quota"])
    return Key(name, _source(entry, name, where), settings, **own)


_SOURCES = ("key", "key_env", "key_sha256")


def _source(entry: Mapping[str, Any], name: str, where: str) -> bytes:
    given = [source for source in _SOURCES if source in entry]
    if len(given) != 1:
        raise ConfigError(f"the key {name!r} in {where} needs one of key, key_env and key_sha256")
    value = entry[given[0]]
    if given[0] == "key":
        return _secret(value, f"'key' of the key {name!r} in {where}")
    if given[0] == "key_env":
        variable = _values.text(value, f"'key_env' of the key {name!r} in {where}")
        if variable not in os.environ:
            raise ConfigError(f"the key {name!r} in {where} is in the variable {variable}, which is not set")
        return _secret(os.environ[variable], f"the variable {variable}")
    try:
        found = bytes.fromhex(value)
    except (TypeError, ValueError):
        found = b""
    if len(found) != hashlib.sha256().digest_size:
        raise ConfigError(f"'key_sha256' of the key {name!r} in {where} must be 64 hexadecimal digits")
    return found


def _typed(value: Any) -> Any:
    """A flag's text as a number where it is one."""
    for kind in (int, float):
        try:
            return kind(value)
        except (TypeError, ValueError):
            continue
    return value


def _nearest(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(names)}"


def _port(value: Any, where: str) -> int:
    found: int = _values.whole(0)(value, where)
    if found > 65535:
        raise ConfigError(f"{where} must be at most 65535, not {found}")
    return found


def _public_url(value: Any, where: str) -> str:
    return _values.url(value, where).rstrip("/")


def _origins(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} must be a list of origins such as https://chat.example.org")
    for origin in value:
        parts = urlsplit(_values.url(origin, where))
        if origin != f"{parts.scheme}://{parts.netloc}":
            raise ConfigError(
                f"{where} must hold origins such as https://chat.example.org, without a path, not {origin!r}"
            )
    return tuple(value)


_KEY_CHECKS: dict[str, _values.Check] = {
    "budget_tokens": _values.whole(1),
    "budget_usd": _values.number(positive=True),
    "concurrency": _values.whole(1),
    "quota": _values.size,
}
_TEXTS = ("host", "public_url", "state")  # also where they look like a number
_CHECKS: dict[str, _values.Check] = {
    "keys": _keys,
    "host": _values.text,
    "port": _port,
    "public_url": _public_url,
    "concurrency": _values.whole(1),
    "queue": _values.whole(0),
    "idle": _values.number(positive=True),
    "keep": _values.number(positive=True),
    "grace": _values.number(positive=False),
    "state": _values.text,
    "cors": _origins,
    "ignore_tools": _values.switch,
    "max_body": _values.size,
    "max_file": _values.size,
    "quota": _values.size,
}
