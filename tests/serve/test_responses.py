"""The Responses API with the official client."""

import base64
from typing import Any

import openai
import pytest

from tests.serve.support import Server

CSV = "data:text/csv;base64," + base64.b64encode(b"a,b\n1,2\n").decode()
MODEL = "openai/obedient"


def create(server: Server, given: Any, **options: Any) -> Any:
    return server.client().responses.create(model=MODEL, input=given, **options)


def test_a_file_in_and_a_file_out(server: Server) -> None:
    command = "RUN cat documents/x.csv; tr 12 34 < documents/x.csv > output/y.csv"
    parts = [
        {"type": "input_text", "text": command},
        {"type": "input_file", "filename": "x.csv", "file_data": CSV},
    ]
    answer = create(server, [{"role": "user", "content": parts}], instructions="Be brief.")
    assert answer.status == "completed"
    (message,) = answer.output
    (file,) = message.files
    assert answer.output_text == f"It said: a,b\n\n[y.csv]({file['url']})"
    (note,) = message.content[0].annotations
    assert answer.output_text[note.start_index : note.end_index] == f"[y.csv]({file['url']})"
    assert server.client().files.content(file["id"]).read() == b"a,b\n3,4\n"
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (22, 14, 36)
    assert "Be brief." in server.model.prompts[-1][0]["content"]
    assert answer.instructions == "Be brief."


def test_a_response_goes_on_with_the_one_before(server: Server) -> None:
    first = create(server, "RUN echo kept > /root/mine")
    second = create(server, "RUN cat /root/mine", previous_response_id=first.id)
    assert second.output_text == "It said: kept"
    assert second.conversation.id == first.conversation.id
    assert [message["role"] for message in server.model.prompts[-2]] == ["system", "user", "assistant", "user"]
    third = create(server, "RUN cat /root/mine", conversation=first.conversation.id)
    assert third.output_text == "It said: kept"
    with pytest.raises(openai.NotFoundError, match="must be the newest of its conversation") as refused:
        create(server, "Hello?", previous_response_id=first.id)
    assert refused.value.param == "previous_response_id"


def test_a_list_of_items_is_a_history(server: Server) -> None:
    items = [
        {"type": "message", "role": "developer", "content": "Be kind."},
        {"role": "user", "content": "I am Ada."},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"role": "user", "content": "SAY Ada"},
    ]
    answer = create(server, items)
    assert answer.output_text == "Ada"
    assert [item.type for item in answer.output] == ["message"]
    system, *rest = server.model.prompts[-1]
    assert "Be kind." in system["content"]
    assert [message["content"] for message in rest[:2]] == ["I am Ada.", "Hello."]


def test_a_stream_has_its_events_in_order(server: Server) -> None:
    with server.client().responses.stream(model=MODEL, input="RUN echo 6; echo x > output/x.txt") as stream:
        events = list(stream)
        final: Any = stream.get_final_response()
    assert [event.sequence_number for event in events if hasattr(event, "sequence_number")] == list(range(len(events)))
    kinds: list[str] = [event.type for event in events]
    once = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number] or not kind.endswith("delta")]
    assert once == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert final.output_text.startswith("It said: 6\n\n[x.txt](http")
    assert final.usage.total_tokens == 36


def test_what_fails_in_a_stream_is_its_last_event(server: Server) -> None:
    events = list(create(server, "FAIL", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message == "the model behind this server failed: see the server's log"
    with pytest.raises(openai.InternalServerError, match="the model behind this server failed"):
        create(server, "FAIL")


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools", "the tools of its sandbox"),
        ({"background": True}, "background", "must be false"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format", "of type text"),
        ({"input": []}, "input", "at least one item"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_video"}]}]},
            "input[0].content[0].type",
            "input_video",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "1", "output": "x"}]},
            "input[0].type",
            "not supported",
        ),
        ({"previous_response_id": "a", "conversation": "b"}, "previous_response_id", "not both"),
        ({"max_output_tokens": 0}, "max_output_tokens", "whole number"),
    ],
)
def test_what_cannot_be_done_is_refused(server: Server, options: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        server.client().responses.create(**{"model": MODEL, "input": "Hello.", **options})
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_file", "file_url": "http://127.0.0.1:1/x"}, ".file_url"),
        ({"type": "input_file", "filename": "a"}, ".file_data"),
        ({"type": "input_file", "file_id": 7}, ".file_id"),
        ({"type": "input_image", "image_url": "http://127.0.0.1:1/x"}, ".image_url"),
        ({"type": "input_image", "file_id": 7}, ".file_id"),
        ({"type": "input_text"}, ".text"),
        ({"type": ["text"]}, ".type"),
    ],
)
def test_a_part_that_is_wrong_is_told_in_the_words_of_this_api(server: Server, part: Any, param: str) -> None:
    items = [{"type": "reasoning", "summary": []}, {"role": "user", "content": [part]}]
    with pytest.raises(openai.BadRequestError) as caught:
        create(server, items)
    assert caught.value.param == f"input[1].content[0]{param}"
    if param == ".type":
        assert "input_text, output_text, input_image, input_file, input_audio, not" in caught.value.message


def test_an_address_is_not_fetched(server: Server) -> None:
    part = {"type": "input_file", "file_url": "http://127.0.0.1:1/x"}
    with pytest.raises(openai.BadRequestError, match="this server fetches nothing"):
        create(server, [{"role": "user", "content": [part]}])
