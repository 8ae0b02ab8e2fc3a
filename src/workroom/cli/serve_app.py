"""`workroom serve`: its flags. The body only hands over."""

from typing import Annotated

import typer

from workroom.cli.options import (
    Backend,
    BaseUrl,
    CommandTimeout,
    ConfigFile,
    Cpus,
    Disk,
    Image,
    MaxCost,
    MaxTime,
    MaxTokens,
    Memory,
    Model,
    Network,
    Pids,
    Price,
)

EPILOG = """\b
    Examples:
      workroom serve -m openai/gpt-5 --network none
      workroom serve -m openai/qwen3 --base-url http://127.0.0.1:8001/v1 --port 9000
      WORKROOM_API_KEY=$(openssl rand -hex 24) workroom serve --host 0.0.0.0

    \b
    Clients are given the base URL http://HOST:PORT/v1. Keys, budgets and the like
    are in the table [serve] of the configuration, see docs/serve.md.

    \b
    Exit codes: 0 stopped, 1 internal error, 2 usage, 4 the model's provider failed,
    5 the sandbox failed, 130 stopped at once. The first Ctrl-C waits for the steps
    under way, the second does not."""


def serve(
    model: Model = None,
    base_url: BaseUrl = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Address to listen on [default: 127.0.0.1].")
    ] = None,
    port: Annotated[
        str | None, typer.Option("--port", metavar="N", help="Port, 0 for a free one [default: 8000].")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option("--public-url", metavar="URL", help="What links to files begin with.")
    ] = None,
    sandbox: Backend = None,
    image: Image = None,
    network: Network = None,
    cpus: Cpus = None,
    memory: Memory = None,
    pids: Pids = None,
    disk: Disk = None,
    command_timeout: CommandTimeout = None,
    max_turns: Annotated[
        str | None, typer.Option("--max-turns", metavar="N", help="Turns of a request [default: 100].")
    ] = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price: Price = None,
    max_time: MaxTime = None,
    concurrency: Annotated[
        str | None, typer.Option("--concurrency", metavar="N", help="Requests at once [default: by cores and memory].")
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="N", help="Requests that may wait [default: 64].")
    ] = None,
    idle: Annotated[
        str | None, typer.Option("--idle", metavar="S", help="Seconds until a sandbox is put to rest [default: 300].")
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="S", help="Seconds until it is removed [default: 86400].")
    ] = None,
    grace: Annotated[
        str | None, typer.Option("--grace", metavar="S", help="Seconds for steps under way at the end [default: 30].")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="DIR", help="What is kept [default: ~/.local/state/workroom/serve]."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log what went wrong only.")] = False,
    config: ConfigFile = None,
) -> int:
    """Put a computer behind a chat endpoint.

    An OpenAI-compatible server: whatever chats with it gets files read, programs run and files made.
    """
    from workroom.cli.extras import need

    need("serve", "starlette", "uvicorn", "python_multipart", "prometheus_client")
    from workroom.cli.serve import serve_verb

    run_flags = {
        "model": model,
        "base_url": base_url,
        "sandbox": sandbox,
        "image": image,
        "network": network,
        "cpus": cpus,
        "memory": memory,
        "pids": pids,
        "disk": disk,
        "command_timeout": command_timeout,
        "max_turns": max_turns,
        "max_tokens": max_tokens,
        "max_cost": max_cost,
        "price": price,
        "max_time": max_time,
    }
    serve_flags = {
        "host": host,
        "port": port,
        "public_url": public_url,
        "concurrency": concurrency,
        "queue": queue,
        "idle": idle,
        "keep": keep,
        "grace": grace,
        "state": state,
    }
    return serve_verb(run_flags, serve_flags, config, quiet=quiet)
