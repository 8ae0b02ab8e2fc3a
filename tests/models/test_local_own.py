"""A GGUF of the user's own as a local model: found, described, told apart and spoken to as its notes say."""

import json
import os
import struct
from pathlib import Path

import pytest

from tests.models.test_local_keeper import FAKE
from workroom.errors import ConfigError
from workroom.models import open_model
from workroom.models.base import Sampling
from workroom.models.local import open_local
from workroom.models.local.catalog import find
from workroom.models.local.gguf import read_header
from workroom.models.local.server import Settings, command_of, running, start, state_folder, stop
from workroom.models.local.weights import ensure_weights, have_weights

ONE_THREAD = Settings(parallel=1, idle=60, threads=1)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(path: Path, *, template: str = "{{ messages }}", tensors: int = 1, version: int = 3) -> Path:
    """A GGUF with a header alone: a vocabulary of two tokens, scores, one number of each kind and a tensor of 6 × 7."""
    fields = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.license") + struct.pack("<I", 8) + text("mit"),
        text("llama.context_length") + struct.pack("<II", 4, 2048),
        text("llama.rope.freq_base") + struct.pack("<If", 6, 0.5),
        text("tokenizer.ggml.add_bos_token") + struct.pack("<I?", 7, False),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("über"),
        text("tokenizer.ggml.scores") + struct.pack("<IIQff", 9, 6, 2, 1.0, 2.0),
        text("tokenizer.chat_template") + struct.pack("<I", 8) + text(template),
    ]
    tensor = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 6, 7, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, len(fields))
    path.write_bytes(head + b"".join(fields) + tensor * tensors)
    return path


def test_the_header_tells_what_the_model_is() -> None:
    header = read_header(gguf(Path("m.gguf"), tensors=2))
    assert (header.architecture, header.context, header.parameters, header.tensors) == ("llama", 2048, 84, 2)
    assert header.fields["llama.rope.freq_base"] == 0.5
    assert header.fields["tokenizer.ggml.add_bos_token"] is False
    assert (header.fields["tokenizer.ggml.tokens"], header.fields["tokenizer.ggml.scores"]) == (2, 2)
    assert header.chat_template == "{{ messages }}"
    assert read_header(gguf(Path("n.gguf"), template=" ")).chat_template is None


@pytest.mark.parametrize("cut", [3, 20, 40, 150, 330])
def test_a_header_that_is_cut_off_is_told(cut: int) -> None:
    path = gguf(Path("m.gguf"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ConfigError, match=r"m\.gguf is no (whole )?GGUF file"):
        read_header(path)


@pytest.mark.parametrize("name", ["out/model.gguf", "out", "./out", "local/out/model.gguf"])
def test_a_path_is_a_file_or_a_folder_with_one(name: str) -> None:
    path = gguf(Path("out/model.gguf"))
    entry = find(name)
    assert (entry.file, entry.context, entry.licence, entry.size) == (path.resolve(), 2048, "mit", path.stat().st_size)
    assert entry.full_name == "local/" + name.removeprefix("local/")
    assert have_weights(entry)
    assert ensure_weights(entry, lambda _: None, lambda: False) == path.resolve()


def test_opening_one_starts_nothing_and_shows_the_name_as_given() -> None:
    gguf(Path("local/model.gguf"))
    model = open_model("local/local/model.gguf")
    assert (model.name, model.window, model.hints.protocol) == ("local/local/model.gguf", 2048, "bash")
    assert open_model(f"local/{Path('local').absolute()}", protocol="json").hints.protocol == "json"
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.gguf", "there is no file none.gguf"),
        ("some/where", "there is no file some/where"),
        ("./empty", "the folder empty holds no .gguf file"),
        ("./two", "the folder two holds several .gguf files"),
        ("text.gguf", "is no GGUF file"),
        ("./bare.gguf", "has no weights"),
        ("./old.gguf", "is GGUF of version 1"),
        ("empty", "no local model 'empty'.*local/PATH"),
    ],
)
def test_a_path_to_no_model_is_told(name: str, reason: str) -> None:
    Path("empty").mkdir()
    for file in ("two/a.gguf", "two/b.gguf"):
        gguf(Path(file))
    Path("text.gguf").write_text("hello")
    gguf(Path("bare.gguf"), tensors=0)
    gguf(Path("old.gguf"), version=1)
    with pytest.raises(ConfigError, match=reason):
        open_local(name)


def test_the_template_is_the_files_own_or_that_of_the_catalog() -> None:
    own, bare = find(str(gguf(Path("a.gguf")))), find(str(gguf(Path("b.gguf"), template="")))
    assert "--chat-template-file" not in command_of(own, ONE_THREAD, Path("/bin/server"), Path("a.gguf"))
    command = command_of(bare, ONE_THREAD, Path("/bin/server"), Path("b.gguf"))
    assert Path(command[command.index("--chat-template-file") + 1]).name == "fenced-json.jinja"


def test_a_file_that_changed_is_another_model() -> None:
    path = gguf(Path("a/model.gguf"))
    before = find("./a")
    assert state_folder(before, FAKE) == state_folder(find("./a"), FAKE)
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert state_folder(before, FAKE) != state_folder(find("./a"), FAKE)


def test_notes_say_how_the_model_is_spoken_to() -> None:
    gguf(Path("a/model.gguf"))
    assert find("./a").grammar
    notes = Path("a/workroom.json")
    notes.write_text(json.dumps({"protocol": "json", "prompt": "standard", "sampling": {"temperature": 0.7}}))
    entry = find("./a")
    assert (entry.hints.protocol, entry.hints.prompt, entry.hints.tools) == ("json", "standard", None)
    assert entry.hints.sampling == Sampling(temperature=0.7)
    assert not entry.grammar
    for wrong, reason in [
        ('{"protocol": "xml"}', r"workroom\.json: protocol: .*correct it"),
        ('{"sampling": {"heat": 1}}', r"sampling\.heat: "),
        ("{", r"cannot be read"),
        ("[]", r"workroom\.json: it: "),
    ]:
        notes.write_text(wrong)
        with pytest.raises(ConfigError, match=reason):
            find("./a")


def test_its_server_is_listed_under_its_path_and_stopped() -> None:
    gguf(Path("a/model.gguf"))
    entry = find("./a")
    start(entry, ONE_THREAD, FAKE, lambda _: None, lambda: False).release()
    try:
        assert [name for name, _ in running()] == ["local/./a"]
    finally:
        assert stop() == 1
