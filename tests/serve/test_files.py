"""The files endpoint in OpenAI's form, and links that show nothing that could do harm."""

import base64
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serve.support import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("files")
    (place / "workroom.toml").write_text('[serve]\nmax_file = "1m"\nquota = "3m"\n')
    with Server(place) as running:
        yield running


def stored(server: Server) -> int:
    return len(list((server.state / "files").iterdir()))


def test_files_come_and_go_through_the_official_client(server: Server) -> None:
    client, before = server.client(), stored(server)
    file = client.files.create(file=("a.bin", b"\x00\xff" * 10), purpose="user_data")
    assert (file.bytes, file.filename, file.purpose, file.status) == (20, "a.bin", "user_data", "processed")
    other = client.files.create(file=("b.txt", b"b"), purpose="vision")
    assert [found.id for found in client.files.list()][:2] == [other.id, file.id]
    assert [found.id for found in client.files.list(purpose="vision")] == [other.id]
    page = client.files.list(limit=1)
    assert (page.has_more, page.data[0].id) == (True, other.id)
    assert client.files.list(after=other.id).data[0].id == file.id
    assert client.files.content(file.id).read() == b"\x00\xff" * 10
    for one in (file, other):
        assert client.files.delete(one.id).deleted
    with pytest.raises(openai.NotFoundError, match="no file"):
        client.files.retrieve(file.id)
    assert stored(server) == before


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_each_file_of_a_list_can_be_removed_while_it_is_read(server: Server, order: Any) -> None:
    client = server.client()
    made = [client.files.create(file=("a", b"x"), purpose="vision").id for _ in range(5)]
    came = []
    for file in client.files.list(limit=2, order=order, purpose="vision"):
        came.append(file.id)
        client.files.delete(file.id)
    assert came == (made if order == "asc" else made[::-1])
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.list(after="file-none")
    assert caught.value.param == "after"


def test_a_part_that_cannot_be_is_told_in_an_error_object(server: Server) -> None:
    file = server.client().files.create(file=("a.txt", b"0123456789"), purpose="user_data")
    for asked, status in (("bytes=50-", 416), ("bytes=a-", 400), ("lines=1-2", 400)):
        answer = server.get(f"/v1/files/{file.id}/content", headers={"Range": asked})
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["param"]) == (status, "invalid_request_error", "Range")
        assert answer.headers.get("content-range") == ("bytes */10" if status == 416 else None)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..\\x", "a\x00b", "\u202etxt.exe", ".bashrc", "x" * 1000, "", "a\nb", "…/é\"'.txt"]
)
def test_hostile_names_of_uploads_are_made_safe(server: Server, name: str) -> None:
    client = server.client()
    file = client.files.create(file=(name or "..", b"x"), purpose="user_data")
    assert 0 < len(file.filename.encode()) <= 140
    assert not set("/\\\n\x00\u202e") & set(file.filename)
    assert not file.filename.startswith(".")
    assert client.files.content(file.id).read() == b"x"
    assert server.get(file.url.removeprefix(server.root)).content == b"x"  # type: ignore[attr-defined]
    client.files.delete(file.id)


def test_what_is_no_upload_is_refused(server: Server) -> None:
    for options in (
        {"content": b"x"},
        {"json": {"purpose": "user_data"}},
        {"files": {"file": ("a", b"x")}},
        {"data": {"purpose": "user_data"}, "files": {"other": ("a", b"x")}},
        {"content": b"--b\r\nnothing", "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
    ):
        answer = server.post("/v1/files", **options)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_file_that_is_too_large_or_beyond_the_quota_is_413_and_leaves_nothing(server: Server) -> None:
    client, before = server.client(), stored(server)
    with pytest.raises(openai.APIStatusError) as caught:
        client.files.create(file=("large", b"x" * (2 << 20)), purpose="user_data")
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
    assert "1,048,576 bytes" in caught.value.message
    with pytest.raises(openai.APIStatusError, match="1,048,576 bytes"):  # the form has room for more
        client.files.create(file=("large", b"x" * ((1 << 20) + 1)), purpose="user_data")
    client.files.delete(client.files.create(file=("fits", b"x" * (1 << 20)), purpose="user_data").id)
    kept = [client.files.create(file=("m", b"x" * 1_000_000), purpose="user_data") for _ in range(3)]
    with pytest.raises(openai.APIStatusError, match=r"more than the|quota"):
        client.files.create(file=("m", b"x" * 1_000_000), purpose="user_data")
    answer = server.say("RUN head -c 500000 /dev/zero > output/zeros.bin")
    assert "zeros.bin was not kept" in answer.choices[0].message.content
    for file in kept:
        client.files.delete(file.id)
    assert stored(server) == before
    assert not list((server.state / "uploads").iterdir())


def test_artefacts_are_served_so_that_no_page_can_be_made_of_them(server: Server) -> None:
    names = ("page.html", "image.svg", "a.png", "b.pdf", "c.txt", "d.js", "e")
    command = "RUN cd output; for n in " + " ".join(names) + "; do echo '<script>alert(1)</script>' > $n; done"
    files = {file["filename"]: file for file in server.say(command).choices[0].message.files}
    assert sorted(files) == sorted(names)
    for name in names:
        answer = server.get(files[name]["url"].removeprefix(server.root))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert ("sandbox" in answer.headers["content-security-policy"]) == (name != "b.pdf")
        how = answer.headers["content-disposition"].partition(";")[0]
        assert how == ("inline" if name in ("a.png", "b.pdf", "c.txt") else "attachment")
        kind = {"a.png": "image/png", "b.pdf": "application/pdf", "c.txt": "text/plain; charset=utf-8"}
        assert answer.headers["content-type"] == kind.get(name, "application/octet-stream")
        direct = server.get(f"/v1/files/{files[name]['id']}/content")
        assert direct.headers["content-disposition"].startswith("attachment")


def test_of_many_files_some_are_linked_and_all_are_told(server: Server) -> None:
    asked: Any = [{"role": "user", "content": "RUN for i in $(seq 25); do echo $i > output/$i.txt; done"}]
    answer = server.say("", messages=asked)
    message = answer.choices[0].message
    assert message.content.count("](http") == 20
    assert message.content.endswith("\n… and 5 more files")
    assert len(message.files) == 25
    asked += [{"role": "assistant", "content": message.content}, {"role": "user", "content": "RUN ls output | wc -l"}]
    again = server.say("", messages=asked)
    assert (again.conversation, again.choices[0].message.content) == (answer.conversation, "It said: 25")


def test_links_cannot_be_guessed_or_altered(server: Server) -> None:
    file = server.client().files.create(file=("a.txt", b"x"), purpose="user_data")
    path = file.url.removeprefix(server.root)  # type: ignore[attr-defined]
    head, name, signature, _ = path.strip("/").split("/")
    assert server.get(f"/{head}/{name}/{signature}/any-name").status_code == 200  # the name is for people
    for other in (signature[:-1] + ("0" if signature[-1] != "0" else "1"), signature[:-1], "", "é"):
        assert server.get(f"/{head}/{name}/{other}/a.txt").status_code in (400, 404)
    assert server.get(f"/{head}/file-other/{signature}/a.txt").status_code == 404
    part = server.get(path, headers={"Range": "bytes=0-0"})
    assert (part.status_code, part.content) == (206, b"x")


def test_names_of_artefacts_cannot_break_out_of_their_links(server: Server) -> None:
    answer = server.say(r"""RUN touch 'output/](http:\\evil.example) [x' $'output/a\nb' 'output/<img src=x>'""")
    message = answer.choices[0].message
    links = message.content.split("\n\n", 1)[1].splitlines()
    assert len(links) == len(message.files)
    for line, file in zip(links, message.files, strict=True):
        assert line.endswith(f"]({file['url']})")
        assert file["url"].startswith(f"{server.root}/files/file-")
        shown = line.removesuffix(f"]({file['url']})")
        assert "](" not in shown.replace("\\]", "")
        assert "<" not in shown.replace("\\<", "")


def made(answer: Any) -> list[str]:
    """The files that came with the answer."""
    return [file["path"] for file in getattr(answer.choices[0].message, "files", [])]


def test_what_failed_and_cut_off_requests_made_comes_with_the_next_answer_once(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        body = {"conversation": "handing-over"}
        assert made(server.say("RUN echo 1 > output/old.txt", extra_body=body)) == ["old.txt"]
        with pytest.raises(openai.InternalServerError):
            server.say("RUN echo 1 > output/failed.txt # BREAK", extra_body=body)
        hasty = server.client().with_options(timeout=0.5)
        with pytest.raises(openai.APITimeoutError):
            server.say("RUN echo 1 > output/cut.txt; sleep 1.5", client=hasty, extra_body=body)
        server.wait_for(lambda: not server.get("/v1/conversations/handing-over").json()["busy"])
        assert server.stop() == 0
        server.start()
        answer = server.say("RUN echo 2 > output/new.txt", extra_body=body)
        assert made(answer) == ["cut.txt", "failed.txt", "new.txt"]
        assert "cut.txt](" in answer.choices[0].message.content
        assert made(server.say("RUN cat output/new.txt", extra_body=body)) == []
        assert made(server.say("RUN touch output/cut.txt", extra_body=body)) == ["cut.txt"]


def test_what_there_was_no_room_for_comes_once_there_is(server: Server) -> None:
    client, body = server.client(), {"conversation": "no-room"}
    kept = [client.files.create(file=("m", b"x" * 1_000_000), purpose="user_data") for _ in range(2)]
    large = "RUN head -c 600000 /dev/zero > output/a.bin; head -c 600000 /dev/zero > output/b.bin"
    answer = server.say(large, extra_body=body)
    assert made(answer) == ["a.bin"]
    assert "b.bin was not kept" in answer.choices[0].message.content
    for file in kept:
        client.files.delete(file.id)
    assert made(server.say("SAY thanks", extra_body=body)) == ["b.bin"]


def test_attachments_that_the_sandbox_has_no_room_for_are_413_with_its_bound(tmp_path: Path) -> None:
    with Server(tmp_path, "--disk", "20m") as server:
        client = server.client()
        named: dict[str, Any] = {"extra_body": {"conversation": "small-disk"}}

        def asked(size: int) -> Any:
            data = "data:application/octet-stream;base64," + base64.b64encode(b"x" * size).decode()
            file = {"type": "file", "file": {"filename": "big.bin", "file_data": data}}
            return [{"role": "user", "content": [{"type": "text", "text": "RUN ls documents"}, file]}]

        with pytest.raises(openai.APIStatusError, match=r"30,000,000 bytes.* 20,971,520") as caught:
            server.say("", messages=asked(30_000_000), **named)
        error = caught.value
        assert (error.status_code, error.code, error.param) == (413, "request_too_large", "messages")
        data = asked(30_000_000)[0]["content"][1]["file"]["file_data"]
        content: Any = [{"type": "input_file", "filename": "b", "file_data": data}]
        with pytest.raises(openai.APIStatusError) as caught:
            client.responses.create(model="obedient", input=[{"role": "user", "content": content}])
        assert (caught.value.status_code, caught.value.param) == (413, "input")
        assert "sandbox_error" not in server.get("/metrics").text
        fits = server.say("", messages=asked(15_000_000), **named)
        assert fits.choices[0].message.content == "It said: big.bin"
        with pytest.raises(openai.APIStatusError, match="has room for") as caught:  # the disk alone would hold it
            server.say("", messages=asked(15_000_001), **named)
        assert caught.value.status_code == 413
