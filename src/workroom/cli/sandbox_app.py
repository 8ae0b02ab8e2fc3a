"""`workroom sandbox`: its verbs and flags. Bodies only hand over."""

from pathlib import Path
from typing import Annotated

import typer

from workroom.cli.options import (
    Backend,
    CommandTimeout,
    Cpus,
    Disk,
    Image,
    Memory,
    Network,
    Pids,
)

sandbox_app = typer.Typer(
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build the image, try the promises, look around.",
)


@sandbox_app.command("build")
def sandbox_build(image: Image = None) -> int:
    """Build the image that all sandboxes share."""
    from workroom.cli.sandbox import build

    return build(image)


@sandbox_app.command("check")
def sandbox_check(
    sandbox: Backend = None,
    image: Image = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> int:
    """Try the sandbox's promises on this host.

    Each is tried in a real sandbox and reported. Exit code 5 where one is broken.
    """
    from workroom.cli.sandbox import check

    return check(sandbox, image, as_json=as_json)


@sandbox_app.command(
    "shell",
    epilog="""\b
    Examples:
      workroom sandbox shell -i data/
      echo 'python3 -c "import numpy; print(numpy.__version__)"' | workroom sandbox shell --network none""",
)
def sandbox_shell(
    sandbox: Backend = None,
    image: Image = None,
    network: Network = None,
    inputs: Annotated[
        list[Path] | None, typer.Option("-i", "--input", metavar="PATH", help="Files to put into documents/.")
    ] = None,
    cpus: Cpus = None,
    memory: Memory = None,
    pids: Pids = None,
    disk: Disk = None,
    command_timeout: CommandTimeout = None,
) -> int:
    """Look around in a fresh sandbox.

    A shell as the model would have it, a line at a time. It ends with `exit` or Ctrl-D and leaves nothing.
    """
    from workroom.cli.shell import shell

    flags = {
        "sandbox": sandbox,
        "image": image,
        "network": network,
        "cpus": cpus,
        "memory": memory,
        "pids": pids,
        "disk": disk,
        "command_timeout": command_timeout,
    }
    return shell(flags, inputs or [])


@sandbox_app.command("ls")
def sandbox_ls(
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> int:
    """List your sandboxes on this host.

    Name, backend, image, network policy, age, and the process that each belongs to. One is abandoned when that process
    was killed.
    """
    from workroom.cli.sandbox import ls

    return ls(as_json=as_json)


@sandbox_app.command("gc")
def sandbox_gc() -> int:
    """Remove what is left of abandoned sandboxes.

    And images that no name leads to any more. Every start of a sandbox does the first too. Exit code 5 where something
    could not be removed.
    """
    from workroom.cli.sandbox import gc

    return gc()
