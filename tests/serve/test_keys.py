"""Keys: who may use the server, and how much of it."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serve.support import KEY, Server

OTHER, TINY, HASHED = "sk-other-0123456789", "sk-tiny-0123456789", "sk-hashed-0123456789"
CONFIG = f"""
network = "none"
[serve]
cors = ["https://chat.example"]
[[serve.keys]]
name = "first"
key = "{KEY}"
[[serve.keys]]
name = "other"
key_env = "KEY_OF_OTHER"
max_turns = 1
memory = "300m"
[[serve.keys]]
name = "tiny"
key = "{TINY}"
budget_tokens = 40
[[serve.keys]]
name = "hashed"
key_sha256 = "{hashlib.sha256(HASHED.encode()).hexdigest()}"
"""
ENV = {"KEY_OF_OTHER": OTHER, "WORKROOM_API_KEY": "sk-environment-1, sk-environment-2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("keys")
    (place / "workroom.toml").write_text(CONFIG)
    with Server(place, env=ENV) as running:
        yield running


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer é"]
)
def test_without_a_right_key_nothing_is_told(server: Server, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    for path in ("/v1/models", "/v1/files", "/v1/nothing", "/metrics"):
        answer = server.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert server.get("/health").status_code == 200


@pytest.mark.parametrize("key", [KEY, OTHER, HASHED, "sk-environment-1", "sk-environment-2"])
def test_every_way_to_give_a_key_works(server: Server, key: str) -> None:
    assert server.client(key).models.list().data[0].id == "openai/obedient"


def test_the_official_client_raises_its_error_of_authentication(server: Server) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        server.client("wrong").models.list()
    assert caught.value.code == "invalid_api_key"


def test_one_key_cannot_reach_what_is_anothers(server: Server) -> None:
    mine, other = server.client(KEY), server.client(OTHER)
    file = mine.files.create(file=("a.txt", b"x"), purpose="user_data")
    answer = server.say("RUN echo x > output/x.txt", client=mine)
    name, artefact = answer.conversation["id"], answer.choices[0].message.files[0]["id"]
    for one in (file.id, artefact):
        for attempt in (other.files.retrieve, other.files.content, other.files.delete):
            with pytest.raises(openai.NotFoundError):
                attempt(one)
    with pytest.raises(openai.NotFoundError):
        server.say("SAY x", client=other, extra_body={"conversation": name})
    with pytest.raises(openai.NotFoundError):
        other.delete(f"/conversations/{name}", cast_to=object)
    part = {"type": "file", "file": {"file_id": file.id}}
    with pytest.raises(openai.NotFoundError):
        server.say("", client=other, messages=[{"role": "user", "content": [part]}])
    history: list[Any] = [
        {"role": "user", "content": "RUN echo x > output/x.txt"},
        {"role": "assistant", "content": answer.choices[0].message.content},
        {"role": "user", "content": "SAY mine"},
    ]
    assert server.say("", client=other, messages=history).conversation != answer.conversation
    assert [found.id for found in other.files.list()] == []
    same = {"conversation": "a-name-that-both-use"}
    server.say("RUN echo x > /root/x", client=mine, extra_body=same)
    answer = server.say("SAY y", client=other, extra_body=same)
    assert answer.conversation["id"] == "a-name-that-both-use"
    found = server.get("/v1/conversations/a-name-that-both-use", headers={"Authorization": f"Bearer {OTHER}"})
    assert found.json()["requests"] == 1


def test_a_key_has_settings_of_its_own(server: Server) -> None:
    answer = server.say("RUN true", client=server.client(OTHER))
    assert answer.workroom["stop_reason"] == "max_turns"
    assert answer.choices[0].finish_reason == "length"
    record = server.state / "conversations"
    runs = [json.loads(path.read_text()) for path in record.glob("*/runs/*/run.json")]
    mine = [run for run in runs if run["stop_reason"] == "max_turns"]
    assert mine[0]["config"]["max_turns"]["value"] == 1
    assert mine[0]["sandbox"]["limits"]["memory"] == 300 << 20 or "300m" in str(mine[0]["sandbox"]["limits"])


def test_a_budget_is_kept_over_restarts(tmp_path: Path) -> None:
    (tmp_path / "workroom.toml").write_text(CONFIG)
    with Server(tmp_path, env=ENV) as server:
        assert server.say("SAY x", client=server.client(TINY)).usage.total_tokens == 18
        server.say("SAY x", client=server.client(TINY))
        server.stop()
        server.start()
        server.say("SAY x", client=server.client(TINY))
        with pytest.raises(openai.RateLimitError) as caught:
            server.say("SAY x", client=server.client(TINY))
        assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
        assert server.say("SAY y", client=server.client(KEY)).choices[0].message.content == "y"
        used = json.loads((server.state / "usage.json").read_text())
        assert used["tiny"]["tokens"] == 54


def test_a_budget_in_dollars_ends_a_request_and_then_all(tmp_path: Path) -> None:
    config = 'price = "1000,1000"\n[[serve.keys]]\nname = "a"\n' + f'key = "{KEY}"\nbudget_usd = 0.02\n'
    (tmp_path / "workroom.toml").write_text(config)
    with Server(tmp_path) as server:
        first = server.say("SAY x")
        assert first.usage.cost == pytest.approx(0.018)
        second = server.say("RUN true")  # the one model call that it may begin
        assert (second.workroom["stop_reason"], second.choices[0].finish_reason) == ("max_cost", "length")
        with pytest.raises(openai.RateLimitError, match="used up"):
            server.say("SAY x")


def test_pages_of_an_origin_that_is_allowed_may_call(server: Server) -> None:
    asked = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    import httpx2

    allowed = httpx2.options(f"{server.url}/chat/completions", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == "https://chat.example"
    refused = httpx2.options(f"{server.url}/chat/completions", headers={**asked, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_no_key_is_ever_written_down(server: Server) -> None:
    server.say("RUN env", client=server.client(HASHED))
    server.client("sk-wrong-one-98765").close()
    places = [server.log, *(path.read_text(errors="replace") for path in server.state.rglob("*") if path.is_file())]
    for key in (KEY, OTHER, TINY, HASHED, "sk-environment-1", "sk-of-the-provider"):
        assert not any(key in text for text in places)
