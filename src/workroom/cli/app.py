"""The verbs and flags. Bodies only hand over: what they need is imported when they run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from workroom.cli.bench_app import bench_app
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
    Style,
    Temperature,
    ToolProtocol,
)
from workroom.cli.sandbox_app import sandbox_app
from workroom.cli.serve_app import EPILOG, serve

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="workroom",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
    help="Gives a language model a computer: a sandbox with three tools, files in, answer and artefacts out.",
    epilog="""\b
    Examples:
      workroom "How many prime numbers are below 10^7?"
      workroom run "Which station was warmest in May?" -i logs/ -o warmest
      workroom run @task.md -m openai/gpt-5 --network none --max-time 600
      workroom doctor

    `workroom "TASK"` is short for `workroom run "TASK"`. Every verb has its own --help,
    and `workroom --version` shows the version.""",
)
models_app = typer.Typer(
    rich_markup_mode=None,
    context_settings=_SETTINGS,
    help="List the models that can be used.",
)


@app.command(
    "run",
    epilog="""\b
    Examples:
      workroom run "Plot temp.csv as a bar chart" -i temp.csv -o chart
      workroom run "Summarise the reports" -i reports/ -m anthropic/claude-sonnet-4-5
      workroom run @task.md -m openai/qwen3 --base-url http://127.0.0.1:8000/v1
      echo "What is 2^1000 mod 97?" | workroom run - --network none --quiet
      workroom run --resume runs/20261122-045230-plot
      workroom run "What is 17 * 23?" --mode llm

    \b
    Exit codes: 0 submitted, 1 internal error, 2 usage, 3 a limit was reached,
    4 the model's provider failed, 5 the sandbox failed, 130 interrupted.""",
)
def run(
    task: Annotated[
        str | None,
        typer.Argument(metavar="TASK", help="The task: text, - for standard input, or @FILE.", show_default=False),
    ] = None,
    model: Model = None,
    base_url: BaseUrl = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("-i", "--input", metavar="PATH", help="A file or directory for the model; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Run directory [default: runs/<time>-<slug>]."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the run in DIR, in place of a TASK.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="MODE", help="sandbox, or llm: one plain answer without a sandbox.")
    ] = None,
    style: Style = None,
    tool_protocol: ToolProtocol = None,
    vision: Annotated[
        str | None,
        typer.Option("--vision", metavar="V", help="Show pictures to the model: auto, on or off [default: auto]."),
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
        str | None, typer.Option("--max-turns", metavar="N", help="Turns of the episode [default: 100].")
    ] = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price: Price = None,
    max_time: MaxTime = None,
    checkpoints: Annotated[
        str | None,
        typer.Option("--checkpoints", metavar="on|off", help="Keep the files of each turn for --resume [default: on]."),
    ] = None,
    temperature: Temperature = None,
    seed: Annotated[str | None, typer.Option("--seed", metavar="N", help="Sampling seed, where supported.")] = None,
    token_ids: Annotated[
        bool, typer.Option("--token-ids", help="Record token ids, for `workroom export --to tokens`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON event a line on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No activity on standard error, errors only.")] = False,
    config: ConfigFile = None,
) -> int:
    """Give a model a computer and a task; print its answer."""
    from workroom.cli.run import resume_verb, run_verb

    flags = {
        "model": model,
        "base_url": base_url,
        "mode": mode,
        "style": style,
        "tool_protocol": tool_protocol,
        "vision": vision,
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
        "checkpoints": checkpoints,
        "temperature": temperature,
        "seed": seed,
        "token_ids": token_ids or None,
    }
    if resume is not None:
        given = {"a TASK": task, "-i": inputs, "-o": out, "--config": config}
        return resume_verb(
            resume, flags, [name for name, value in given.items() if value], as_json=as_json, quiet=quiet
        )
    return run_verb(task, inputs or [], out, flags, config, as_json=as_json, quiet=quiet)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> int:
    """List the models that can be used."""
    if context.invoked_subcommand is not None:
        return 0
    from workroom.cli.models import show

    return show()


@models_app.command("pull")
def models_pull(name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False)] = None) -> int:
    """Make a local model ready.

    Builds the model server and fetches the weights, so that the first run need not.
    """
    from workroom.cli.models import pull

    return pull(name)


@models_app.command("stop")
def models_stop() -> int:
    """Stop the local model server."""
    from workroom.cli.models import stop

    return stop()


@app.command(
    "train",
    epilog="""\b
    Examples:
      workroom train configs/cpu.toml --dry-run
      workroom train configs/cpu.toml -o first --set algorithm.steps=10
      workroom train first/config.toml --resume
      workroom run "How many lines?" -i logs/ -m local/first/model

    \b
    Exit codes: 0 trained, 1 internal error, 2 usage, 4 weights could not be fetched,
    5 the sandbox failed, 130 interrupted (after the step under way; --resume goes on).""",
)
def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="What to train, on what, and how.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, show the plan, train nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="[default: output.dir, else runs/<time>-train-<name>]"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value, as algorithm.steps=5; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> int:
    """Make a model better at using the computer, by outcome reward.

    Reinforcement learning on questions whose context lies as files in the sandbox.
    """
    from workroom.cli.extras import need

    need("train", "torch", "transformers", "trl", "accelerate", "gguf", "tensorboard", "datasets", "math_verify")
    need("train", "matplotlib", "tomli_w")
    from workroom.cli.screen import Screen
    from workroom.cli.train import train_verb

    screen = Screen(as_json=as_json, quiet=quiet)
    return train_verb(config, overrides or [], out, dry_run=dry_run, resume=resume, screen=screen)


app.command("serve", epilog=EPILOG)(serve)


@app.command(
    "replay",
    epilog="""\b
    Examples:
      workroom replay runs/20260101-120000-count
      workroom replay out -i data/ --network none
      workroom replay out --json | tail -n 1

    \b
    What differs by nature is not compared: clock times and dates, durations, process
    ids, temporary names, addresses, and the budget line. With --exact all is compared.

    \b
    Exit codes: 0 all the same, 1 internal error, 2 usage (a document is missing or
    changed), 3 something differs, 5 the sandbox failed, 130 interrupted.""",
)
def replay(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.", show_default=False)],
    inputs: Annotated[
        list[Path] | None,
        typer.Option("-i", "--input", metavar="PATH", help="The documents [default: where the run found them]."),
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option("--sandbox", metavar="BACKEND", help="Another backend than the run's.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="NAME", help="Another image than the run's.")] = None,
    network: Annotated[
        str | None, typer.Option("--network", metavar="POLICY", help="Another network policy than the run's.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare also what differs by nature.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a call, then the result.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> int:
    """Run a run's commands again and show what differs.

    In a fresh sandbox like the recorded one. Nothing is asked of the model.
    """
    from workroom.cli.replay import replay_verb

    flags = {"sandbox": sandbox, "image": image, "network": network}
    return replay_verb(directory, inputs or [], flags, exact=exact, as_json=as_json, quiet=quiet)


@app.command(
    "analyze",
    epilog="""\b
    Examples:
      workroom analyze runs/20260101-120000-count --evidence
      workroom analyze runs
      workroom analyze bench/ --json | tail -n 1""",
)
def analyze(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run, or a folder with runs below it.", show_default=False)
    ],
    evidence: Annotated[bool, typer.Option("--evidence", help="Show for each turn why it counts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a run, then one a group.")] = False,
) -> int:
    """Say what models used the computer for.

    External resources, file management, computation: by rules over what was run.
    """
    from workroom.cli.analyze import analyze_verb

    return analyze_verb(directory, as_json=as_json, evidence=evidence)


@app.command(
    "export",
    epilog="""\b
    Formats:
      openai-jsonl  messages and tools as in Chat Completions; reasoning_content
      sharegpt      conversations as LLaMA-Factory reads them
      atif          ATIF v1.8 documents
      inspect       a log of Inspect AI (needs the extra `inspect`)
      tokens        token ids, masks and log-probabilities for a trainer;
                    needs runs made with --token-ids

    \b
    Examples:
      workroom export out --to openai-jsonl -o train.jsonl
      workroom export runs --to sharegpt > sharegpt.jsonl
      workroom export out --to inspect -o log.json""",
)
def export(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run directory, or one with runs below it.", show_default=False)
    ],
    form: Annotated[str, typer.Option("--to", metavar="FORMAT", help="The format, see below.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write here [default: standard output].")
    ] = None,
) -> int:
    """Write runs in another format, one line a run."""
    from workroom.cli.export import export_verb

    return export_verb(directory, form, out)


@app.command(
    "import",
    epilog="""\b
    Examples:
      workroom import trajectory.json -o theirs
      workroom export theirs --to openai-jsonl""",
)
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An ATIF document, or a trajectory.json of LLM-in-Sandbox.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="DIR", help="The run directory to make.", show_default=False),
    ],
) -> int:
    """Make a run directory of someone else's trajectory.

    A benchmark file with many problems makes one below DIR for each.
    """
    from workroom.cli.export import import_verb

    return import_verb(file, out)


@app.command(
    "view",
    epilog="""\b
    Examples:
      workroom view runs/20260101-120000-count
      workroom view bench/ -o bench.html --max-size 20m
      workroom view runs --serve

    \b
    Exit codes: 0 written, or ended with Ctrl-C; 1 internal error; 2 usage.""",
)
def view(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A run, a bench, or a folder with runs below it.", show_default=False),
    ],
    serve: Annotated[bool, typer.Option("--serve", help="Serve the page, and what is new as it happens.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE.html", help="The file [default: DIR/view.html].")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Where --serve listens [default: 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Port of --serve [default: the first free from 8765 on].")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="Most that the file may have [default: 100m].")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No activity on standard error, errors only.")] = False,
) -> int:
    """Show what happened in a run or a bench, in a browser.

    Writes one HTML file that needs nothing else, or serves the page while the run goes on.
    """
    from workroom.cli.view import serve_verb, view_verb
    from workroom.errors import ConfigError

    given = {"-o": out, "--max-size": max_size} if serve else {"--host": host, "--port": port}
    if wrong := [name for name, value in given.items() if value is not None]:
        what = "is for a file, without --serve" if serve else "is for --serve"
        raise ConfigError(f"{wrong[0]} {what}: leave one of them out")
    if serve:
        return serve_verb(directory, host or "127.0.0.1", port, quiet=quiet)
    from workroom.cli.screen import Screen

    return view_verb(directory, out, max_size or "100m", Screen(quiet=quiet))


@app.command("doctor")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> int:
    """Say what this host offers, and what it cannot enforce.

    Exit code 0 if a sandbox can run, else 5.
    """
    from workroom.cli.doctor import show

    return show(as_json=as_json)


app.add_typer(bench_app, name="bench")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(models_app, name="models")
