"""workroom as `loop.py` measures it."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from benchmarks.gate import HELD, Gate, resident
from benchmarks.instant_server import model_name
from benchmarks.script import ANSWER, BASH, OBSERVATION, TURNS, script
from workroom import Agent, EpisodeLimits, Limits, Sandbox, arun, open_model
from workroom.models.base import Model
from workroom.sandbox.base import SandboxFacts
from workroom.tools import Observation, SubmitTool
from workroom.tools.specs import spec
from workroom.trajectory.rundir import RunDirectory

# Limits of a sandbox, so that 512 of them cannot fill this machine.
SMALL: dict[str, Any] = {"memory": "256m", "disk": "64m", "pids": 64}


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

        asyncio.run(_all(one, episodes, episodes, model))

    def rate(self, episodes: int, concurrency: int, folder: Path) -> None:
        model = self._model(folder, TURNS)

        async def one(number: int) -> None:
            result = await arun("x", model=model, out=folder / str(number), network="none", **SMALL)
            assert result.stop_reason == "submitted", result

        asyncio.run(_all(one, episodes, concurrency, model))

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


async def _all(one: Any, count: int, concurrency: int, model: Model) -> None:
    free = asyncio.Semaphore(concurrency)

    async def bounded(number: int) -> None:
        async with free:
            await one(number)

    try:
        await asyncio.gather(*map(bounded, range(count)))
    finally:
        await model.aclose()
