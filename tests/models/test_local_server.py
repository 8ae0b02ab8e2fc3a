"""The real llama-server with the smallest model: `workroom models pull local/smollm2-135m` makes it ready."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from workroom.models.base import Completion, Delta, Message, Sampling, ToolSpec
from workroom.models.local import open_local, status, stop
from workroom.models.local.server import running

NAME = "local/smollm2-135m"
READY = any(row.name == NAME and row.installed for row in status())
pytestmark = [
    pytest.mark.local_model,
    pytest.mark.skipif(not READY, reason=f"needs the local model: workroom models pull {NAME}"),
]
GREETING = [Message("user", "Say hello.")]
SHORT = Sampling(temperature=0.0, seed=1, max_tokens=16)
BASH = ToolSpec(
    "execute_bash",
    "Run a bash command.",
    {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
)


@pytest.fixture(autouse=True)
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("WORKROOM_LOCAL_IDLE", "60")
    yield
    stop()


def complete(
    *,
    protocol: str = "auto",
    tools: tuple[ToolSpec, ...] = (),
    deltas: list[Delta] | None = None,
    count: int = 1,
    messages: Sequence[Message] = GREETING,
    token_ids: bool = False,
) -> list[Completion]:
    async def inside() -> list[Completion]:
        model = open_local(NAME, protocol=protocol, token_ids=token_ids)
        on_delta = None if deltas is None else deltas.append
        try:
            return list(
                await asyncio.gather(
                    *(model.complete(messages, tools, sampling=SHORT, on_delta=on_delta) for _ in range(count))
                )
            )
        finally:
            await model.aclose()

    return asyncio.run(inside())


def server_pid() -> int:
    (facts,) = [facts for _, facts in running()]
    return int(facts["server"])


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 15
    while alive(pid):
        assert time.monotonic() < deadline, "the server is left over"
        time.sleep(0.05)


def test_it_answers_and_reports_its_usage() -> None:
    (completion,) = complete()
    assert completion.message.content.strip()
    assert completion.model == NAME
    assert completion.usage is not None
    assert 0 < completion.usage.completion <= 16
    assert [row.running for row in status() if row.name == NAME] == [True]


def test_it_streams() -> None:
    deltas: list[Delta] = []
    (completion,) = complete(deltas=deltas)
    assert len(deltas) > 1
    assert "".join(delta.text for delta in deltas) == completion.message.content
    assert completion.first_token is not None


def test_a_tool_call_is_one_bash_block() -> None:
    (completion,) = complete(tools=(BASH,))
    # 16 tokens are rarely enough to end the block, so that the text itself is looked at.
    written = completion.message.content or completion.message.tool_calls[0].arguments
    assert completion.message.tool_calls or written.startswith("```bash\n")


def test_calls_at_once_share_one_server_with_another_process() -> None:
    assert len(complete(count=3)) == 3
    before = server_pid()
    code = (
        "import asyncio; from workroom.models.base import Message, Sampling;"
        "from workroom.models.local import open_local;"
        f"model = open_local({NAME!r});"
        "print(asyncio.run(model.complete([Message('user', 'Hi')], sampling=Sampling(max_tokens=4))).usage.completion)"
    )
    other = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) > 0
    assert server_pid() == before


def test_after_the_keeper_was_killed_no_server_is_left_and_the_next_call_works() -> None:
    complete()
    (facts,) = [facts for _, facts in running()]
    os.kill(facts["keeper"], signal.SIGKILL)
    wait_until_dead(facts["server"])
    assert complete()[0].message.content
    assert server_pid() != facts["server"]


def test_it_stops_when_idle_and_the_same_model_starts_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKROOM_LOCAL_IDLE", "1")

    async def inside() -> None:
        model = open_local(NAME)
        await model.complete(GREETING, sampling=SHORT)
        pid = server_pid()
        await asyncio.to_thread(wait_until_dead, pid)
        assert (await model.complete(GREETING, sampling=SHORT)).message.content
        assert server_pid() != pid
        await model.aclose()

    asyncio.run(inside())


def test_giving_up_during_the_start_leaves_nothing_behind_that_blocks() -> None:
    async def inside() -> None:
        model = open_local(NAME)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await model.complete(GREETING, sampling=SHORT)
        assert (await model.complete(GREETING, sampling=SHORT)).message.content
        await model.aclose()

    asyncio.run(inside())


def test_it_tells_the_token_ids_of_what_it_sampled() -> None:
    """As many as the server itself counts; and a second turn whose prompt begins with the first one's."""
    deltas: list[Delta] = []
    [first] = complete(token_ids=True, deltas=deltas)
    assert first.tokens is not None
    assert first.usage is not None
    assert (len(first.tokens.prompt), len(first.tokens.completion)) == (first.usage.prompt, first.usage.completion)
    assert len(first.tokens.logprobs) == len(first.tokens.completion)
    assert all(value <= 0 for value in first.tokens.logprobs)
    assert deltas
    [second] = complete(token_ids=True, messages=[*GREETING, first.message, Message("user", "Again.")])
    assert second.tokens is not None
    assert second.tokens.prompt[: len(first.tokens.prompt)] == first.tokens.prompt
    [bash] = complete(token_ids=True, protocol="bash", tools=(BASH,))
    assert bash.tokens is not None
