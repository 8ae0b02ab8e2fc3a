"""`submit`, and which tools are offered."""

from tests.conftest import RunInBox
from tests.tools.helpers import use
from workroom.models.base import ModelHints
from workroom.sandbox import Limits, Sandbox
from workroom.tools import SubmitTool, default_tools


def test_it_ends_the_episode(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        seen = await use(SubmitTool(), box)
        assert seen.ends
        assert not seen.is_error

    run_in_box(work)


def test_it_writes_an_answer_also_where_none_is_offered(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> bytes:
        assert (await use(SubmitTool(), box, answer=42)).ends
        return await box.read("/testbed/answer.txt")

    assert run_in_box(work) == b"42"


def test_an_empty_answer_leaves_the_file_alone(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> bytes:
        await box.write("/testbed/answer.txt", b"kept")
        await use(SubmitTool(), box, answer=" ")
        return await box.read("/testbed/answer.txt")

    assert run_in_box(work) == b"kept"


def test_an_unknown_parameter_does_not_end_it(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        seen = await use(SubmitTool(), box, result="42")
        assert seen.is_error
        assert not seen.ends
        assert "'result'" in seen.text

    run_in_box(work)


def test_the_tools_follow_the_hints() -> None:
    names = [tool.spec.name for tool in default_tools()]
    assert names == ["execute_bash", "str_replace_editor", "submit"]
    few = default_tools(ModelHints(tools=("submit", "execute_bash"), prompt="compact"))
    assert [tool.spec.name for tool in few] == ["execute_bash", "submit"]
    assert "answer" in few[1].spec.parameters["properties"]
    assert default_tools()[2].spec.parameters["properties"] == {}


def test_the_time_limit_is_told() -> None:
    [bash, *_] = default_tools(limits=Limits(command_timeout=7.5))
    assert "7.5 seconds" in bash.spec.description
    assert "{" not in bash.spec.description
