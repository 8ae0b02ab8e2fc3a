"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option("-m", "--model", metavar="MODEL", help="openai/NAME, anthropic/NAME, local/NAME or scripted/PATH."),
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Server of an openai/ model [env OPENAI_BASE_URL].")
]
Image = Annotated[str | None, typer.Option("--image", metavar="NAME", help="Image of the sandbox.")]
Network = Annotated[
    str | None,
    typer.Option("--network", metavar="POLICY", help="none, packages, allow:HOST,... or open [default: packages]."),
]
Backend = Annotated[
    str | None, typer.Option("--sandbox", metavar="BACKEND", help="Backend of the sandbox [default: bwrap].")
]
Cpus = Annotated[str | None, typer.Option("--cpus", metavar="N", help="CPU cores of the sandbox [default: all].")]
Memory = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Memory of the sandbox [default: 4g].")]
Pids = Annotated[str | None, typer.Option("--pids", metavar="N", help="Processes in the sandbox [default: 512].")]
Disk = Annotated[str | None, typer.Option("--disk", metavar="SIZE", help="What a sandbox may write [default: 4g].")]
CommandTimeout = Annotated[
    str | None, typer.Option("--command-timeout", metavar="S", help="Seconds for one command [default: 120].")
]
Style = Annotated[
    str | None, typer.Option("--style", metavar="STYLE", help="Prompt: compute or neutral [default: compute].")
]
ToolProtocol = Annotated[
    str | None, typer.Option("--tool-protocol", metavar="P", help="auto, native, json or bash [default: auto].")
]
MaxTokens = Annotated[
    str | None, typer.Option("--max-tokens", metavar="N", help="Tokens of an episode, prompts included.")
]
MaxCost = Annotated[str | None, typer.Option("--max-cost", metavar="USD", help="Cost of an episode.")]
Price = Annotated[str | None, typer.Option("--price", metavar="IN,OUT", help="US dollars per million tokens.")]
MaxTime = Annotated[str | None, typer.Option("--max-time", metavar="S", help="Seconds of an episode.")]
Temperature = Annotated[
    str | None, typer.Option("--temperature", metavar="T", help="Sampling temperature [default: the server's].")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings from this TOML file.")]
