"""The gateway, as the official client of OpenAI and others find it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

from tests.train.tokens import HERMES, Played, tokenizer
from workroom.agent import Agent
from workroom.errors import ContextOverflow, Overloaded, RateLimited
from workroom.models.base import ModelHints
from workroom.models.openai import OpenAIModel
from workroom.models.text import TextProtocolModel
from workroom.sandbox import Limits, Sandbox
from workroom.train.chat import ChatTemplate
from workroom.train.gateway import Gateway
from workroom.train.rows import rows_of
from workroom.train.sampler import Sampled

if TYPE_CHECKING:
    from workroom.trajectory import Event

TOKENS = tokenizer(HERMES)
CHAT = ChatTemplate(TOKENS, protocol="native")
TOOL = {
    "type": "function",
    "function": {"name": "ls", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}},
}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "What is there?"}
CALL = 'I look.\n<tool_call>\n{"name": "ls",  "arguments": {"path": "/"}}\n</tool_call>'


def serve(
    work: Callable[[Gateway, openai.AsyncOpenAI], Awaitable[Any]], sampler: Any, *, window: int = 9000
) -> Gateway:
    """The gateway after `work` with a client of rollout `r1`."""
    gateway = Gateway(sampler, CHAT, window=window, max_tokens=200)

    async def inside() -> None:
        async with (
            gateway,
            openai.DefaultAsyncHttpxClient(trust_env=False, verify=False) as http,
            openai.AsyncOpenAI(
                base_url=gateway.url("r1"), api_key=gateway.key, max_retries=0, http_client=http
            ) as client,
        ):
            await work(gateway, client)

    asyncio.run(inside())
    return gateway


async def streamed(client: openai.AsyncOpenAI, messages: list[Any], **more: Any) -> dict[str, Any]:
    """The message that a stream makes, as an agent would send it back."""
    content, calls, finish, usage = "", {}, None, None
    async for chunk in await client.chat.completions.create(
        model="any", messages=messages, stream=True, stream_options={"include_usage": True}, **more
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            content += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                assert call.function is not None
                calls[call.index] = {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
    assert usage is not None
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    return {"message": message | ({"tool_calls": list(calls.values())} if calls else {}), "finish": finish}


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_with_tools_leaves_one_row_of_what_was_sampled(stream: bool) -> None:
    sampler = Played(TOKENS, CALL, "Only a file.")
    seen: list[Any] = []

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        messages: list[Any] = [SYSTEM, USER]
        for _ in range(2):
            if stream:
                reply = await streamed(client, messages, tools=[TOOL])
            else:
                answer = await client.chat.completions.create(model="any", messages=messages, tools=[TOOL])  # type: ignore[list-item]
                choice = answer.choices[0]
                reply = {"message": choice.message.model_dump(exclude_none=True), "finish": choice.finish_reason}
                assert answer.model == "any"
                assert answer.usage is not None
                assert answer.usage.completion_tokens == len(sampler.replies[len(sampler.prompts) - 1])
            seen.append(reply)
            messages.append(reply["message"])
            for call in reply["message"].get("tool_calls", ()):
                # Written anew, as many agents do.
                call["function"]["arguments"] = json.dumps(json.loads(call["function"]["arguments"]), indent=1)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": "a.txt"})

    gateway = serve(agent, sampler)
    first, last = seen
    assert first["finish"] == "tool_calls"
    assert first["message"]["content"] == "I look."
    assert json.loads(first["message"]["tool_calls"][0]["function"]["arguments"]) == {"path": "/"}
    assert (last["finish"], last["message"]["content"]) == ("stop", "Only a file.")
    [row] = gateway.rows("r1")
    assert row.prompt_ids == sampler.prompts[0]
    own = [token for token, mask in zip(row.response_ids, row.mask, strict=True) if mask]
    assert own == [*sampler.replies[0], *sampler.replies[1]]
    rendered = TOKENS.decode(row.prompt_ids + row.response_ids)
    assert '{"name": "ls",  "arguments"' in rendered  # as it was sampled, not as the template writes it
    assert "<tool_response>\na.txt\n</tool_response>" in rendered


def written(name: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, indent=1)}\n</tool_call>"


NATIVE_TURNS = (
    "I look.\n" + written("execute_bash", command="ls") + written("execute_bash", command="pwd"),
    written("execute_bash", command="ls").replace("}", "") + " broken",
    "I only think.",
    written("execute_bash", command="echo 42 > /testbed/answer.txt"),
    written("submit"),
)
BASH_TURNS = (
    "I look.\n```bash\nls\n```\n\nObservation:\ninvented",
    "I only think.",
    "```bash\necho a\n```\nand\n```bash\necho 42 > /testbed/answer.txt\n```",
    "```bash\nsubmit\n```",
)


@pytest.mark.parametrize("protocol", ["native", "bash"])
def test_our_own_agent_as_an_outside_one_leaves_the_row_that_it_would_leave_inside(protocol: str) -> None:
    turns = NATIVE_TURNS if protocol == "native" else BASH_TURNS
    sampler = Played(TOKENS, *turns)
    events: list[Event] = []

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        outside = OpenAIModel(
            "openai/policy",
            base_url=gateway.url("r1"),
            api_key=gateway.key,
            token_ids=True,
            hints=ModelHints(prompt="compact"),
        )
        model = outside if protocol == "native" else TextProtocolModel(outside, "bash")
        async with Sandbox.open("bwrap", limits=Limits(memory="512m", pids=64, disk="64m"), network="none") as box:
            events.extend([event async for event in Agent(model, box).stream("How many lines?")])
        await outside.aclose()

    gateway = serve(agent, sampler)
    end = events[-1]
    assert end.type == "episode_finished"
    assert (end.stop_reason, end.answer, end.turns) == ("submitted", "42", len(turns))
    assert gateway.rows("r1") == rows_of(events)
    [row] = gateway.rows("r1")
    assert sum(row.mask) == sum(map(len, sampler.replies))


def test_conversations_that_take_turns_in_a_rollout_are_a_row_each() -> None:
    sampler = Played(TOKENS, "one", "two", "three", "four")

    async def agents(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        leads: list[list[Any]] = [[SYSTEM, USER], [{"role": "user", "content": "You are another."}]]
        for _ in range(2):
            for messages in leads:
                answer = await client.chat.completions.create(model="m", messages=messages)
                messages += [
                    {"role": "assistant", "content": answer.choices[0].message.content},
                    {"role": "user", "content": "And then?"},
                ]
        other = client.with_options(base_url=gateway.url("r2"))
        await other.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])

    gateway = serve(agents, sampler)
    assert [sum(row.mask) for row in gateway.rows("r1")] == [
        len(sampler.replies[0]) + len(sampler.replies[2]),
        len(sampler.replies[1]) + len(sampler.replies[3]),
    ]
    assert len(gateway.rows("r2")) == 1
    gateway.forget("r1")
    assert gateway.rows("r1") == ()


def test_a_stop_word_cuts_the_text_and_not_what_was_sampled() -> None:
    sampler = Played(TOKENS, "Action: ls\nObservation: made up", "done")

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(model="m", messages=[USER], stop=["\nObservation:"])  # type: ignore[list-item]
        said = answer.choices[0]
        assert (said.message.content, said.finish_reason) == ("Action: ls", "stop")
        more: list[Any] = [USER, {"role": "assistant", "content": "Action: ls"}, {"role": "user", "content": "a.txt"}]
        await client.chat.completions.create(model="m", messages=more)

    [row] = serve(agent, sampler).rows("r1")
    assert sum(row.mask) == sum(map(len, sampler.replies))


def test_bounds_and_ids_are_told_as_vllm_tells_them() -> None:
    sampler = Played(TOKENS, "a long answer it is")

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(
            model="m",
            messages=[USER],  # type: ignore[list-item]
            max_tokens=3,
            temperature=0.1,
            seed=7,
            logprobs=True,
            extra_body={"return_token_ids": True},
        )
        raw = answer.model_dump()
        choice = raw["choices"][0]
        assert choice["finish_reason"] == "length"
        assert tuple(choice["token_ids"]) == sampler.replies[0][:3]
        assert tuple(raw["prompt_token_ids"]) == sampler.prompts[0]
        assert [entry["logprob"] for entry in choice["logprobs"]["content"]] == [-0.125, -0.25, -0.375]
        models = await client.models.list()
        assert [model.id for model in models.data] == ["policy"]

    serve(agent, sampler)
    assert sampler.asked == [(3, 1.0, 7)]  # the temperature is the algorithm's


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"messages": [USER], "n": 2}, "n"),
        ({"messages": [USER], "tool_choice": "required"}, "tool_choice"),
        ({"messages": [USER], "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [USER], "max_tokens": 0}, "max_tokens"),
    ],
)
def test_bad_requests_are_told_in_openai_form(body: Any, param: str | None) -> None:
    sampler = Played(TOKENS, "x")

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx2.AsyncClient(trust_env=False, verify=False) as http:
            answer = await http.post(
                f"{gateway.url('r1')}/chat/completions",
                content=content,
                headers={"Authorization": f"Bearer {gateway.key}"},
            )
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", param)
        assert error["message"]

    assert serve(agent, sampler).rows("r1") == ()
    assert not sampler.prompts


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def sample(self, ids: Any, **options: Any) -> Sampled:
        raise self.error

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateLimited("slow down"), openai.RateLimitError),
        (Overloaded("no server"), openai.InternalServerError),
        (ContextOverflow("too long"), openai.BadRequestError),
        (ZeroDivisionError("a fault"), openai.InternalServerError),
    ],
)
def test_failures_of_the_sampler_reach_the_agent_as_the_client_knows_them(
    error: Exception, kind: type[Exception]
) -> None:
    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(kind):
            await client.chat.completions.create(model="m", messages=[USER])  # type: ignore[list-item]

    assert serve(agent, Failing(error)).rows("r1") == ()


def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_sampled() -> None:
    sampler = Played(TOKENS, "x")

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="m", messages=[USER])  # type: ignore[list-item]
        assert refused.value.code == "context_length_exceeded"

    serve(agent, sampler, window=20)
    assert not sampler.prompts


def test_without_the_key_or_at_another_address_nothing_is_served() -> None:
    sampler = Played(TOKENS, "x")

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="wrong").models.list()
        root = gateway.url("r1").removesuffix("/rollout/r1/v1")
        headers = {"Authorization": f"Bearer {gateway.key}"}
        async with httpx2.AsyncClient(trust_env=False, verify=False, headers=headers) as http:
            assert (await http.get(f"{root}/v1/models")).status_code == 200
            assert (await http.post(f"{root}/v1/chat/completions", json={})).status_code == 404
            assert (await http.post(f"{root}/rollout/a%2Fb/v1/chat/completions", json={})).status_code == 404
            assert (await http.get(f"{root}/rollout/r1/v1/chat/completions")).status_code == 405

    assert serve(agent, sampler).rows("r1") == ()
    with pytest.raises(ValueError, match="address"):
        Gateway(sampler, CHAT, window=10, max_tokens=5).url("a/b")


def test_a_client_that_goes_away_ends_its_call_which_is_not_recorded() -> None:
    class Slow(Failing):
        cancelled = False

        async def sample(self, ids: Any, **options: Any) -> Sampled:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                ended.set()
                raise
            raise AssertionError

    started, ended = asyncio.Event(), asyncio.Event()
    slow = Slow(ValueError())

    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url("r1").split(":")[2].split("/")[0]))
        body = json.dumps({"messages": [USER]}).encode()
        head = f"POST /rollout/r1/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await started.wait()
        writer.close()
        await writer.wait_closed()
        await ended.wait()

    assert serve(agent, slow).rows("r1") == ()
    assert slow.cancelled


def test_what_is_no_http_is_answered_so() -> None:
    async def agent(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
        port = int(gateway.url("r1").split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()

    serve(agent, Played(TOKENS, "x"))
