"""Model names: from `openai/gpt-5`, `anthropic/...`, `local/...` or `scripted/...` to a model."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from workroom.errors import ConfigError
from workroom.models.base import Model, ModelHints
from workroom.models.vision import Vision, can_see

_logger = logging.getLogger("workroom.models")

Protocol = Literal["auto", "native", "json", "bash"]

DEFAULT_MODEL = "local/qwen2.5-coder-1.5b"
_FORMS = "openai/NAME, anthropic/NAME, local/NAME or scripted/PATH"
_OPENAI_URL = "https://api.openai.com/v1"
_ANTHROPIC_URL = "https://api.anthropic.com"
_NO_KEY = "none"  # servers on this machine want no key, but the SDK does


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A row of `workroom models`. `remedy` says how to make it ready, and is empty where it is."""

    name: str
    what: str
    ready: bool
    remedy: str = ""


def default_model() -> str:
    """The name of the model to use where none is given: `WORKROOM_MODEL`, else the local one."""
    return os.environ.get("WORKROOM_MODEL", "").strip() or DEFAULT_MODEL


def open_model(
    name: str | None = None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    protocol: Protocol = "auto",
    vision: Vision = "auto",
    timeout: float = 3600.0,
    token_ids: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> Model:
    """The model of that name (None: `default_model()`); nothing is sent before its first call.

    `base_url` and `api_key` go before `OPENAI_BASE_URL`, `OPENAI_API_KEY` and their like. `protocol`: how tools are
    called, `auto` finds out. `vision`: whether the model can be shown pictures, `auto` goes by its name; a local one
    never can. `timeout`: seconds for one answer. `token_ids`: ask the server for those of prompts and completions.
    `on_progress` is told in words what a local model waits for. Raises ConfigError for an unknown name, a missing key,
    a URL that is none, or a script that cannot be read.
    """
    if protocol not in get_args(Protocol):
        raise ConfigError(f"the tool protocol {protocol!r} is none of {', '.join(get_args(Protocol))}")
    if vision not in get_args(Vision):
        raise ConfigError(f"vision {vision!r} is none of {', '.join(get_args(Vision))}")
    name = default_model() if name is None else name
    prefix, slash, rest = name.partition("/")
    if not slash or not rest.strip():
        raise ConfigError(f"{name!r} is no model name: use {_FORMS}")
    hints = ModelHints(vision=can_see(name, vision))
    match prefix:
        case "openai":
            return _openai(name, base_url, api_key, protocol, timeout, hints, token_ids)
        case "anthropic":
            if token_ids:
                _logger.warning("%s tells no token ids; the run goes on without them", name)
            return _anthropic(name, base_url, api_key, protocol, timeout, hints)
        case "local":
            from workroom.models.local import open_local

            if vision == "on":
                raise ConfigError(f"{name} cannot be shown pictures; leave out --vision, or use a model that can see")
            options: dict[str, Any] = {} if on_progress is None else {"on_progress": on_progress}
            model: Model = open_local(name, protocol=protocol, token_ids=token_ids, **options)
            return model
        case "scripted":
            from workroom.models.scripted import ScriptedModel

            return _with_protocol(ScriptedModel(rest, hints=hints), protocol)
    raise ConfigError(f"the model name {name!r} begins with no known provider: use {_FORMS}")


def load_sdk(name: str) -> None:
    """Begins to load what the first call of the model of that name will need, in a thread."""
    provider = name.partition("/")[0]
    if provider in ("openai", "anthropic"):
        from workroom.models.endpoint import loading

        loading(provider)


def known_models() -> list[KnownModel]:
    """What can be named, and whether it is ready. Reads the environment and the cache; no network."""
    from workroom.models.local.build import server_path
    from workroom.models.local.catalog import CATALOG
    from workroom.models.local.weights import have_weights

    has_openai = bool(_setting(None, "OPENAI_API_KEY") or _setting(None, "OPENAI_BASE_URL"))
    has_anthropic = bool(_setting(None, "ANTHROPIC_API_KEY"))
    rows = [
        KnownModel(
            "openai/NAME",
            "any Chat Completions server: OpenAI, vLLM, SGLang, llama.cpp, DeepSeek, OpenRouter, ...",
            has_openai,
            "" if has_openai else "set OPENAI_API_KEY, or give a server with --base-url or OPENAI_BASE_URL",
        ),
        KnownModel(
            "anthropic/NAME",
            "Claude, through Anthropic's Messages API",
            has_anthropic,
            "" if has_anthropic else "set ANTHROPIC_API_KEY",
        ),
    ]
    served = server_path().exists()
    for entry in CATALOG.values():
        ready = served and have_weights(entry)
        remedy = "" if ready else f"workroom models pull {entry.full_name}, or just use it: it is fetched on first use"
        rows.append(KnownModel(entry.full_name, entry.origin, ready, remedy))
    rows.append(
        KnownModel("scripted/PATH", "plays a JSONL file of assistant messages, for tests and demos", ready=True)
    )
    return rows


def _openai(
    name: str,
    base_url: str | None,
    api_key: str | None,
    protocol: Protocol,
    timeout: float,
    hints: ModelHints,
    token_ids: bool,
) -> Model:
    from workroom.models.openai import OpenAIModel
    from workroom.models.text import AutoProtocolModel

    url = _setting(base_url, "OPENAI_BASE_URL")
    key = _setting(api_key, "OPENAI_API_KEY")
    if not key and not url:
        raise ConfigError(
            f"{name} needs a key: set OPENAI_API_KEY, or give your own server with --base-url, "
            "or use a model on this machine (local/NAME)"
        )
    model = OpenAIModel(
        name, base_url=url or _OPENAI_URL, api_key=key or _NO_KEY, timeout=timeout, hints=hints, token_ids=token_ids
    )
    return AutoProtocolModel(model) if protocol == "auto" else _with_protocol(model, protocol)


def _anthropic(
    name: str, base_url: str | None, api_key: str | None, protocol: Protocol, timeout: float, hints: ModelHints
) -> Model:
    from workroom.models.anthropic import AnthropicModel

    key = _setting(api_key, "ANTHROPIC_API_KEY")
    if not key:
        raise ConfigError(f"{name} needs a key: set ANTHROPIC_API_KEY")
    url = _setting(base_url, "ANTHROPIC_BASE_URL") or _ANTHROPIC_URL
    return _with_protocol(AnthropicModel(name, base_url=url, api_key=key, timeout=timeout, hints=hints), protocol)


def _with_protocol(model: Model, protocol: Protocol) -> Model:
    from workroom.models.text import TextProtocolModel

    return TextProtocolModel(model, protocol) if protocol in ("json", "bash") else model


def _setting(given: str | None, variable: str) -> str:
    return (given if given is not None else os.environ.get(variable, "")).strip()
