"""How deep JSON values are nested, told without recursion: what models and files hold may have no end of it."""

from typing import Any


def deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested in more levels than that."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
