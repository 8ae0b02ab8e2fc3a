"""Chat completions with the official client: files in, files out, conversations, streams."""

import asyncio
import base64
from typing import Any

import openai
import pytest

from tests.serve.support import KEY, Server

CSV = "data:text/csv;base64," + base64.b64encode(b"a,b\n1,2\n").decode()


def with_file(text: str, name: str = "x.csv", data: str = CSV) -> list[dict[str, Any]]:
    part = {"type": "file", "file": {"filename": name, "file_data": data}}
    return [{"role": "user", "content": [{"type": "text", "text": text}, part]}]


def text_of(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def test_models_are_listed_by_the_official_client(server: Server) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["openai/obedient"]
    assert client.models.retrieve("openai/obedient").owned_by == "workroom"
    assert server.say("SAY yes", model="obedient").model == "obedient"  # a client may leave the provider out


def test_a_file_in_and_a_file_out(server: Server) -> None:
    client = server.client()
    command = "RUN cat documents/x.csv; tr 12 34 < documents/x.csv > output/y.csv; echo hidden > output/.z"
    answer = server.say("", client=client, messages=with_file(command))
    text, message = text_of(answer), answer.choices[0].message
    assert text.startswith("It said: a,b\n\n")
    assert answer.choices[0].finish_reason == "stop"
    found = {file["filename"]: file for file in message.files}
    assert found["y.csv"]["bytes"] == 8
    assert f"[y.csv]({found['y.csv']['url']})" in text
    place = next(note.url_citation for note in message.annotations if note.url_citation.title == "y.csv")
    assert text[place.start_index : place.end_index] == f"[y.csv]({found['y.csv']['url']})"
    assert client.files.content(found["y.csv"]["id"]).read() == b"a,b\n3,4\n"
    assert client.files.retrieve(found["y.csv"]["id"]).purpose == "assistants_output"
    path = found["y.csv"]["url"].removeprefix(server.root)
    assert server.get(path).content == b"a,b\n3,4\n"  # no key is needed, and none is in it


def test_usage_is_summed_over_all_model_calls(server: Server) -> None:
    usage = server.say("RUN true").usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (22, 14, 36)  # two calls of 11 and 7


def test_a_conversation_keeps_its_files_and_its_history(server: Server) -> None:
    first = server.say("RUN echo kept > /root/mine; echo one > output/one.txt")
    body = {"conversation": first.conversation["id"]}
    second = server.say("RUN cat /root/mine", extra_body=body)
    assert text_of(second) == "It said: kept"  # nothing new was made: no links
    assert second.conversation == first.conversation
    roles = [message["role"] for message in server.model.prompts[-2]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "/files/" not in str(server.model.prompts[-2])  # what links we made, the model has no use for
    other = server.say("RUN cat /root/mine")
    assert other.conversation != first.conversation
    assert "No such file" in text_of(other)


def test_the_shell_of_each_request_is_a_new_one(server: Server) -> None:
    body = {"conversation": "shell"}
    server.say("RUN cd /tmp; export PATH=/nowhere", extra_body=body)
    assert text_of(server.say("RUN pwd; ls /", extra_body=body)) == "It said: /testbed"


@pytest.mark.parametrize("how", ["object", "metadata", "header"])
def test_a_conversation_may_be_named_in_several_ways_by_the_client(server: Server, how: str) -> None:
    name = f"chat-{how}"
    ways: dict[str, dict[str, Any]] = {
        "object": {"extra_body": {"conversation": {"id": name}}},
        "metadata": {"metadata": {"conversation_id": name}},
        "header": {"extra_headers": {"X-Conversation-Id": name}},
    }
    options = ways[how]
    assert server.say("RUN touch /root/here", **options).conversation == {"id": name}
    raw = server.client().chat.completions.with_raw_response.create(
        model="openai/obedient", messages=[{"role": "user", "content": "RUN ls /root/here"}], **options
    )
    assert raw.headers["x-conversation-id"] == name
    assert text_of(raw.parse()) == "It said: /root/here"


def test_a_client_that_sends_only_the_history_goes_on_with_its_sandbox(server: Server) -> None:
    asked: list[Any] = [{"role": "user", "content": "RUN echo mine > /root/m; echo x > output/made.txt"}]
    first = server.say("", messages=asked)
    assert "made.txt" in text_of(first)
    history = [*asked, {"role": "assistant", "content": f" {text_of(first)}\n"}]
    second = server.say("", messages=[*history, {"role": "user", "content": "RUN cat /root/m"}])
    assert second.conversation == first.conversation
    assert text_of(second) == "It said: mine"
    other = server.say("", messages=[*history, {"role": "user", "content": "RUN cat /root/m"}], user="somebody-else")
    assert other.conversation != first.conversation


def test_equal_histories_of_two_conversations_lead_into_neither(server: Server) -> None:
    asked: list[Any] = [{"role": "user", "content": "SAY the same"}]
    one, two = server.say("", messages=asked), server.say("", messages=asked)
    history = [*asked, {"role": "assistant", "content": "the same"}, {"role": "user", "content": "SAY more"}]
    third = server.say("", messages=history)
    assert len({one.conversation["id"], two.conversation["id"], third.conversation["id"]}) == 3
    assert [message["role"] for message in server.model.prompts[-1]] == ["system", "user", "assistant", "user"]


def test_each_file_is_put_in_once_and_names_are_made_safe_and_different(server: Server) -> None:
    other = "data:;base64," + base64.b64encode(b"other").decode()
    asked: list[Any] = with_file("RUN ls -A documents | tr '\\n' ' '", "../../etc/pass wd")
    asked[0]["content"] += with_file("", "pass wd", other)[0]["content"][1:]
    asked[0]["content"] += with_file("", ".hidden\x07", CSV.replace("YSxi", "Yixi"))[0]["content"][1:]
    image = {"type": "image_url", "image_url": {"url": "data:image/png,%89PNG"}}
    asked[0]["content"].append(image)
    first = server.say("", messages=asked)
    assert text_of(first) == "It said: hidden image-4.png pass wd pass wd-2"
    asked += [{"role": "assistant", "content": text_of(first)}]
    again = server.say("", messages=[*asked, *with_file("RUN ls -A documents | wc -l", "pass wd")])
    assert again.conversation == first.conversation
    assert text_of(again) == "It said: 4"


def test_an_upload_may_be_named_in_a_message(server: Server) -> None:
    client = server.client()
    file = client.files.create(file=("notes.txt", b"uploaded"), purpose="user_data")
    part = {"type": "file", "file": {"file_id": file.id}}
    content = [{"type": "text", "text": "RUN cat documents/notes.txt"}, part]
    assert text_of(server.say("", messages=[{"role": "user", "content": content}])) == "It said: uploaded"


def test_the_clients_system_message_reaches_the_model(server: Server) -> None:
    asked = [{"role": "system", "content": "Always be brief."}, {"role": "user", "content": "SAY ok"}]
    server.say("", messages=asked, temperature=0.5, top_p=0.9, seed=7, max_completion_tokens=99)
    system = server.model.prompts[-1][0]
    assert system["role"] == "system"
    assert "Always be brief." in system["content"]
    sent = server.model.bodies[-1]
    assert [sent[name] for name in ("temperature", "top_p", "seed")] == [0.5, 0.9, 7]
    assert 99 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


def test_what_clients_commonly_send_besides_is_accepted(server: Server) -> None:
    extras: dict[str, Any] = {
        "n": 1, "store": False, "parallel_tool_calls": True, "service_tier": "auto", "presence_penalty": 0,
        "response_format": {"type": "text"}, "tools": [], "stop": None, "logprobs": False, "modalities": ["text"],
    }  # fmt: skip
    assert text_of(server.say("SAY fine", extra_body=extras)) == "fine"


def test_a_stream_tells_progress_as_reasoning_and_then_the_answer(server: Server) -> None:
    chunks = list(
        server.say("RUN echo out; echo x > output/x.txt", stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    for shown in ("Hm.", "I look.", "$ echo out", "out"):
        assert shown in reasoning
    content = "".join(delta.content or "" for delta in deltas)
    assert content.startswith("It said: out\n\n[x.txt](")
    assert "It said" not in reasoning
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert deltas[-1].files[0]["filename"] == "x.txt"
    assert chunks[-1].usage.total_tokens == 36
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[0].conversation == chunks[-2].conversation


def test_the_accumulating_stream_of_the_client_understands_it(server: Server) -> None:
    with server.client().chat.completions.stream(
        model="openai/obedient", messages=[{"role": "user", "content": "RUN echo out; echo x > output/x.txt"}]
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert text_of(final).startswith("It said: out")


def test_the_asynchronous_client_works_several_conversations_at_once(server: Server) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        asked: list[Any] = [{"role": "user", "content": f"RUN echo {number} > /root/n; sleep 0.1; cat /root/n"}]
        stream = await client.chat.completions.create(model="openai/obedient", messages=asked, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def several() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(4)))

    assert asyncio.run(several()) == [f"It said: {number}" for number in range(4)]


def test_a_conversation_can_be_looked_at_and_removed(server: Server) -> None:
    client = server.client()
    answer = server.say("", client=client, messages=with_file("RUN echo x > output/x.txt"))
    name, file = answer.conversation["id"], answer.choices[0].message.files[0]
    found = server.get(f"/v1/conversations/{name}").json()
    assert (found["requests"], found["documents"], found["files"]) == (1, ["x.csv"], [file["id"]])
    client.delete(f"/conversations/{name}", cast_to=object)
    assert server.get(f"/v1/conversations/{name}").status_code == 404
    assert server.get(file["url"].removeprefix(server.root)).status_code == 404
    with pytest.raises(openai.NotFoundError, match="no conversation"):
        server.say("SAY x", extra_body={"conversation": name})


def test_a_conversation_may_be_made_first(server: Server) -> None:
    client = server.client()
    made = client.conversations.create()
    answer = server.say("RUN echo x > /root/x", client=client, extra_body={"conversation": made.id})
    assert answer.conversation == {"id": made.id}
    assert text_of(server.say("RUN cat /root/x", extra_body={"conversation": made.id})) == "It said: x"
    assert client.conversations.retrieve(made.id).created_at == made.created_at
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_the_log_has_a_line_for_each_request_and_nothing_of_what_was_said(server: Server) -> None:
    answer = server.say("RUN echo unspeakable")
    server.wait_for(lambda: any(line.get("conversation") == answer.conversation["id"] for line in server.requests))
    line = next(line for line in server.requests if line.get("conversation") == answer.conversation["id"])
    assert (line["status"], line["route"], line["stop_reason"]) == (200, "/v1/chat/completions", "submitted")
    assert (line["prompt_tokens"], line["completion_tokens"]) == (22, 14)
    assert "unspeakable" not in server.log
    assert "sk-" not in server.log
