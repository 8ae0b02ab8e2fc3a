"""The window: what is shortened, in which order, and that an episode goes on with every kind of server (fault F13)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.helpers import FINISH, Player, bash, end, says, tools
from tests.conftest import SMALL, RunInBox
from tests.fakes import FakeServer, Reply, Request, anthropic, openai
from workroom.agent import Agent
from workroom.agent.context import OBSERVATIONS_DIR, Context
from workroom.models import open_model
from workroom.models.base import Image, Message, ToolCall, Usage
from workroom.sandbox import Limits, Sandbox
from workroom.trajectory import ContextTrimmed, Event

WINDOW = 12_000  # tokens of the narrow servers, three characters each
TURNS = 30
NEEDLE = "NEEDLE-8271"
BIG = f"printf '%%05000d\\n' %d; echo {NEEDLE}; printf '%%05000d' 7"
SEARCH = f"grep -o 'NEEDLE-[0-9]*' {OBSERVATIONS_DIR}/turn-1-1.txt"


def vllm(tokens: int) -> Reply:
    text = (
        f"This model's maximum context length is {WINDOW} tokens. However, you requested {tokens} tokens in the "
        "messages. Please reduce the length of the messages."
    )
    return openai.error(400, text, type="BadRequestError", code=400)


def llama(tokens: int) -> Reply:
    text = f"request ({tokens} tokens) exceeds the available context size ({WINDOW} tokens), try increasing it"
    return openai.error(400, text, type="exceed_context_size_error", code=400, n_prompt_tokens=tokens, n_ctx=WINDOW)


def wordless(_: int) -> Reply:
    return openai.error(400, "Input is too long for requested model.")


def messages_api(tokens: int) -> Reply:
    return anthropic.error(400, f"prompt is too long: {tokens} tokens > {WINDOW} maximum")


class NarrowServer:
    """Counts characters, refuses what is more than the window, and has the model make `TURNS` big observations.

    Then the model searches for the text of its first turn. `refusals` counts what was too long.
    """

    def __init__(self, refuse: Callable[[int], Reply], *, usage: bool) -> None:
        self._refuse = refuse
        self._usage = usage
        self.played = 0
        self.refusals = 0

    def __call__(self, request: Request) -> Reply:
        body = request.json
        check = check_blocks if request.path.endswith("/messages") else check_messages
        check(body["messages"])
        tokens = len(json.dumps(body)) // 3
        if tokens > WINDOW:
            self.refusals += 1
            return self._refuse(tokens)
        self.played += 1
        command = {TURNS + 1: SEARCH, TURNS + 2: "echo 42 > answer.txt"}.get(self.played, BIG % self.played)
        name, arguments = ("execute_bash", {"command": command}) if self.played < TURNS + 3 else ("submit", {})
        identifier = f"call_{self.played}"
        if check is check_blocks:
            used = anthropic.tool_use(name, arguments, identifier)
            return anthropic.message([used], usage={"input_tokens": tokens, "output_tokens": 20})(request)
        usage = {"prompt_tokens": tokens, "completion_tokens": 20} if self._usage else None
        return openai.assistant(calls=[(name, arguments)], ids=[identifier], usage=usage)(request)


def check_messages(messages: list[dict[str, Any]]) -> None:
    """Every call has its answer right behind it, in order."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
        else:
            assert waiting == []
            waiting = [call["id"] for call in message.get("tool_calls", ())]
            for call in message.get("tool_calls", ()):
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
    assert waiting == []


def check_blocks(messages: list[dict[str, Any]]) -> None:
    """The same for Anthropic's form."""
    waiting: list[str] = []
    for number, message in enumerate(messages):
        assert message["role"] == ("user", "assistant")[number % 2]
        blocks = message["content"]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert results == waiting
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert waiting == []


CASES = {
    "vllm": (vllm, True, "openai", None),
    "llama.cpp, told too much": (llama, True, "openai", 1_000_000),
    "no numbers": (wordless, False, "openai", None),
    "no numbers, told too much": (wordless, True, "openai", 1_000_000),
    "anthropic": (messages_api, True, "anthropic", None),
    "told too little": (messages_api, True, "anthropic", 6000),
}


@pytest.mark.parametrize("name", CASES)
def test_a_long_episode_goes_through_a_small_window(run_in_box: RunInBox, name: str) -> None:
    refuse, usage, kind, told = CASES[name]
    narrow = NarrowServer(refuse, usage=usage)

    async def work(box: Sandbox) -> tuple[list[Event], dict[str, str]]:
        url = server.url if kind == "openai" else server.root
        model = open_model(f"{kind}/fake", base_url=url, api_key="test")
        model.window = told
        events = [event async for event in Agent(model, box).stream("Find out.")]
        await model.aclose()
        files = [file for event in events if isinstance(event, ContextTrimmed) for file in event.files]
        return events, {file: (await box.read(file)).decode() for file in files}

    with FakeServer(narrow) as server:
        events, files = run_in_box(work)
    last = end(events)
    assert (last.stop_reason, last.answer, last.turns) == ("submitted", "42", TURNS + 3)
    assert narrow.refusals <= 8
    assert all(len(seen.observation) > 10_000 for seen in tools(events)[:TURNS])  # the trajectory keeps all
    assert f"[stdout]\n{NEEDLE}\n" in tools(events)[TURNS].observation
    assert len(files) >= TURNS // 2
    for path, text in files.items():
        turn = int(path.split("-")[1])
        assert text == tools(events)[turn - 1].observation


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (f"rm -rf {OBSERVATIONS_DIR}; touch {OBSERVATIONS_DIR}", "(not a directory)"),
        ("for f in full /var/lib/workroom/full; do head -c 60M /dev/zero > $f; done", "(no space left on device)"),
    ],
    ids=["blocked", "full"],
)
def test_where_the_file_cannot_be_kept_the_model_is_told_why(
    run_in_box: RunInBox, backend: str, spoil: str, said: str
) -> None:
    if backend == "docker" and "full" in spoil:
        pytest.skip("in a Docker sandbox /var/lib has no size of its own, so the file still fits")
    model = Player(says(bash(f"{spoil}; seq -s, 1 2000")), says(bash("seq -s, 1 2000")), says(*FINISH), window=6000)

    async def work(box: Sandbox) -> list[Event]:
        return [event async for event in Agent(model, box).stream("x")]

    events = run_in_box(work, limits=Limits(memory="1g", pids=256, disk="32m"))
    [shortened] = [message for message in model.seen[-1] if "left out to save room" in message.content]
    assert f"it could not be kept in a file {said}: run the command again" in shortened.content
    assert all(not event.files for event in events if isinstance(event, ContextTrimmed))


def test_a_sandbox_that_dies_meanwhile_ends_it(backend: str) -> None:
    async def work() -> list[Event]:
        async with Sandbox.open(backend, limits=SMALL) as box:
            model = Player(says(bash("seq -s, 1 2000")), says(text="hm"), window=3000)
            events = []
            async for event in Agent(model, box).stream("x"):
                events.append(event)
                if event.type == "reminder":
                    await box.close()
            return events

    assert end(asyncio.run(work())).stop_reason == "sandbox_error"


IMAGE = Image("image/png", b"\x89PNG")


def conversation(
    turns: list[Message], *answers: Message, window: int | None = None
) -> tuple[Context, dict[str, bytes]]:
    files: dict[str, bytes] = {}

    async def write(path: str, data: bytes) -> None:
        files[path] = data

    context = Context([Message("system", "s" * 900), Message("user", "t" * 900), *turns], write=write)
    return context, files


def turn(number: int, observation: str, *, arguments: str = "{}", **rest: Any) -> list[Message]:
    identifier = f"call_{number}"
    images = rest.pop("images", ())
    return [
        Message("assistant", tool_calls=(ToolCall(identifier, "t", arguments),), **rest),
        Message("tool", observation, tool_call_id=identifier, images=images),
    ]


def test_the_order_in_which_things_go() -> None:
    long = json.dumps({"command": "create", "file_text": "f" * 8000, "view_range": [1, 2]})
    old = turn(1, "o" * 4000, arguments=long, reasoning="r" * 4000, images=(IMAGE,))
    context, files = conversation([*old, *turn(2, "o" * 4000), *turn(3, "n" * 9000, images=(IMAGE,))])
    seen = []
    for window in (12_000, 10_000, 7000):
        context.window = window
        asyncio.run(context.fit(100))
        call, observation = context.messages[2:4]
        seen.append((bool(observation.images), "left out" in observation.content, call.reasoning is None))
    assert seen == [(True, False, False), (False, True, False), (False, True, True)]
    arguments = json.loads(context.messages[2].tool_calls[0].arguments)
    assert (arguments["command"], arguments["view_range"]) == ("create", [1, 2])
    assert arguments["file_text"].startswith("f" * 200 + "\n[… 7,800 characters that you wrote here are left out")
    assert files[f"{OBSERVATIONS_DIR}/turn-1-1.txt"].decode().startswith("o" * 4000)
    assert context.messages[-1] == Message("tool", "n" * 9000, tool_call_id="call_3", images=(IMAGE,))


def test_pictures_go_before_texts() -> None:
    context, files = conversation([*turn(1, "o" * 2000, images=(IMAGE,) * 3), *turn(2, "n")])
    context.window = 5000
    asyncio.run(context.fit(100))
    assert context.messages[3].content == "o" * 2000 + (
        "\n[The pictures are no longer shown, to save room; view the file again if you need to see it.]"
    )
    assert files == {}


def test_a_prompt_without_a_number_shrinks_by_halves_until_nothing_is_left() -> None:
    context, _ = conversation([message for n in range(20) for message in turn(n, "o" * 4000)])
    sizes = [context.size()]
    while asyncio.run(context.cut(None)):
        sizes.append(context.size())
    assert len(sizes) < 15
    assert sizes[1] <= sizes[0] / 2
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1000
    assert [message.role for message in context.messages] == ["system", "user", "user", "assistant", "tool"]


def test_what_was_refused_is_remembered() -> None:
    context, _ = conversation([message for n in range(20) for message in turn(n, "o" * 4000)])
    assert not asyncio.run(context.fit(None))  # nothing is known
    refused = context.size()
    asyncio.run(context.cut(None))
    for n in range(20, 40):
        for message in turn(n, "o" * 4000):
            context.add(message)
        asyncio.run(context.fit(None))
        assert context.size() < refused


def test_a_count_that_cannot_be_true_is_not_believed() -> None:
    context, _ = conversation(turn(1, "o" * 40_000))
    estimated = context.size()
    context.measured(Usage(prompt=11, completion=7))
    assert context.size() == estimated
    context.measured(Usage(prompt=5000, completion=7))
    assert context.size() == 5007


argument_texts = st.one_of(
    st.just("{}"),
    st.just('{"command": "ls'),
    st.integers(0, 3000).map(lambda n: json.dumps({"command": "x" * n, "many": list(range(n))})),
    st.integers(0, 3000).map(lambda n: "[" * n),
    st.integers(0, 3000).map(lambda n: json.dumps({"deep": [{"text": "\ud83d" + "é" * n}], "n": None})),
)
calls = st.lists(st.tuples(argument_texts, st.integers(0, 6000), st.integers(0, 2)), max_size=3)
turns_of = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000), calls), min_size=1, max_size=12)
deeds = st.lists(
    st.one_of(
        st.tuples(st.just("fit"), st.integers(500, 40_000)),
        st.tuples(st.just("cut"), st.integers(500, 40_000)),
        st.tuples(st.just("pictures"), st.integers(0, 3)),
        st.tuples(st.just("measured"), st.integers(0, 40_000)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(turns_of, deeds)
def test_whatever_is_done_the_protocol_stays_intact(described: list[Any], done: list[tuple[str, int]]) -> None:
    context, files = conversation([])
    for number, (content, reasoning, made) in enumerate(described):
        identifiers = [f"call_{number}_{i}" for i in range(len(made))]
        wanted = tuple(ToolCall(i, "t", arguments) for i, (arguments, _, _) in zip(identifiers, made, strict=True))
        context.add(Message("assistant", "c" * content, reasoning="r" * reasoning, tool_calls=wanted))
        for identifier, (_, size, images) in zip(identifiers, made, strict=True):
            context.add(Message("tool", identifier + "o" * size, tool_call_id=identifier, images=(IMAGE,) * images))
    first, original = context.messages[:2], list(context.messages)
    whole = [message.content.encode() for message in original if message.role == "tool"]
    for what, number in done:
        before = list(context.messages)
        if what == "measured":
            context.measured(Usage(prompt=number))
        elif what == "pictures":
            context.limit_pictures(number)
        else:
            context.window = number
            asyncio.run(context.fit(100) if what == "fit" else context.cut(100))
        if what == "cut" and before[newest_of(before) :] != context.messages[newest_of(context.messages) :]:
            assert newest_of(context.messages) <= 3  # nothing older was left, but for the note
        newest = original[max(i for i, message in enumerate(original) if message.role == "assistant") :]
        if what == "fit" and before[-len(newest) :] == newest and context.most_pictures is None:
            assert context.messages[-len(newest) :] == newest
        assert context.messages[:2] == first
        check_pairs(context.messages, original)
    assert all(any(text.startswith(kept) for kept in whole) for text in files.values())


def newest_of(messages: list[Message]) -> int:
    return max(i for i, message in enumerate(messages) if message.role == "assistant")


def check_pairs(messages: list[Message], original: list[Message]) -> None:
    waiting: list[str] = []
    known = [message.tool_call_id for message in original]
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id == waiting.pop(0)
            assert message.tool_call_id in known
        else:
            assert waiting == []
            waiting = [call.id for call in message.tool_calls]
            for call in message.tool_calls:
                if len(call.arguments) > 5000:
                    assert isinstance(json.loads(call.arguments), dict)
    assert waiting == []
