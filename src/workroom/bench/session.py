"""From settings to a bench that runs: makes or finds the directory, opens what is needed, and runs it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workroom._outcome import default_directory
from workroom._values import redact_url
from workroom.bench.grading import check_grading, record_grading
from workroom.bench.kept_tasks import digest_of
from workroom.bench.plan import JudgeSettings, Plan
from workroom.bench.store import MAKING, BenchDirectory
from workroom.errors import ConfigError
from workroom.task import Task

if TYPE_CHECKING:
    from workroom.bench.attempt import Attempts
    from workroom.bench.graders import Graders
    from workroom.bench.runner import Engine
    from workroom.config import RunConfig
    from workroom.models.base import Model

_CONCURRENCY = 16

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """`calls`, `sandboxes`: at most so many at once, None for as many as attempts. `engine`: where attempts run."""

    calls: int | None = None
    sandboxes: int | None = None
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None


def begin(plan: Plan, out: Path | None, tell: Tell) -> BenchDirectory:
    """The directory of a new bench; one that is there already goes on if it is the same bench.

    Raises ConfigError where another one was begun in it (the first difference is named), where there are no
    tasks, or where something is missing to grade them.
    """
    if out is not None and (out / "config.toml").is_file():
        bench = BenchDirectory.open(out)
        begun = (out / "attempts").exists()
        try:
            same = plan.difference(bench.config) is None
            if begun or same:
                _check_same(bench, plan)
        except BaseException:
            bench.close()
            raise
        if begun or same:
            return bench
        # Nothing was begun, the model's name was wrong, say: as after a making that was broken off, it is made anew.
        bench.close()
        (out / "config.toml").rename(out / MAKING)
    tasks = load(plan)
    instructed = [task for some in tasks.values() for task in some if "instruction_id_list" in task.meta]
    if instructed:
        from workroom.bench.graders.language_data import missing_data

        if lacking := missing_data(instructed):
            tell(lacking)
    made = BenchDirectory.create(out or default_directory(f"bench-{'-'.join(plan.suites)[:60]}"), plan.record(), tasks)
    record_grading(made, plan)
    return made


def load(plan: Plan) -> dict[str, list[Task]]:
    """The tasks of each suite, checked to be gradable."""
    from workroom.bench.data import load_tasks, select
    from workroom.bench.graders import check, needs_judge

    selection = plan.selection
    seed = (plan.resolved.config.seed or 0) if selection.shuffle else None
    loaded = {name: load_tasks(suite, plan.data(name), selection.source) for name, suite in plan.suites.items()}
    known = {task.id for some in loaded.values() for task in some}
    if unknown := [name for name in selection.ids if name not in known]:
        raise ConfigError(f"there is no task {', '.join(unknown)} in {', '.join(loaded)}")
    tasks: dict[str, list[Task]] = {}
    for name, suite in plan.suites.items():
        wanted = {task.id for task in loaded[name]}.intersection(selection.ids)
        if selection.ids and not wanted:
            continue
        some = select(loaded[name], selection.limit, [task for task in selection.ids if task in wanted], seed)
        check(suite, some)
        if plan.judge.model is None and needs_judge(suite, some):
            raise ConfigError(
                f"some tasks of the suite {name} are graded by a model: name one with --judge-model MODEL, or leave "
                "them unscored with --judge-model none"
            )
        tasks[name] = some
    return tasks


def open_engine(plan: Plan, bounds: Bounds, tell: Tell) -> "Engine":
    """What runs the attempts. Raises ConfigError, ModelError or SandboxError for what would fail in every attempt."""
    from workroom._preflight import check_server
    from workroom.models.registry import default_model
    from workroom.sandbox.egress import parse_policy

    config = plan.resolved.config
    check_server(config.model or default_model(), config.base_url)
    for suite in plan.suites:
        for arm in plan.selection.arms:
            parse_policy(plan.settings(suite, arm).config.network)
    if bounds.engine == "ray":
        from workroom.bench.ray_engine import RayEngine

        return RayEngine(config, bounds, sandbox=plan.needs_sandbox)
    return open_attempts(config, bounds, sandbox=plan.needs_sandbox, tell=tell)


def open_attempts(
    config: "RunConfig", bounds: Bounds, *, sandbox: bool = True, tell: Tell = lambda _: None
) -> "Attempts":
    """Attempts in this process: opens the model and makes the image."""
    from workroom.bench.attempt import Attempts
    from workroom.bench.calls import BoundedModel
    from workroom.models import open_model
    from workroom.models.registry import load_sdk
    from workroom.sandbox.image import ensure_image

    model = open_model(
        config.model,
        base_url=config.base_url,
        protocol=config.tool_protocol,
        vision=config.vision,
        timeout=config.model_timeout,
        token_ids=config.token_ids,
        on_progress=tell,
    )
    load_sdk(model.name)
    if sandbox:
        ensure_image(config.image, progress=tell)
    return Attempts(model if bounds.calls is None else BoundedModel(model, bounds.calls), bounds.sandboxes)


def open_graders(
    bench: BenchDirectory, settings: JudgeSettings, *, refresh: bool = False, tell: Tell | None = None
) -> "tuple[Graders, Model | None]":
    """The graders of a bench, and the judge's model that is to be closed afterwards."""
    from workroom.bench.graders import Graders
    from workroom.bench.graders.judge import Judge
    from workroom.models import open_model

    if settings.model in (None, "none"):
        return Graders(), None
    model = open_model(settings.model, base_url=settings.base_url, on_progress=tell)
    base_url = None if settings.base_url is None else redact_url(settings.base_url)
    judge = Judge(model, bench.path / "judge", votes=settings.votes, refresh=refresh, base_url=base_url)
    return Graders(judge=judge), model


def default_concurrency(model: str | None) -> int:
    """Attempts at once: as many as a local model can answer at a time, else 16."""
    from workroom.models.registry import default_model

    if (model or default_model()).startswith("local/"):
        return max(int(os.environ.get("WORKROOM_LOCAL_PARALLEL") or 1), 1)
    return _CONCURRENCY


def _check_same(bench: BenchDirectory, plan: Plan) -> None:
    if difference := plan.difference(bench.config):
        raise ConfigError(f"{bench.path} holds another bench: {difference}; choose another with -o DIR")
    for suite, some in load(plan).items():
        before = {task.id: task for task in bench.tasks.get(suite, ())}
        if [task.id for task in some] != list(before):
            raise ConfigError(f"the data hold other tasks of {suite} than when {bench.path} was begun")
        for task in some:
            if _content(task) != _content(before[task.id]):
                raise ConfigError(f"the task {task.id} of {suite} has changed since {bench.path} was begun")
    check_grading(bench, plan)


def _content(task: Task) -> tuple[Any, ...]:
    """What makes the task, its documents by SHA-256."""
    documents = {name: digest_of(content) for name, content in task.documents.items()}
    return task.prompt, task.answer, task.choices, task.grader, task.domain, dict(task.meta), documents
