"""The model is told under which names it finds the files of a message, whatever was there before."""

import base64
from pathlib import Path
from typing import Any

from tests.serve.support import Server
from workroom.serve.ask import Said
from workroom.serve.context import text_for
from workroom.serve.conversation import Conversation


def part(name: str, content: bytes) -> dict[str, Any]:
    data = "data:text/plain;base64," + base64.b64encode(content).decode()
    return {"type": "input_file", "filename": name, "file_data": data}


def send(server: Server, text: str, *files: dict[str, Any], **options: Any) -> list[str]:
    """What the model is told of the chat when it is asked in the Responses API."""
    content = [*([{"type": "input_text", "text": text}] if text else []), *files]
    asked: Any = [{"role": "user", "content": content}]
    server.client().responses.create(model="obedient", input=asked, **options)
    return [str(message["content"]) for message in server.model.prompts[-1][1:]]


def test_files_of_a_request_that_is_sent_again_are_named_again(server: Server) -> None:
    named: dict[str, Any] = {"extra_headers": {"X-Conversation-Id": "sent-again"}}
    question, file = "How many rows has it?", part("data.csv", b"a\n")
    (first,) = send(server, question, file, **named)
    assert first == f"{question}\n\n[New files in /testbed/documents:\n- data.csv (2 bytes, 1 lines)\n]"
    (again,) = send(server, question, file, **named)
    assert again == f"{question}\n\n[Attached, in /testbed/documents: data.csv]"
    assert send(server, question, **named) == [question]


def test_a_file_is_told_by_its_name_inside(server: Server) -> None:
    named = {"conversation": "three-logs"}
    one, two = part("log.txt", b"ONE"), part("log.txt", b"TWO")
    assert send(server, "", one, **named)[-1].startswith("(attached: log.txt)\n\n[New files")
    assert send(server, "", two, **named)[-1].startswith("(attached: log-2.txt)\n\n[New files")
    assert send(server, "", two, **named)[-1] == "(attached: log-2.txt)"
    *history, last = send(server, "Which is longer?", two, one, **named)
    assert last == "Which is longer?\n\n[Attached, in /testbed/documents: log-2.txt, log.txt]"
    assert history[::2] == ["(attached: log.txt)", "(attached: log-2.txt)", "(attached: log-2.txt)"]


def test_a_history_of_files_without_a_text_is_still_found(server: Server) -> None:
    content = [{"type": "file", "file": {"filename": "a.txt", "file_data": part("", b"a")["file_data"]}}]
    asked: list[Any] = [{"role": "user", "content": content}]
    first = server.say("", messages=asked)
    asked += [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "SAY b"}]
    assert server.say("", messages=asked).conversation == first.conversation
    assert server.model.prompts[-1][1]["content"] == "(attached: a.txt)"


def test_what_has_only_files_is_written_down(tmp_path: Path) -> None:
    history = [Said("user", "(attached: a.txt)", ("identity",)), Said("assistant", "Hello.")]
    Conversation("a", "local", tmp_path, history=history).write()
    found = Conversation.read(tmp_path)
    assert found is not None
    assert found.history == history
    assert [text_for(said, {"identity": "a-2.txt"}) for said in found.history] == ["(attached: a-2.txt)", "Hello."]
    assert text_for(history[0], {}) == "(attached: a.txt)"  # of a sandbox that does not have it
