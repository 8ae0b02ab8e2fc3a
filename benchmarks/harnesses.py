"""The harnesses that `loop.py` compares, each playing the same script; a worker process measures one of them.

    python -m benchmarks.harnesses NAME turn|rate|memory ... (see `loop.py`, which starts it)

Each harness writes what it writes by default of an episode: ours a run directory, mini-swe-agent its trajectory after
each step, Inspect its log. `Gate` holds all episodes at their last command, so that the memory of so many can be told.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from benchmarks.instant_server import model_name
from benchmarks.script import ANSWER, BASH, OBSERVATION, TURNS, command, script
from workroom import Agent, EpisodeLimits, Limits, Sandbox, arun, open_model
from workroom.models.base import Model
from workroom.sandbox.base import SandboxFacts
from workroom.sandbox.bwrap_command import find_bwrap
from workroom.tools import Observation, SubmitTool
from workroom.tools.specs import spec
from workroom.trajectory.rundir import RunDirectory

HELD = command(TURNS - 2)
SMALL: dict[str, Any] = {
    "memory": "256m",
    "disk": "64m",
    "pids": 64,
}  # of a sandbox, so that 512 of them cannot fill this machine


class Harness(Protocol):
    """`turns` plays episodes whose tool answers at once, `rate` whole ones in their sandboxes, `concurrency` at a
    time. All leave their files in `folder`."""

    def turns(self, episodes: int, turns: int, folder: Path, gate: "Gate | None" = None) -> None: ...

    def rate(self, episodes: int, concurrency: int, folder: Path) -> None: ...


class Gate:
    """Opens when `count` episodes have come to it; `resident` is this process's memory at that moment, in bytes."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._waiting: list[asyncio.Event] = []
        self.resident = 0

    def wait(self) -> None:
        self._arrive()
        self._open.wait()

    async def passed(self) -> None:
        opened = asyncio.Event()
        self._waiting.append(opened)
        self._arrive()
        await opened.wait()

    def _arrive(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self.resident = resident()
                self._open.set()
                for opened in self._waiting:
                    opened.set()


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Workroom:
    """Ours, with a scripted model in the process or, with `server`, with one that is spoken to by HTTP."""

    def __init__(self, server: str | None = None) -> None:
        self._server = server

    def _model(self, folder: Path, turns: int) -> Model:
        if self._server is not None:
            return open_model(f"openai/{model_name(turns)}", base_url=f"{self._server}/v1", api_key="none")
        path = folder / f"script-{turns}.jsonl"
        path.write_text(script(turns))
        return open_model(f"scripted/{path}")

    def turns(self, episodes: int, turns: int, folder: Path, gate: Gate | None = None) -> None:
        model = self._model(folder, turns)

        async def one(number: int) -> None:
            agent = Agent(model, Nowhere(), tools=[AtOnce(gate), SubmitTool()], limits=EpisodeLimits(max_turns=turns))
            with RunDirectory.create(folder / str(number), {}) as directory:
                async with aclosing(agent.stream("x")) as events:
                    async for event in events:
                        directory.record(event)
                assert directory.finished is not None
                assert directory.finished.stop_reason == "submitted", directory.finished
                await asyncio.to_thread(directory.finish)

        asyncio.run(_all(one, episodes, episodes))

    def rate(self, episodes: int, concurrency: int, folder: Path) -> None:
        model = self._model(folder, TURNS)

        async def one(number: int) -> None:
            result = await arun("x", model=model, out=folder / str(number), network="none", **SMALL)
            assert result.stop_reason == "submitted", result

        asyncio.run(_all(one, episodes, concurrency))

    def in_sandboxes(self, count: int, folder: Path) -> dict[str, float]:
        """Bytes an episode of this process, and of its sandbox, with `count` of them after their last command."""

        async def held(box: Sandbox) -> Any:
            events = Agent(model, box).stream("x")
            while (event := await anext(events)).type != "tool" or event.turn < TURNS - 1:
                pass
            return events

        async def main() -> dict[str, float]:
            before = resident()
            limits = Limits(**SMALL)
            boxes = [await Sandbox.start(limits=limits) for _ in range(count)]
            streams = await asyncio.gather(*map(held, boxes))
            figures = {"process": (resident() - before) / count}
            if all(box.memory is not None for box in boxes):
                figures["sandbox"] = sum(box.memory or 0 for box in boxes) / count
            for events in streams:
                await events.aclose()
            await asyncio.gather(*(box.close() for box in boxes))
            return figures

        model = self._model(folder, TURNS)
        return asyncio.run(main())


class Nowhere(Sandbox):
    """In the place of a sandbox, where only the harness is measured: it takes every file and has the answer."""

    def __init__(self) -> None:
        self.facts = SandboxFacts("bwrap", "default", "none")
        self.limits = Limits()

    async def read(self, path: str, *, limit: int = 0) -> bytes:  # noqa: ARG002
        return ANSWER.encode()

    async def write(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        pass


class AtOnce:
    """A tool that answers at once, or when the gate opens."""

    def __init__(self, gate: Gate | None) -> None:
        self.spec = spec(BASH, "standard", command_timeout="120")
        self._gate = gate

    async def __call__(self, arguments: Mapping[str, Any], sandbox: Sandbox) -> Observation:  # noqa: ARG002
        if self._gate is not None and arguments["command"] == HELD:
            await self._gate.passed()
        return Observation(f"[exit code: 0]\n[stdout]\n{OBSERVATION}", facts={"exit_code": 0})


async def _all(one: Any, count: int, concurrency: int) -> None:
    free = asyncio.Semaphore(concurrency)

    async def bounded(number: int) -> None:
        async with free:
            await one(number)

    await asyncio.gather(*map(bounded, range(count)))


class MiniSwe:
    """mini-swe-agent's default agent with its own prompts, one thread an episode as in its batch runs."""

    def __init__(self, environment: str) -> None:
        os.environ["MSWEA_SILENT_STARTUP"] = "1"
        os.environ["MSWEA_GLOBAL_CONFIG_DIR"] = tempfile.mkdtemp()  # it writes there when it is imported
        self._agent = import_module("minisweagent.agents.default").DefaultAgent
        self._models = import_module("minisweagent.models.test_models")
        self._environment = environment
        settings = import_module("minisweagent.config").get_config_from_spec("mini.yaml")
        prompts = settings["agent"]
        self._prompts = {key: prompts[key] for key in ("system_template", "instance_template")}
        self._observation = settings["model"]["observation_template"]

    def _play(self, environment: Any, turns: int, path: Path) -> None:
        commands = [*map(command, range(turns - 1)), f"echo {SUBMIT}; echo {ANSWER}"]
        outputs = []
        for number, text in enumerate(commands):
            name = f"c{number}"
            function = {"name": "bash", "arguments": json.dumps({"command": text})}
            calls = [{"id": name, "type": "function", "function": function}]
            outputs.append(self._models.make_toolcall_output("", calls, [{"command": text, "tool_call_id": name}]))
        model = self._models.DeterministicToolcallModel(outputs=outputs, observation_template=self._observation)
        agent = self._agent(model, environment, **self._prompts, cost_limit=0, output_path=path / "trajectory.json")
        assert agent.run("x")["exit_status"] == "Submitted"

    def _local(self, folder: Path) -> Any:
        folder.mkdir(exist_ok=True)
        return import_module("minisweagent.environments.local").LocalEnvironment(cwd=str(folder))

    def turns(self, episodes: int, turns: int, folder: Path, gate: Gate | None = None) -> None:
        def one(number: int) -> None:
            environment = self._local(folder / str(number))

            def at_once(action: dict[str, Any]) -> dict[str, Any]:
                if gate is not None and action["command"] == HELD:
                    gate.wait()
                output = f"{SUBMIT}\n{ANSWER}\n" if SUBMIT in action["command"] else OBSERVATION
                result = {"output": output, "returncode": 0, "exception_info": ""}
                environment._check_finished(result)  # noqa: SLF001 - where its own environments do it
                return result

            environment.execute = at_once
            self._play(environment, turns, folder / str(number))

        with ThreadPoolExecutor(episodes) as pool:
            list(pool.map(one, range(episodes)))

    def rate(self, episodes: int, concurrency: int, folder: Path) -> None:
        def one(number: int) -> None:
            place = folder / str(number)
            if self._environment == "local":
                self._play(self._local(place), TURNS, place)
                return
            program, stage = find_bwrap()
            executable = str(stage[0][0] / "_bin" / "bwrap") if stage else program
            kind = import_module("minisweagent.environments.extra.bubblewrap").BubblewrapEnvironment
            environment = kind(executable=executable)
            self._play(environment, TURNS, place)
            environment.cleanup()

        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(one, range(episodes)))


SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


class Inspect:
    """Inspect's react agent in an evaluation without a score, with the sandbox of that name."""

    def __init__(self, sandbox: str) -> None:
        self._ai = import_module("inspect_ai")
        self._model = import_module("inspect_ai.model")
        self._tools = import_module("inspect_ai.tool")
        self._agent = import_module("inspect_ai.agent")
        self._sandbox = sandbox

    def _evaluate(self, episodes: int, concurrency: int, turns: int, tool: Any, sandbox: Any, folder: Path) -> None:
        output, usage = self._model.ModelOutput, self._model.ModelUsage

        def answer(messages: list[Any], *_: Any) -> Any:
            turn = sum(message.role == "assistant" for message in messages)
            last = turn == turns - 1
            name, arguments = ("submit", {"answer": ANSWER}) if last else ("bash", {"cmd": command(turn)})
            made = output.for_tool_call("mockllm/model", name, arguments)
            made.usage = usage(
                input_tokens=1, output_tokens=1, total_tokens=2
            )  # else it counts, with a table it fetches
            return made

        samples = [import_module("inspect_ai.dataset").Sample(input="x") for _ in range(episodes)]
        task = self._ai.Task(dataset=samples, solver=self._agent.react(tools=[tool]), sandbox=sandbox)
        model = self._model.get_model("mockllm/model", custom_outputs=answer, memoize=False)
        [log] = self._ai.eval(
            task, model=model, max_samples=concurrency, max_connections=concurrency, log_dir=str(folder / "logs"),
            display="none", score=False,
        )  # fmt: skip
        assert log.status == "success", log.error
        assert all(sample.output.completion.endswith(ANSWER) for sample in log.samples)

    def turns(self, episodes: int, turns: int, folder: Path, gate: Gate | None = None) -> None:
        def bash() -> Any:
            async def execute(cmd: str) -> str:
                """Runs a command.

                Args:
                    cmd: The command.
                """
                if gate is not None and cmd == HELD:
                    await gate.passed()
                return OBSERVATION

            return execute

        tool = self._tools.tool(name="bash")(bash)()
        self._evaluate(episodes, episodes, turns, tool, None, folder)

    def rate(self, episodes: int, concurrency: int, folder: Path) -> None:
        sandbox: Any = self._sandbox
        if sandbox == "workroom":
            sandbox = (sandbox, import_module("workroom.integrations.inspect").WorkroomSandboxConfig(**SMALL))
        self._evaluate(episodes, concurrency, TURNS, self._tools.bash(), sandbox, folder)


def harness(name: str, server: str | None = None) -> Harness:
    """The harness of a row of `loop.py`."""
    kind, _, place = name.partition(", ")
    if kind == "mini-swe-agent":
        return MiniSwe(place)
    return Inspect(place) if kind == "Inspect" else Workroom(server)


def measure_turns(one: Harness, turns: int, folder: Path) -> float:
    """Milliseconds of CPU of this process that a turn costs: the difference of six episodes and one."""
    used = []
    for number, episodes in enumerate((1, 1, 1 + MORE)):  # the first warms up
        place = folder / f"{turns}-{number}"
        place.mkdir()
        start = time.process_time()
        one.turns(episodes, turns, place)
        used.append(time.process_time() - start)
    return (used[2] - used[1]) / (MORE * turns) * 1000


MORE = 5


def measure_rate(one: Harness, episodes: int, concurrency: int, folder: Path) -> dict[str, float]:
    """Episodes a second, and milliseconds of CPU of this process for each."""
    for name in ("warm-up", "counted"):
        (folder / name).mkdir()
    one.rate(2, 2, folder / "warm-up")
    start, used = time.perf_counter(), time.process_time()
    one.rate(episodes, concurrency, folder / "counted")
    seconds = time.perf_counter() - start
    return {"rate": episodes / seconds, "cpu": (time.process_time() - used) / episodes * 1000}


def measure_memory(one: Harness, count: int, folder: Path) -> dict[str, float]:
    """Bytes of an episode whose tool is about to answer for the last time, with `count` of them."""
    for name in ("warm-up", "counted", "sandboxes"):
        (folder / name).mkdir()
    one.turns(2, TURNS, folder / "warm-up")
    gate = Gate(count)
    before = resident()
    one.turns(count, TURNS, folder / "counted", gate)
    figures = {"harness": (gate.resident - before) / count}
    if isinstance(one, Workroom):
        figures |= one.in_sandboxes(count, folder / "sandboxes")
    return figures


def main() -> None:
    """Measures as the arguments say (JSON) and prints the result as the last line."""
    arguments = json.loads(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 16)), hard))
    one = harness(arguments["name"], arguments.get("server"))
    folder = Path(arguments["folder"])
    match arguments["measure"]:
        case "turns":
            result: Any = measure_turns(one, arguments["turns"], folder)
        case "rate":
            result = measure_rate(one, arguments["episodes"], arguments["concurrency"], folder)
        case _:
            result = measure_memory(one, arguments["count"], folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
