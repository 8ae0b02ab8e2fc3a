"""Models that run on this machine: `open_local` opens one; `pull`, `status` and `stop` manage what they need."""

from dataclasses import dataclass

from workroom.models.base import Model
from workroom.models.local.build import ensure_server, server_path
from workroom.models.local.catalog import CATALOG, DEFAULT, find
from workroom.models.local.paths import Cancelled, Progress
from workroom.models.local.server import running, stop
from workroom.models.local.weights import ensure_weights, have_weights

__all__ = ["CATALOG", "DEFAULT", "Cancelled", "LocalStatus", "Model", "open_local", "pull", "status", "stop"]


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """How it stands with a local model. `size` is that of its weights in bytes; `installed` means ready to start."""

    name: str
    origin: str
    licence: str
    size: int
    installed: bool
    running: bool
    default: bool


def status() -> list[LocalStatus]:
    """A row for each model of the catalog. Reads the cache; no network."""
    alive = {name for name, _ in running()}
    built = server_path().is_file()
    return [
        LocalStatus(
            name=entry.full_name,
            origin=entry.origin,
            licence=entry.licence,
            size=entry.size,
            installed=built and have_weights(entry),
            running=entry.full_name in alive,
            default=entry.name == DEFAULT,
        )
        for entry in CATALOG.values()
    ]


def pull(name: str = "", progress: Progress = lambda _: None) -> str:
    """Downloads and builds what the model needs, and returns its full name. Empty means the default model.

    Raises ConfigError for an unknown name or a missing tool, ModelError where a download or the build fails.
    """
    entry = find(name)
    ensure_weights(entry, progress, _never)
    ensure_server(progress, _never)
    return entry.full_name


def _never() -> bool:
    return False


def open_local(
    name: str, *, protocol: str = "auto", token_ids: bool = False, on_progress: Progress | None = None
) -> Model:
    """See `workroom.models.local.model.open_local`, which is loaded when it is needed."""
    from workroom.models.local.model import open_local as open_it

    return open_it(name, protocol=protocol, token_ids=token_ids, on_progress=on_progress)
