"""A task set and a harness for verifiers, and so for prime-rl and what else trains or evaluates through it.

vf-eval workroom-verifiers -m MODEL --env.taskset.data train.jsonl

An episode is a run as of `workroom run`, in this process: our loop, tools and sandbox, with the model behind the
endpoint that verifiers gives. Verifiers' own runtime is not entered; it is a folder on the host that stays empty. The
reward is that of `workroom train`. Where the plant fails, the model's server, the sandbox or the grader, the rollout
has an error and no reward.
"""

import asyncio
import functools
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import verifiers.v1 as vf

from workroom._run import Run
from workroom.bench.data import load_tasks
from workroom.bench.suite import Suite, find_suite
from workroom.config import from_arguments
from workroom.errors import ConfigError, SandboxError
from workroom.integrations.settings import SandboxSettings
from workroom.models import open_model
from workroom.redaction import forget
from workroom.task import Task
from workroom.train.config import RewardSection
from workroom.train.data import prompt
from workroom.train.rewards import Reward

if TYPE_CHECKING:
    from workroom._outcome import RunResult

NAME = "workroom-verifiers"
LEFT = "workroom"  # the key in `trace.info` of what an episode left


class WorkroomData(vf.TaskData):
    """A task as it travels between processes, whole: `prompt` is what the model is asked, `documents` texts by name."""

    domain: str = "general"
    documents: dict[str, str] = {}
    answer: str | None = None
    choices: list[str] = []
    grader: str | None = None
    meta: dict[str, Any] = {}


class WorkroomTaskConfig(vf.TaskConfig):
    """How episodes are rewarded: `[reward]` of `workroom train`."""

    scheme: Literal["binary", "fractional"] = "fractional"
    overlong: float | None = 0.0
    custom: str | None = None
    timeout: float = 60.0

    @property
    def section(self) -> RewardSection:
        return RewardSection(scheme=self.scheme, overlong=self.overlong, custom=self.custom, timeout=self.timeout)


class WorkroomTask(vf.Task[WorkroomData, vf.State, WorkroomTaskConfig]):
    """A task, which is graded by what the episode left in `answer.txt`."""

    @vf.reward
    async def outcome(self, trace: vf.Trace) -> float:
        """Raises RuntimeError where the answer cannot be graded: verifiers drops such a rollout."""
        left = trace.info.get(LEFT)
        if left is None:
            if trace.stop_condition is None and not trace.is_timeout:
                raise RuntimeError(f"the episode left no answer: run it with the harness {NAME}")
            left = {"answer": None, "stop_reason": "max_time"}  # verifiers cut it off
        work = _reward(self.config.section).of(_plain(self.data), left["answer"], left["stop_reason"])
        earned = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _background_loop()))
        if earned.value is None:
            raise RuntimeError(f"the answer could not be graded: {earned.reason}")
        return earned.value


class WorkroomTasksetConfig(vf.TasksetConfig):
    """`data`: a JSONL file in the schema of `workroom bench --data`, or a folder of them; None: what `suite` has.

    `suite`: that of the bench, by name or folder, whose prompts, graders and items are taken; None: `workroom train`'s,
    which asks the tasks of a training as they were asked there. `source`: a source of the suite.
    """

    data: Path | None = None
    suite: str | None = None
    source: str | None = None
    task: WorkroomTaskConfig = WorkroomTaskConfig()


class WorkroomTaskset(vf.Taskset[WorkroomTask, WorkroomTasksetConfig]):
    """Our tasks. `load` raises ConfigError for data that cannot be read, or a task that cannot be graded."""

    def load(self) -> Iterator[WorkroomTask]:
        config = self.config
        if config.data is None and config.suite is None:
            raise ConfigError(
                "name tasks: --env.taskset.data FILE.jsonl, or --env.taskset.suite NAME for a suite's own"
            )
        suite = prompt.suite() if config.suite is None else find_suite(config.suite)
        tasks = [_as_asked(task, suite) for task in load_tasks(suite, config.data, config.source)]
        Reward(config.task.section).check(tasks)
        for task in tasks:
            yield WorkroomTask(_data(task), config.task)


class WorkroomHarnessConfig(vf.HarnessConfig, SandboxSettings):
    """The settings of a run, named as on the command line. Temperature and tokens of a turn are verifiers' own.

    `runs`: a folder where the directories of the runs are kept, to be read with `workroom view`; None: nowhere.
    """

    tool_protocol: Literal["auto", "native", "json", "bash"] = "native"
    style: Literal["compute", "neutral"] = "neutral"
    max_turns: int = 30
    max_tokens: int | None = None
    max_time: float | None = None
    model_timeout: float = 3600.0
    command_timeout: float = 120.0
    runs: Path | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """As `workroom.arun` takes them."""
        return {
            "sandbox": self.backend,
            "image": self.image,
            "network": self.network,
            "memory": self.memory,
            "pids": self.pids,
            "disk": self.disk,
            "cpus": self.cpus,
            "style": self.style,
            "max_turns": self.max_turns,
            "max_tokens": self.max_tokens,
            "max_time": self.max_time,
            "command_timeout": self.command_timeout,
            "checkpoints": False,
        }


class WorkroomHarness(vf.Harness[WorkroomHarnessConfig]):
    """Our agent in our sandbox. What it left is in `trace.info["workroom"]`."""

    EXECUTES_CODE = False  # not in verifiers' runtime, which is all that this is about
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        """Runs the episode. Raises verifiers' SandboxError and, for what failed otherwise, RuntimeError."""
        config = self.config
        if mcp_urls or config.disabled_tools or config.skills:
            raise ConfigError(f"the harness {NAME} has its own three tools, and takes no others and no skills")
        if runtime.type != "subprocess":
            raise ConfigError(
                f"the harness {NAME} brings its own sandbox and cannot run in {runtime.type}: set "
                "--env.agent.runtime.type subprocess"
            )
        _, text = self.resolve_text_prompt(data)
        task = Task(text or "", id=data.id or "task", documents=getattr(data, "documents", {}))
        model = open_model(
            f"openai/{ctx.model}",
            base_url=endpoint,
            api_key=secret,
            protocol=config.tool_protocol,
            timeout=config.model_timeout,
        )
        try:
            with _directory(config.runs, trace.id) as directory:
                run = Run(task, from_arguments({"model": model.name, **config.settings}), model=model, out=directory)
                await asyncio.to_thread(run.prepare)
                result = await run.episode()
        except SandboxError as error:
            raise vf.SandboxError(str(error)) from error
        finally:
            await model.aclose()
            forget(secret)
        trace.info[LEFT] = _left(result, trace, config.runs)
        if trace.stop_condition is None:  # else verifiers refused a turn, which our loop takes for a failure
            if result.stop_reason == "sandbox_error":
                raise vf.SandboxError(result.error)
            if result.stop_reason == "model_error":
                raise RuntimeError(result.error)
        return vf.ProgramResult(0, "", "")

    @vf.metric
    async def episode(self, trace: vf.Trace) -> dict[str, float]:
        """What of `trace.info` is a number."""
        left = trace.info.get(LEFT, {})
        metrics = {name: left[name] for name in ("turns", "seconds", "model_seconds", "tool_seconds") if name in left}
        metrics |= {f"calls_{name}": count for name, count in left.get("tool_calls", {}).items()}
        return metrics | {"submitted": float(left.get("stop_reason") == "submitted")}


class WorkroomEnvConfig(vf.EnvConfig):
    """One agent, ours, on the host: the sandbox is its own."""

    # Made without checks: they would look for our plug-in, which is only being imported.
    agent: vf.AgentConfig = vf.AgentConfig.model_construct(
        runtime=vf.SubprocessConfig(), harness=WorkroomHarnessConfig(id=NAME)
    )


class WorkroomEnv(vf.Env[WorkroomEnvConfig]):
    """One agent on one task."""

    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        await agents.agent.run(task)


def _as_asked(task: Task, suite: Suite) -> Task:
    """The task with its prompt and its grader's name."""
    task = replace(task, grader=suite.grader_of(task))
    if "training" in task.meta:
        return prompt.asked(task, "sandbox")
    return prompt.complete(task, (), {}) if suite == prompt.suite() else suite.task(task, "sandbox")


def _data(task: Task) -> WorkroomData:
    return WorkroomData(
        id=task.id,
        prompt=task.prompt,
        domain=task.domain,
        documents={name: _text(task, name, content) for name, content in task.documents.items()},
        answer=task.answer,
        choices=list(task.choices),
        grader=task.grader,
        meta={name: value for name, value in task.meta.items() if name != "training"},
    )


def _text(task: Task, name: str, content: str | bytes | Path) -> str:
    if isinstance(content, str):
        return content
    try:
        return (content if isinstance(content, bytes) else content.read_bytes()).decode()
    except UnicodeDecodeError:
        raise ConfigError(
            f"the document {name!r} of the task {task.id!r} is no UTF-8 text, and verifiers carries no other: leave "
            "the task out"
        ) from None


def _plain(data: WorkroomData) -> Task:
    """The task as graders take it."""
    return Task(
        data.prompt_text,
        id=data.id or "task",
        domain=data.domain,
        documents=data.documents,
        answer=data.answer,
        choices=tuple(data.choices),
        grader=data.grader,
        meta=data.meta,
    )


def _left(result: "RunResult", trace: vf.Trace, runs: Path | None) -> dict[str, Any]:
    """What the traces keep of an episode. Times in seconds."""
    end = next(event for event in reversed(result.trajectory) if event.type == "episode_finished")
    calls: Counter[str] = Counter()
    for event in result.trajectory:
        if event.type == "assistant":
            calls.update(call.name for call in event.calls)
    return {
        "answer": result.answer,
        "stop_reason": _reason(result.stop_reason, trace.stop_condition),
        "error": result.error,
        "turns": result.turns,
        "tool_calls": dict(calls),
        "seconds": result.duration,
        "model_seconds": end.model_seconds,
        "tool_seconds": end.tool_seconds,
        "run": None if runs is None else str(result.path),
    }


def _reason(ours: str, theirs: str | None) -> str:
    """Why it ended. Where verifiers refused a turn: at its bound on turns, or at one on tokens or of a task's own."""
    if theirs is None or ours not in ("model_error", "context_overflow"):
        return ours
    return "max_turns" if theirs == "max_turns" else "max_tokens"


@contextmanager
def _directory(runs: Path | None, name: str) -> Iterator[Path]:
    """Where a run goes."""
    if runs is not None:
        yield runs / name
        return
    with tempfile.TemporaryDirectory(prefix="workroom-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "run"


@functools.cache
def _reward(section: RewardSection) -> Reward:
    """The graders, in processes that end with this one. They belong to the background loop."""
    return Reward(section)


@functools.cache
def _background_loop() -> asyncio.AbstractEventLoop:
    """An event loop for the graders, in a thread that lives as long as the process: verifiers' own may come and go."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="workroom-graders", daemon=True).start()
    return loop
