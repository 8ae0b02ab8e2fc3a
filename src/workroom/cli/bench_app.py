"""`workroom bench`: its verbs and flags. Bodies only hand over."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    Pids,
    Price,
    Style,
    Temperature,
    ToolProtocol,
)

if TYPE_CHECKING:
    from workroom.bench.plan import JudgeSettings
    from workroom.bench.session import Bounds

bench_app = typer.Typer(
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare models and modes on suites of tasks.",
    epilog="""\b
    Examples:
      workroom bench list
      workroom bench run math -m openai/qwen3 --base-url http://127.0.0.1:8000/v1
      workroom bench resume runs/20260101-120000-bench-math
      workroom bench compare small/ large/""",
)

Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency", metavar="N", min=1, help="Attempts at once [default: 16; what a local model can answer]."
    ),
]
MaxCalls = Annotated[
    int | None, typer.Option("--max-calls", metavar="N", min=1, help="Model calls at once [default: no bound].")
]
MaxSandboxes = Annotated[
    int | None, typer.Option("--max-sandboxes", metavar="N", min=1, help="Sandboxes at once [default: no bound].")
]
FreeMemory = Annotated[
    str, typer.Option("--free-memory", metavar="SIZE", help="No new attempt while less memory is free.")
]
Retries = Annotated[
    int, typer.Option("--retries", metavar="N", min=0, help="Further tries where the model or the sandbox failed.")
]
Engine = Annotated[str, typer.Option("--engine", metavar="ENGINE", help="local, or ray: on a Ray cluster.")]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", metavar="ADDRESS", help="The cluster's head [env RAY_ADDRESS].")
]
JudgeModel = Annotated[
    str | None,
    typer.Option("--judge-model", metavar="MODEL", help="The model that judges free answers; none: leave unscored."),
]
JudgeBaseUrl = Annotated[str | None, typer.Option("--judge-base-url", metavar="URL", help="The judge's server.")]
JudgeVotes = Annotated[
    int | None,
    typer.Option("--judge-votes", metavar="N", min=1, help="Votes of the judge per answer [default: the suite's, 3]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The bench's directory.", show_default=False)]


@bench_app.command(
    "run",
    epilog="""\b
    Arms, beside llm and sandbox, each the sandbox with something enforced:
      in_prompt     documents in the prompt and not as files
      no_network    no network
      no_execution  editor only, nothing is run
      read_only     nothing but the answer can be written
      neutral       the prompt does not ask to compute

    \b
    Examples:
      workroom bench run math --data math.jsonl --limit 20
      workroom bench run math,chemistry -m openai/gpt-5 --repeats 4 -o gpt5
      workroom bench run long_context --arm in_prompt --judge-model openai/gpt-5
      workroom bench run ./my-suite --data items.jsonl --ids a1,a2

    \b
    Exit codes: 0 all scored, 1 internal error, 2 usage, 4 the model's server, 5 the
    sandbox could not be used, 6 unscored attempts are left, 130 interrupted.""",
)
def run(
    suites: Annotated[
        str, typer.Argument(metavar="SUITE[,SUITE...]", help="Names, or folders of your own.", show_default=False)
    ],
    model: Model = None,
    base_url: BaseUrl = None,
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="sandbox, llm or both.")] = "both",
    arm: Annotated[
        list[str] | None, typer.Option("--arm", metavar="ARM", help="One more arm, see below; may be repeated.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", metavar="N", min=1, help="Attempts per task [default: the suite's].")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="So many tasks of each suite.")
    ] = None,
    ids: Annotated[str | None, typer.Option("--ids", metavar="A,B", help="These tasks only.")] = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="N", help="Sampling seed; the next repeat has the next one.")
    ] = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Draw the tasks of --limit by the seed.")] = False,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="PATH", help="Tasks as JSONL, a file or folder; SUITE=PATH: of one suite."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Which data set of the hub, see `bench list`.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="[default: runs/<time>-bench-<suites>]")
    ] = None,
    concurrency: Concurrency = None,
    max_calls: MaxCalls = None,
    max_sandboxes: MaxSandboxes = None,
    free_memory: FreeMemory = "1g",
    retries: Retries = 2,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    judge_model: JudgeModel = None,
    judge_base_url: JudgeBaseUrl = None,
    judge_votes: JudgeVotes = None,
    style: Style = None,
    tool_protocol: ToolProtocol = None,
    sandbox: Backend = None,
    image: Image = None,
    network: Annotated[
        str | None, typer.Option("--network", metavar="POLICY", help="As of `run` [default: the suite's].")
    ] = None,
    cpus: Cpus = None,
    memory: Memory = None,
    pids: Pids = None,
    disk: Disk = None,
    command_timeout: CommandTimeout = None,
    max_turns: Annotated[
        str | None, typer.Option("--max-turns", metavar="N", help="Turns of an episode [default: the suite's].")
    ] = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price: Price = None,
    max_time: MaxTime = None,
    temperature: Temperature = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Run suites on a model, grade the answers, write the report.

    A bench in DIR that is the same one goes on where it was.
    """
    verbs = _verbs()
    from workroom.bench.plan import Selection, parse_arms

    flags = {
        "model": model,
        "base_url": base_url,
        "style": style,
        "tool_protocol": tool_protocol,
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
        "temperature": temperature,
        "seed": seed,
    }
    selection = Selection(
        suites=_list(suites, "SUITE"),
        arms=parse_arms(mode, arm or ()),
        repeats=repeats,
        limit=limit,
        ids=_list(ids, "--ids"),
        shuffle=shuffle,
        data=tuple(data or ()),
        source=source,
    )
    return int(
        verbs.run_verb(
            selection,
            _judge(judge_model, judge_base_url, judge_votes),
            flags,
            config,
            out,
            (concurrency, retries, free_memory),
            _bounds(max_calls, max_sandboxes, engine, ray_address),
            _screen(as_json=as_json, quiet=quiet),
        )
    )


@bench_app.command("resume")
def resume(
    directory: Directory,
    base_url: BaseUrl = None,
    price: Price = None,
    concurrency: Concurrency = None,
    max_calls: MaxCalls = None,
    max_sandboxes: MaxSandboxes = None,
    free_memory: FreeMemory = "1g",
    retries: Retries = 2,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    judge_model: JudgeModel = None,
    judge_base_url: JudgeBaseUrl = None,
    judge_votes: JudgeVotes = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Go on with a bench: what is missing, and what failed.

    As it was begun; finished attempts are not run again.
    """
    verbs = _verbs()
    return int(
        verbs.resume_verb(
            directory,
            {"base_url": base_url, "price": price},
            _judge(judge_model, judge_base_url, judge_votes),
            (concurrency, retries, free_memory),
            _bounds(max_calls, max_sandboxes, engine, ray_address),
            _screen(as_json=as_json, quiet=quiet),
        )
    )


@bench_app.command("grade")
def grade(
    directory: Directory,
    judge_model: JudgeModel = None,
    judge_base_url: JudgeBaseUrl = None,
    judge_votes: JudgeVotes = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the judge anew what it was asked before.")] = False,
    only_unscored: Annotated[bool, typer.Option("--unscored", help="Only what has no score yet.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Grade the answers once more, without running anything."""
    judge = _judge(judge_model, judge_base_url, judge_votes)
    screen = _screen(as_json=as_json, quiet=quiet)
    return int(_verbs().grade_verb(directory, judge, refresh=refresh, only_unscored=only_unscored, screen=screen))


@bench_app.command("report")
def report(directory: Directory, quiet: Quiet = False) -> int:
    """Write the report: tables, plots, evidence."""
    return int(_verbs().report_verb(directory, _screen(as_json=False, quiet=quiet)))


@bench_app.command("compare")
def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Benches.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write compare.md, compare.html and CSV there.")
    ] = None,
) -> int:
    """Set benches side by side, paired by task, and rank their models."""
    return int(_verbs().compare_verb(directories, out))


@bench_app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> int:
    """List the suites, with their data and licences."""
    from workroom.cli.bench_list import list_verb

    return list_verb(as_json=as_json)


@bench_app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or path of the new folder.", show_default=False)],
) -> int:
    """Make a suite of your own from a template."""
    from workroom.cli.bench_list import new_verb

    return new_verb(Path(name))


def _verbs() -> Any:
    """The bodies, once what they need is known to be there."""
    from workroom.cli.extras import need

    need("bench", "datasets", "math_verify", "if_verifiable", "matplotlib", "numpy", "tomli_w")
    from workroom.cli import bench

    return bench


def _screen(*, as_json: bool, quiet: bool) -> Any:
    from workroom.cli.screen import Screen

    return Screen(as_json=as_json, quiet=quiet)


def _judge(model: str | None, base_url: str | None, votes: int | None) -> "JudgeSettings":
    from workroom.bench.plan import JudgeSettings

    return JudgeSettings(model, base_url, votes)


def _bounds(calls: int | None, sandboxes: int | None, engine: str, address: str | None) -> "Bounds":
    from workroom.bench.session import Bounds
    from workroom.errors import ConfigError

    if engine not in ("local", "ray"):
        raise ConfigError(f"there is no engine {engine!r}; the engines are: local, ray")
    if engine == "ray":
        from workroom.cli.extras import need

        need("ray", "ray")
    return Bounds(calls, sandboxes, "ray" if engine == "ray" else "local", address)


def _list(text: str | None, what: str) -> tuple[str, ...]:
    """The names in a list with commas; none where nothing was given. Raises ConfigError for a list without any."""
    from workroom.errors import ConfigError

    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if text is not None and not names:
        raise ConfigError(f"{what} names nothing: {text!r}")
    return names
