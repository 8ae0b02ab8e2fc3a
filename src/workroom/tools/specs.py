"""How the tools are described to the model: read from `specs.json`, one wording per prompt style."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from workroom.models.base import ToolSpec

Wording = Literal["standard", "compact", "read_only"]


@cache
def _specs() -> dict[str, dict[str, dict[str, Any]]]:
    specs: dict[str, dict[str, dict[str, Any]]] = json.loads(
        files(__package__).joinpath("specs.json").read_text("utf-8")
    )
    return specs


@cache  # filled in for every episode otherwise
def spec(name: str, wording: Wording = "standard", **values: str) -> ToolSpec:
    """The description and schema of a tool; `{key}` in its texts is replaced by the value of that key."""
    entry = _specs()[wording][name]
    return ToolSpec(name, _fill(entry["description"], values), _fill(entry["parameters"], values))


def example(name: str) -> str:
    """A right call's arguments as JSON, for error messages; empty for a tool that is not described here."""
    entry = _specs()["standard"].get(name)
    return json.dumps(entry["example"]) if entry else ""


def _fill(node: Any, values: Mapping[str, str]) -> Any:
    """Copies the node with the values put into its texts; no format(), so that braces may stand in a text."""
    if isinstance(node, str):
        for key, value in values.items():
            node = node.replace("{" + key + "}", value)
        return node
    if isinstance(node, dict):
        return {key: _fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values) for value in node]
    return node
