"""Chats whose history is not that of their sandbox: edited, regenerated, said by two, of one that is gone."""

import shutil
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.serve.support import Server
from tests.serve.test_life import asking

NEW, TAKEN_BACK = "The sandbox is a new one", "The sandbox does not go back"


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def model(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def told(server: Server) -> str:
    """The system prompt of the newest call."""
    return str(server.model.prompts[-1][0]["content"])


def texts(server: Server) -> list[str]:
    return [str(message["content"]) for message in server.model.prompts[-1][1:]]


def test_the_model_is_told_that_messages_were_taken_back(server: Server) -> None:
    first = [user("RUN echo v1 > /root/f; echo made"), model("It said: made")]
    one = server.say("", messages=first[:1])
    assert NEW not in told(server)
    two = server.say("", messages=[*first, user("RUN echo v2 > /root/f; echo changed")])
    assert two.conversation == one.conversation
    assert TAKEN_BACK not in told(server)
    edited = server.say("", messages=[*first, user("RUN cat /root/f")])
    assert edited.conversation == one.conversation
    assert TAKEN_BACK in told(server)
    unknown = server.say("", messages=[user("SAY a"), model("other words"), user("SAY b")])
    assert unknown.conversation != one.conversation
    assert NEW in told(server)


def test_a_failed_request_before_takes_nothing_back(server: Server) -> None:
    named: dict[str, Any] = {"extra_headers": {"X-Conversation-Id": "with-a-failure"}}
    server.say("SAY a", **named)
    with pytest.raises(openai.APIStatusError):
        server.say("", messages=[user("SAY a"), model("a"), user("FAIL")], **named)
    server.say("", messages=[user("SAY a"), model("a"), user("FAIL"), user("SAY b")], **named)
    assert TAKEN_BACK not in told(server)


def test_a_sandbox_is_called_new_only_where_it_is(place: Path) -> None:
    with Server(place) as server:
        named: dict[str, Any] = {"extra_headers": {"X-Conversation-Id": "first-one-stopped"}}
        hasty = server.client().with_options(timeout=0.5)
        with pytest.raises(openai.APITimeoutError):
            server.say("RUN sleep 1.5", client=hasty, **named)
        server.wait_for(lambda: not server.get("/v1/conversations/first-one-stopped").json()["busy"])
        chat = [user("RUN sleep 1.5"), model("I"), user("SAY b")]
        server.say("", messages=chat, **named)
        assert NEW not in told(server)
        server.stop()
        server.start()
        server.say("", messages=[*chat, model("b"), user("SAY c")], **named)
        assert NEW not in told(server)
        body = {"conversation": "never-saved"}
        server.say("SAY d", extra_body=body)
        server.stop()
        for saved in (server.state / "conversations").glob("*/sandbox"):
            shutil.rmtree(saved)
        server.start()
        server.say("SAY e", extra_body=body)  # the history, which the server has, speaks of another sandbox
        assert "d" in texts(server)
        assert NEW in told(server)
        server.say("SAY f", extra_body=body)
        assert NEW not in told(server)


def test_a_front_end_that_rewrites_or_leaves_out_messages_takes_nothing_back(server: Server) -> None:
    named: dict[str, Any] = {"extra_headers": {"X-Conversation-Id": "rewritten"}}
    server.say("SAY a", **named)
    server.say("", messages=[user("SAY a, in other words"), model("a"), user("SAY b")], **named)
    assert TAKEN_BACK not in told(server)
    server.say("", messages=[user("SAY b"), model("b"), user("SAY c")], **named)
    assert TAKEN_BACK not in told(server)


def test_a_name_in_a_header_leaves_the_history_to_the_client(server: Server) -> None:
    named: dict[str, Any] = {"extra_headers": {"X-Conversation-Id": "of-a-front-end"}}
    server.say("SAY one", **named)
    server.say("SAY two", **named)  # regenerated: the first answer was thrown away
    assert not any("one" in text for text in texts(server))
    assert TAKEN_BACK in told(server)
    client = server.client()
    history: list[Any] = []
    for word in ("one", "two", "three"):
        history.append(user(f"SAY {word}"))
        answer = client.responses.create(
            model="obedient", input=history, extra_headers={"X-Conversation-Id": "of-responses"}
        )
        history.append(model(answer.output_text))
    assert [text for text in texts(server) if "one" in text] == ["SAY one", "one"]
    body = {"conversation": "by-its-field"}
    server.say("SAY one", extra_body=body)
    server.say("SAY two", extra_body=body)
    assert "one" in texts(server)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_field_leaves_the_history_to_the_server_for_any_number_of_messages(server: Server, api: str) -> None:
    named: dict[str, Any] = {"extra_body": {"conversation": f"several-{api}"}}
    chat, client = api == "chat", server.client()

    def send(*messages: dict[str, Any]) -> list[str]:
        if chat:
            server.say("", messages=list(messages), **named)
        else:
            client.responses.create(model="obedient", input=list(messages), **named)  # type: ignore[arg-type]
        assert TAKEN_BACK not in told(server)
        return texts(server)

    first = [user("SAY remembered"), model("remembered")]
    send(first[0])
    assert send(user("a"), user("SAY b")) == ["SAY remembered", "remembered", "a\n\nSAY b"]
    whole = [*first, user("a"), user("SAY b"), model("b"), user("SAY c")]
    assert send(*whole) == ["SAY remembered", "remembered", "a\n\nSAY b", "b", "SAY c"]  # told once, not twice


def test_a_history_of_two_leads_to_neither_also_when_one_is_gone(server: Server) -> None:
    one, two = (server.say("SAY what both said") for _ in range(2))
    server.say("RUN echo private > /root/diary; echo ok", extra_body={"conversation": one.conversation["id"]})
    assert server.get(f"/v1/conversations/{two.conversation['id']}").status_code == 200
    assert httpx2.delete(f"{server.url}/conversations/{two.conversation['id']}", timeout=60).json()["deleted"]
    history = [user("SAY what both said"), model("what both said"), user("RUN cat /root/diary 2>&1")]
    third = server.say("", messages=history)
    assert third.conversation != one.conversation
    assert "private" not in str(third.choices[0].message.content)


def test_a_user_that_is_no_text_is_refused(server: Server) -> None:
    for field in ("user", "safety_identifier"):
        with pytest.raises(openai.BadRequestError) as caught:
            server.say("SAY x", extra_body={field: 1})
        assert (caught.value.param, caught.value.code) == (field, "invalid_value")


def test_a_name_can_be_used_again_only_after_all_of_it_is_gone(server: Server) -> None:
    body = {"conversation": "used-again"}
    server.say("RUN mkdir /root/d; cd /root/d; touch $(seq 500); echo ok", extra_body=body)
    httpx2.delete(f"{server.url}/conversations/used-again", timeout=60)
    answer = server.say("RUN ls /root/d 2>&1 | wc -l", extra_body=body)
    assert "It said: 1" in str(answer.choices[0].message.content)  # no such directory


def test_two_at_once_with_one_history_are_told_apart(server: Server) -> None:
    history = [user("RUN echo x > /root/g; echo together"), model("It said: together")]
    first = server.say("", messages=history[:1])
    server.model.go.clear()
    server.model.asked.clear()
    messages = [*history, user("WAIT RUN cat /root/g")]
    with asking(server, "", messages=messages) as came:
        assert server.model.asked.wait(60)
        second = server.say("", messages=[*history, user("SAY meanwhile")])
        assert NEW in told(server)
        server.model.go.set()
    assert came[0].conversation == first.conversation != second.conversation
