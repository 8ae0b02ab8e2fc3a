"""The public Python API: its names, that it is cheap to import, and `run` in all the places it is called from."""

import asyncio
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import workroom
from tests.cli.command import SUBMIT, bash, script
from workroom.errors import ConfigError, SandboxError
from workroom.models import Completion, Message, Model, ModelHints
from workroom.task import Task

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _small_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKROOM_IMAGE", "host")
    monkeypatch.chdir(tmp_path)


def test_the_public_names_are_pinned() -> None:
    assert set(workroom.__all__) == {
        "Agent",
        "ConfigError",
        "EpisodeLimits",
        "Limits",
        "ModelError",
        "RunResult",
        "Sandbox",
        "SandboxError",
        "Task",
        "WorkroomError",
        "__version__",
        "arun",
        "open_model",
        "run",
    }
    for name in workroom.__all__:
        assert getattr(workroom, name) is not None
    assert dir(workroom) == sorted(workroom.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(workroom, "nothing")  # noqa: B009 - as a user would come to it


def test_the_version_is_the_package_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert workroom.__version__ == project["version"]


def test_importing_the_package_loads_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import workroom; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names] == ["workroom"]


def test_run_gives_answer_files_and_trajectory(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n")
    command = "wc -l < documents/in.txt > answer.txt; mkdir output/sub; printf x > output/sub/y"
    seen: list[str] = []
    told: list[str] = []
    result = workroom.run(
        "How many lines?",
        model=script(tmp_path / "s.jsonl", bash(command), SUBMIT),
        files=["in.txt"],
        out="out",
        network="none",
        on_event=lambda event: seen.append(event.type),
        on_progress=told.append,
    )
    assert (result.answer, result.stop_reason, result.turns, result.error) == ("2", "submitted", 2, None)
    assert [file.read_text() for file in result.files] == ["x"]
    assert result.files[0] == result.path / "files/sub/y"
    assert result.usage.completion > 0
    assert result.cost is None
    written = [event.type for event in result.trajectory]
    assert [kind for kind in seen if kind in written] == written
    assert written[0] == "episode_started"
    assert written[-1] == "episode_finished"
    assert any("host" in sentence for sentence in told)  # the notice that it is not the real image


def test_run_works_inside_a_running_event_loop_and_arun_in_it(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", "yes")

    async def notebook() -> tuple[str | None, str | None]:
        first = workroom.run("x", model=name, mode="llm", out="one")
        second = await workroom.arun("x", model=name, mode="llm", out="two")
        return first.answer, second.answer

    assert asyncio.run(notebook()) == ("yes", "yes")


def test_a_task_and_a_model_object_can_be_handed_in_and_the_model_stays_open(tmp_path: Path) -> None:
    class Echo:
        name = "echo/1"
        window = None
        hints = ModelHints()
        closed = False

        async def complete(self, messages: list[Message], *_: object, **__: object) -> Completion:
            return Completion(Message("assistant", "doc" if "DOCUMENT TEXT" in messages[-1].content else "none"))

        def for_task(self, _: str) -> "Echo":
            return self

        async def aclose(self) -> None:
            self.closed = True

    model = Echo()
    typed: Model = model  # type: ignore[assignment]  # `messages` is narrower than the protocol's
    task = Task("What is in it?", id="t1", documents={"d.txt": "DOCUMENT TEXT"})
    result = workroom.run(task, model=typed, mode="llm", out="out")
    assert result.answer == "doc"
    assert not model.closed
    assert result.trajectory[0].model_dump()["task"] == "t1"


def test_prices_give_the_cost_and_bound_it(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    turn = {"role": "assistant", "content": "", "tool_calls": bash("true"), "usage": usage}
    name = script(tmp_path / "s.jsonl", *[turn] * 5)
    result = workroom.run("x", model=name, network="none", out="out", price="1,10", max_cost=0.01)
    assert result.stop_reason == "max_cost"
    assert result.cost == pytest.approx(0.012)


def test_what_fails_before_the_first_model_call_is_raised(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", SUBMIT)
    with pytest.raises(ConfigError, match="no setting 'max_turn'"):
        workroom.run("x", model=name, max_turn=3)
    with pytest.raises(ConfigError, match="does not exist"):
        workroom.run("x", model=name, files=["no"])
    with pytest.raises(ConfigError, match="max_cost needs to know"):
        workroom.run("x", model=name, max_cost=1)
    with pytest.raises(SandboxError, match="there is no image"):
        workroom.run("x", model=name, image="there-is-none", out="out")


def test_a_callback_that_raises_ends_the_run_and_the_directory_says_so(tmp_path: Path) -> None:
    def boom(_: object) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        workroom.run("x", model=script(tmp_path / "s.jsonl", "yes"), mode="llm", out="out", on_event=boom)
    assert '"status": "failed"' in (tmp_path / "out/run.json").read_text()


def test_a_cancelled_run_is_saved(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", bash("sleep 60"), SUBMIT)

    async def cancelled() -> None:
        running = asyncio.Event()
        task = asyncio.create_task(
            workroom.arun(
                "x",
                model=name,
                network="none",
                out="out",
                on_event=lambda event: running.set() if event.type == "tool_started" else None,
            )
        )
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert '"status": "interrupted"' in (tmp_path / "out/run.json").read_text()
    assert '"stop_reason": "interrupted"' in (tmp_path / "out/events.jsonl").read_text()
