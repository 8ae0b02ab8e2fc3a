"""What each key has used, over restarts, and whether anything is left of its budget."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.serve.errors import used_up
from workroom.serve.settings import Key
from workroom.trajectory.files import replace_file, to_json


class Ledger:
    """Tokens (prompt and completion) and US dollars by key name, kept in one file.

    Raises ConfigError where that is damaged: budgets that are used up must not begin anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens: defaultdict[str, int] = defaultdict(int)
        self._dollars: defaultdict[str, float] = defaultdict(float)
        self._running: Counter[str] = Counter()  # tokens
        self._due: defaultdict[str, float] = defaultdict(float)  # dollars
        try:
            kept = json.loads(path.read_bytes()) if path.exists() else {}
            for name, used in kept.items():
                self._tokens[name], self._dollars[name] = int(used["tokens"]), float(used["usd"])
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise ConfigError(
                f"{path}, which says what is used of the budgets, cannot be read ({error}): repair or remove it"
            ) from None

    def left(self, key: Key) -> dict[str, Any]:
        """The bounds that the budget sets an episode: `max_tokens`, `max_cost`. Raises ApiError where it is used up."""
        if self.spent(key):
            raise used_up(f"the budget of the key {key.name!r} is used up")
        return self._bounds(key)

    def spent(self, key: Key) -> str | None:
        """Which bound requests under way have reached, so that they must end."""
        return next((name for name, value in self._bounds(key).items() if value <= 0), None)

    def _bounds(self, key: Key) -> dict[str, Any]:
        """What is left; what requests under way have used counts too."""
        bounds: dict[str, Any] = {}
        if key.budget_tokens is not None:
            bounds["max_tokens"] = key.budget_tokens - self._tokens[key.name] - self._running[key.name]
        if key.budget_usd is not None:
            bounds["max_cost"] = key.budget_usd - self._dollars[key.name] - self._due[key.name]
        return bounds

    def running(self, key: Key, tokens: int, dollars: float = 0.0) -> None:
        """Counts what a request under way has used, or takes it off again when it is charged."""
        self._running[key.name] += tokens
        self._due[key.name] += dollars

    def charge(self, key: Key, tokens: int, dollars: float = 0.0) -> None:
        """Counts what was used; `save` keeps it."""
        self._tokens[key.name] += tokens
        self._dollars[key.name] += dollars

    def save(self) -> None:
        """Raises WorkroomError where it cannot be written."""
        used = {name: {"tokens": self._tokens[name], "usd": self._dollars[name]} for name in sorted(self._tokens)}
        replace_file(self._path, to_json(used, indent=2).encode() + b"\n")
