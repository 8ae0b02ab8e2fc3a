"""What clients, models and disks do to a server: it answers, tells the truth, and loses nothing."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.serve.support import Server
from tests.serve.test_chat import text_of, with_file
from tests.serve.test_life import asking


def data(content: bytes) -> str:
    return "data:;base64," + base64.b64encode(content).decode()


def test_what_failed_after_it_was_begun_is_not_done_again_by_the_client(server: Server) -> None:
    before = len(server.model.prompts)
    with openai.OpenAI(base_url=server.url, api_key="none") as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="obedient", messages=[{"role": "user", "content": "FAIL"}])
    assert len(server.model.prompts) == before + 1


def test_files_of_one_content_and_files_that_were_removed_are_there(server: Server) -> None:
    asked = with_file("RUN ls documents | tr '\\n' ' '; rm documents/test.csv", "train.csv", data(b"x"))
    asked[0]["content"] += with_file("", "test.csv", data(b"x"))[0]["content"][1:]
    body = {"conversation": "equal-files"}
    assert text_of(server.say("", messages=asked, extra_body=body)) == "It said: test.csv train.csv"
    again = with_file("RUN cat documents/test.csv", "test.csv", data(b"x"))
    assert text_of(server.say("", messages=again, extra_body=body)) == "It said: x"


def test_a_file_of_the_models_is_not_written_over(server: Server) -> None:
    body = {"conversation": "own-file"}
    server.say("RUN echo mine > documents/a.txt; echo ok", extra_body=body)
    asked = with_file("RUN cat documents/a.txt documents/a-2.txt | tr -d '\\n'", "a.txt", data(b"theirs"))
    assert text_of(server.say("", messages=asked, extra_body=body)) == "It said: minetheirs"


def test_made_files_keep_their_folders_apart(server: Server) -> None:
    made = server.say("RUN mkdir output/en output/de; echo a > output/en/i.html; echo b > output/de/i.html; echo ok")
    files = made.choices[0].message.files
    assert sorted((file["path"], file["filename"]) for file in files) == [
        ("de/i.html", "i.html"),
        ("en/i.html", "i.html"),
    ]
    assert "[en/i.html](" in text_of(made)


def test_an_answer_that_the_models_own_limit_cut_says_so(server: Server) -> None:
    answer = server.say("CUT")
    assert answer.choices[0].finish_reason == "length"
    response = server.client().responses.create(model="obedient", input="CUT", store=False)
    assert (response.status, response.model_dump()["store"]) == ("incomplete", False)
    submitted = server.say("CUT THEN SUBMIT")
    assert submitted.workroom["stop_reason"] == "submitted"
    assert (text_of(submitted), submitted.choices[0].finish_reason) == ("Half of", "length")


def test_an_answer_that_the_providers_filter_cut_says_so(server: Server) -> None:
    answer = server.say("FILTER")
    assert (text_of(answer), answer.choices[0].finish_reason) == ("I was going to", "content_filter")
    response = server.client().responses.create(model="obedient", input="FILTER")
    assert (response.status, response.output_text) == ("incomplete", "I was going to")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "content_filter"


def test_methods_that_clients_make_up_are_one_series(server: Server) -> None:
    for number in range(3):
        assert httpx2.request(f"SPAM{number}", f"{server.root}/health", timeout=60).status_code == 405
    assert "SPAM" not in server.get("/metrics").text
    assert not any("SPAM" in line for line in server.lines)


def test_the_log_has_json_lines_and_nothing_of_what_was_said(server: Server) -> None:
    with pytest.raises(openai.APIStatusError):
        server.say("FAIL")
    asked = {"model": "obedient", "messages": [{"role": "a secret role", "content": "x"}]}
    assert server.post("/v1/chat/completions", json=asked).status_code == 400
    server.wait_for(
        lambda: any(line.get("error") == "invalid_request_error messages[0].role" for line in server.requests)
    )
    begun = next(number for number, line in enumerate(server.lines) if "workroom serve: http" in line)
    lines = [line for line in server.lines[begun:] if not line.startswith("workroom serve: ")]
    assert all(json.loads(line) for line in lines)
    assert "a secret role" not in server.log


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("conversations", {"items": [{"role": "user", "content": "x"}]}, "items"),
        ("conversations", {"metadata": {"a": 1}}, "metadata"),
        ("chat/completions", {"tool_choice": "required"}, "tool_choice"),
        ("responses", {"tool_choice": "required"}, "tool_choice"),
        (
            "responses",
            {"input": [{"type": "reasoning", "id": "rs"}, {"role": "nobody", "content": "x"}]},
            "input[1].role",
        ),
    ],
)
def test_what_would_be_passed_over_is_refused(server: Server, path: str, body: dict[str, Any], param: str) -> None:
    whole = {"model": "obedient", "messages": [{"role": "user", "content": "SAY x"}], "input": "SAY x", **body}
    answer = server.post(f"/v1/{path}", json=whole)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_metadata_of_a_conversation_is_kept(server: Server) -> None:
    made = server.client().conversations.create(metadata={"team": "a"})
    assert server.client().conversations.retrieve(made.id).metadata == {"team": "a"}


@pytest.mark.parametrize(
    ("form", "param"),
    [
        (
            {"files": {"file": ("a.txt", b"x")}, "data": {"purpose": "user_data", "expires_after[seconds]": "9"}},
            "expires_after",
        ),
        ({"files": {"purpose": (None, "user_data"), "file": (None, "text")}}, "file"),
    ],
)
def test_forms_are_taken_as_a_whole_or_refused(server: Server, form: dict[str, Any], param: str) -> None:
    answer = server.post("/v1/files", **form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_limit_of_very_many_digits_is_refused(server: Server) -> None:
    answer = server.get("/v1/files", params={"limit": "9" * 5000})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


def test_an_upload_that_is_deleted_while_it_waits_is_not_found(place: Path) -> None:
    with Server(place, "--concurrency", "1") as server, asking(server, "WAIT SAY first"):
        assert server.model.asked.wait(60)
        file = server.client().files.create(file=("a.txt", b"x"), purpose="user_data")
        part = {"type": "file", "file": {"file_id": file.id}}
        with asking(server, "", messages=[{"role": "user", "content": [part]}]) as came:
            server.wait_for(lambda: server.get("/health").json()["waiting"] == 1)
            server.client().files.delete(file.id)
            server.model.go.set()
    assert (came[0].status_code, came[0].code) == (404, "file_not_found")


def test_a_disk_that_fails_does_not_cost_the_answer(place: Path) -> None:
    with Server(place) as server:
        with asking(server, "WAIT SAY still said", extra_body={"conversation": "unlucky"}) as came:
            assert server.model.asked.wait(60)
            record = next((server.state / "conversations").iterdir()) / "conversation.json"
            record.unlink()
            (record / "in the way").mkdir(parents=True)
            server.model.go.set()
        assert text_of(came[0]) == "still said"
        server.wait_for(lambda: "could not be written down" in server.log)


def test_records_of_another_version_are_never_removed(place: Path) -> None:
    with Server(place) as server:
        server.say("RUN echo x > output/x.txt; echo ok", extra_body={"conversation": "kept"})
        server.stop()
        conversation = next((server.state / "conversations").iterdir())
        file = next((server.state / "files").iterdir())
        for path in (conversation / "conversation.json", file / "meta.json"):
            path.write_text(json.dumps({**json.loads(path.read_text()), "of_a_later_version": 1}))
        server.start()
        assert server.get("/v1/conversations/kept").json()["files"] == [file.name]
        server.stop()
        for path in (conversation / "conversation.json", file / "meta.json"):
            path.write_text("{")
        server.start()
        assert server.get("/v1/conversations/kept").status_code == 404
        assert text_of(server.say("SAY anew", extra_body={"conversation": "kept"})) == "anew"
        kept = [path.name for path in conversation.parent.iterdir() if path.name.startswith(conversation.name)]
        assert len(kept) == 2
        assert (file / "content").read_bytes() == b"x\n"
        assert server.log.count("left as it is") == 2
