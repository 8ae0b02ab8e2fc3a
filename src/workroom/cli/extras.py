"""What a verb needs beyond the package itself."""

from importlib.util import find_spec

from workroom.errors import ConfigError


def need(extra: str, *modules: str) -> None:
    """Raises ConfigError, with the command that installs it, where a module of the extra is missing."""
    if any(find_spec(module) is None for module in modules):
        raise ConfigError(f"this needs the extra {extra!r}: pip install 'workroom[{extra}]'")
