"""A model draws a picture, looks at it, and its next request holds it: from the tool to the wire and the trajectory."""

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import atif
import pytest

from tests.agent.helpers import FINISH, Player, bash, call, end, play, says, tools
from tests.conftest import RunInBox
from tests.fakes import FakeServer, Reply, anthropic, openai
from workroom import arun
from workroom.agent import Agent
from workroom.errors import ContextOverflow, ImagesRefused
from workroom.models import open_model
from workroom.models.base import Message, ModelHints
from workroom.sandbox import Sandbox
from workroom.trajectory import Event

DRAW = {
    "command": "python3 -c \"import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as p;"
    " p.plot([3, 1, 2]); p.savefig('/testbed/plot.png')\""
}
LOOK = {"command": "view", "path": "/testbed/plot.png"}
SEES = ModelHints(vision=True)
DOT = bash("python3 -c \"from PIL import Image; Image.new('RGB', (40, 30)).save('/testbed/plot.png')\"")
VIEW = call("str_replace_editor", LOOK)
TURNS: list[tuple[str, dict[str, Any]]]
TURNS = [("execute_bash", DRAW), ("str_replace_editor", LOOK), ("submit", {}), ("submit", {})]


def chat_images(body: Any) -> list[tuple[str, bytes]]:
    """Media type and bytes of the pictures in a Chat Completions request."""
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    parts = [part for content in contents for part in content if part["type"] == "image_url"]
    urls = [part["image_url"]["url"].removeprefix("data:").split(";base64,") for part in parts]
    return [(kind, base64.b64decode(data)) for kind, data in urls]


def block_images(body: Any) -> list[tuple[str, bytes]]:
    """The same of a Messages request: within the results."""
    blocks = [block for message in body["messages"] for block in message["content"] if block["type"] == "tool_result"]
    parts = [part for block in blocks if isinstance(block["content"], list) for part in block["content"]]
    sources = [part["source"] for part in parts if part["type"] == "image"]
    return [(source["media_type"], base64.b64decode(source["data"])) for source in sources]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_the_next_request_holds_the_picture(backend: str, kind: str, tmp_path: Path) -> None:
    replies: list[Any] = [openai.assistant(calls=[turn], ids=[f"call_{n}"]) for n, turn in enumerate(TURNS)]
    if kind == "anthropic":
        replies = [anthropic.message([anthropic.tool_use(*turn, f"t_{n}")]) for n, turn in enumerate(TURNS)]

    async def work(url: str) -> Any:
        model = open_model(f"{kind}/gpt-5", base_url=url, api_key="key")
        try:
            return await arun("Draw.", model=model, sandbox=backend, network="none", out=tmp_path / "run")
        finally:
            await model.aclose()

    with FakeServer(replies) as server:
        result = asyncio.run(work(server.root if kind == "anthropic" else server.url))
    assert result.stop_reason == "submitted", result.error
    images = block_images if kind == "anthropic" else chat_images
    bodies = [request.json for request in server.requests]
    assert [len(images(body)) for body in bodies] == [0, 0, 1, 1]
    [(media_type, data)] = images(bodies[2])
    assert (media_type, data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    [seen] = [event for event in result.trajectory if event.type == "tool" and event.images]
    assert base64.b64decode(seen.images[0].data) == data
    assert "plot.png is a PNG picture of 640 x 480 pixels" in seen.observation
    name = f"images/{hashlib.sha256(data).hexdigest()}.png"
    assert (tmp_path / "run" / name).read_bytes() == data
    trajectory = atif.Trajectory.model_validate_json((tmp_path / "run/trajectory.json").read_bytes())
    assert name in trajectory.model_dump_json()


def test_a_blind_model_gets_words(run_in_box: RunInBox) -> None:
    model = Player(says(DOT, VIEW), says(*FINISH))
    events = play(run_in_box, model)
    assert "plot.png is a PNG picture of 40 x 30 pixels" in tools(events)[1].observation
    assert "You cannot be shown pictures" in tools(events)[1].observation
    assert not any(message.images for message in model.seen[1])


@pytest.mark.parametrize("protocol", ["auto", "json"])
def test_a_server_that_refuses_pictures_gets_none_and_the_model_is_told(run_in_box: RunInBox, protocol: Any) -> None:
    steps = [[DOT, VIEW], [VIEW], list(FINISH)]
    if protocol == "json":
        steps = [[DOT], [VIEW], [VIEW], *([one] for one in FINISH)]
    played = iter(steps)

    def reply(request: Any) -> Reply:
        if chat_images(request.json):
            return openai.error(400, "At most 0 image(s) may be provided in one request.")
        calls = [(one.name, one.arguments) for one in next(played)]
        if protocol == "auto":
            ids = [f"id_{len(server.requests)}_{n}" for n in range(len(calls))]
            return openai.assistant(calls=calls, ids=ids)(request)
        [(name, arguments)] = calls
        return openai.assistant(f'```json\n{{"name": "{name}", "arguments": {arguments}}}\n```')(request)

    async def work(box: Sandbox) -> list[Event]:
        model = open_model("openai/gpt-5", base_url=server.url, protocol=protocol)
        try:
            return [event async for event in Agent(model, box).stream("Draw.")]
        finally:
            await model.aclose()

    with FakeServer(reply) as server:
        events = run_in_box(work)
    assert end(events).stop_reason == "submitted", end(events).error
    assert sum(bool(chat_images(request.json)) for request in server.requests) == 1
    looked = [seen for seen in tools(events) if seen.name == "str_replace_editor"]
    assert [len(seen.images) for seen in looked] == [1, 0]
    assert "The picture is not shown: your server does not take it." in looked[1].observation
    texts = json.dumps(server.requests[-1].json)
    assert texts.count("The picture is not shown: your server does not take it.") == 2


def test_a_server_that_takes_one_picture_gets_the_last_one(run_in_box: RunInBox) -> None:
    class One(Player):
        async def complete(self, messages, tools=(), *, sampling=None, on_delta=None):  # type: ignore[no-untyped-def]
            if sum(len(message.images) for message in messages) > 1:
                raise ImagesRefused("at most one", 1)
            return await super().complete(messages, tools, sampling=sampling, on_delta=on_delta)

    model = One(says(DOT, VIEW), says(VIEW), says(VIEW), says(*FINISH), hints=SEES)
    events = play(run_in_box, model)
    assert end(events).stop_reason == "submitted"
    assert [len(seen.images) for seen in tools(events)[:4]] == [0, 1, 1, 1]
    assert [bool(message.images) for message in model.seen[3] if message.role == "tool"] == [False] * 3 + [True]


@pytest.mark.parametrize("error", [ImagesRefused("none", 0), ImagesRefused("bad", None)])
def test_a_server_that_refuses_even_without_pictures_ends_it(run_in_box: RunInBox, error: Exception) -> None:
    model = Player(says(DOT, VIEW), error, hints=SEES)
    events = play(run_in_box, model)
    assert end(events).stop_reason == "model_error"
    assert [sum(len(message.images) for message in seen) for seen in model.seen] == [0, 1, 0]


def test_pictures_count_and_go_first(run_in_box: RunInBox) -> None:
    """Old pictures make room, the newest stays; after an overflow too."""
    model = Player(says(DOT, VIEW), *[says(VIEW)] * 3, says(*FINISH), hints=SEES, window=9000)
    play(run_in_box, model)
    shown = [[bool(m.images) for m in seen if m.role == "tool" and "picture" in m.content] for seen in model.seen]
    assert all(len(one) == 0 or one[-1] for one in shown)
    assert sum(shown[-1]) < 4
    assert "no longer shown, to save room; view the file again" in _said(model.seen[-1])
    full = Player(says(DOT, VIEW), says(VIEW), ContextOverflow("too long"), says(*FINISH), hints=SEES)
    play(run_in_box, full)
    assert [bool(m.images) for m in full.seen[-1] if m.role == "tool"] == [False, False, True]


def _said(messages: tuple[Message, ...]) -> str:
    return "\n".join(message.content for message in messages)
