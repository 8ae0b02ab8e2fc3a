"""The sentences below the tables, from `templates/notes.toml`."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any


def notes(table: str, *names: str, **values: Any) -> tuple[str, ...]:
    """The notes of a table by these names, with the values filled in."""
    texts = _all()[table]
    return tuple(texts[name].strip().format(**values) for name in names)


@cache
def _all() -> dict[str, dict[str, str]]:
    return tomllib.loads((Path(__file__).parent / "templates" / "notes.toml").read_text(encoding="utf-8"))
