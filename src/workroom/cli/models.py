"""`workroom models`, `models pull`, `models stop`."""

import sys

from workroom.cli.screen import Screen


def show() -> int:
    """The models that can be named, whether they are ready, and what to do where they are not."""
    from workroom.models import KnownModel, default_model, known_models
    from workroom.models.local.server import running

    running_names = {name for name, _ in running()}
    rows = known_models()
    known = {row.name for row in rows}
    rows += [KnownModel(name, "a GGUF of your own", ready=True) for name in sorted(running_names - known)]
    width = max(len(row.name) for row in rows)
    for row in rows:
        state = "running" if row.name in running_names else "ready" if row.ready else "-"
        sys.stdout.write(f"{state:<7}  {row.name:<{width}}  {row.what}\n")
        if row.remedy:
            sys.stdout.write(f"{'':<{width + 11}}→ {row.remedy}\n")
    sys.stdout.write(f"default: {default_model()}\n")
    return 0


def pull(name: str | None) -> int:
    """Makes a local model ready; its full name goes to stdout."""
    from workroom.models.local.build import ensure_server
    from workroom.models.local.catalog import find
    from workroom.models.local.weights import ensure_weights

    progress = Screen().view.progress
    entry = find(name or "")
    ensure_weights(entry, progress, _never)
    ensure_server(progress, _never)
    sys.stdout.write(f"{entry.full_name}\n")
    return 0


def stop() -> int:
    """Stops the local model servers."""
    from workroom.models.local.server import stop as stop_servers

    count = stop_servers()
    sys.stdout.write(f"stopped {count} local model server{'' if count == 1 else 's'}\n")
    return 0


def _never() -> bool:
    """Ctrl-C ends a pull by its exception."""
    return False
