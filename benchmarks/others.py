"""The other harnesses that `loop.py` measures."""

import json
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gate import HELD, Gate
from benchmarks.ours import SMALL
from benchmarks.script import ANSWER, OBSERVATION, TURNS, command
from workroom.sandbox.bwrap_command import find_bwrap

SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


class MiniSwe:
    """mini-swe-agent's default agent with its own prompts, one thread an episode as in its batch runs."""

    def __init__(self, environment: str) -> None:
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
