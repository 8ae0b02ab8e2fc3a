"""What is wrong with flags and configuration is one sentence, exit code 2, before anything is opened."""

from pathlib import Path

import pytest

from tests.cli.command import script, workroom
from tests.serve.support import Server
from workroom.errors import ConfigError
from workroom.serve.settings import Settings, read_settings

A = "[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("WORKROOM_API_KEY", raising=False)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[serve]\nporto = 1", "did you mean 'port'"),
        ("[serve]\nport = 70000", "at most 65535"),
        ("[serve]\nport = 'x'", "whole number"),
        ("[serve]\nidle = 0", "above 0"),
        ("[serve]\ncors = 'https://a.example'", "list of origins"),
        ("[serve]\ncors = ['https://a.example/x']", "without a path"),
        ("[serve]\nmax_body = 'huge'", "size"),
        ("[serve]\nkeys = 'x'", r"\[\[serve.keys\]\]"),
        ("[[serve.keys]]\nkey = 'sk-12345678'", "'name'"),
        ("[[serve.keys]]\nname = 'a'", "one of key, key_env and key_sha256"),
        ("[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'\nkey_env = 'X'", "one of key"),
        ("[[serve.keys]]\nname = 'a'\nkey = 'short'", "at least 8"),
        ("[[serve.keys]]\nname = 'a'\nkey_env = 'NO_SUCH_VARIABLE'", "NO_SUCH_VARIABLE, which is not set"),
        ("[[serve.keys]]\nname = 'a'\nkey_sha256 = 'xyz'", "64 hexadecimal"),
        ("[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'\nnetwork = 'some'", "none, packages, open"),
        ("[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'\nbudget_tokens = -1", "at least 1"),
        ("[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'\nbudget = 1", "did you mean 'budget_"),
        (
            "[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'\n[[serve.keys]]\nname = 'a'\nkey = 'sk-87654321'",
            "same name",
        ),
        (
            "[[serve.keys]]\nname = 'a'\nkey = 'sk-12345678'\n[[serve.keys]]\nname = 'b'\nkey = 'sk-12345678'",
            "same key",
        ),
        ("serve = 1", "table"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "workroom.toml").write_text(text)
    with pytest.raises(ConfigError, match=word) as caught:
        read_settings({})
    assert "12345678" not in str(caught.value)


def test_flags_go_before_files_and_these_before_each_other(tmp_path: Path) -> None:
    (tmp_path / "config/workroom").mkdir(parents=True)
    (tmp_path / "config/workroom/config.toml").write_text("[serve]\nport = 1\nidle = 1\nqueue = 1\nkeep = 1")
    (tmp_path / "workroom.toml").write_text("[serve]\nport = 2\nidle = 2\nqueue = 2")
    (tmp_path / "given.toml").write_text("[serve]\nport = 3\nidle = 3")
    found = read_settings({"port": "4"}, tmp_path / "given.toml")
    assert (found.port, found.idle, found.queue, found.keep) == (4, 3.0, 2, 1.0)


@pytest.mark.parametrize("name", ["007", "1e3", "2024_01", "nan"])
def test_a_state_directory_may_look_like_a_number(name: str) -> None:
    assert read_settings({"state": name, "idle": "1e3"}) == Settings(state=name, idle=1000.0)


def test_a_run_takes_no_notice_of_the_servers_table(tmp_path: Path) -> None:
    (tmp_path / "workroom.toml").write_text("network = 'none'\n[serve]\nport = 2")
    name = script(tmp_path / "s.jsonl", "the answer")
    done = workroom(tmp_path, "run", "x", "-m", name, "--mode", "llm", "-o", "out", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the answer\n", "")


def test_without_a_key_only_this_machine_can_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.org", "127.0.0.1.example.org"):
        with pytest.raises(ConfigError, match="without a key"):
            read_settings({"host": host})
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert read_settings({"host": host}).host == host
    monkeypatch.setenv("WORKROOM_API_KEY", " sk-12345678 ,, sk-87654321")
    found = read_settings({"host": "0.0.0.0"})
    assert len(found.keys) == 2
    assert "sk-" not in repr(found)


def test_the_state_directory_is_the_users_by_default(tmp_path: Path) -> None:
    assert Settings().folder == tmp_path / "state/workroom/serve"
    assert Settings(state="here").folder == tmp_path / "here"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--port", "x"], "--port must be a whole number"),
        (["--host", "0.0.0.0"], "without a key"),
        (["--host", "203.0.113.9"], "without a key"),
        (["-m", "nonsense"], "no model name"),
        (["--network", "some"], "--network must be"),
        (["--state", "file"], "cannot be used"),
        (["--max-cost", "1"], "needs to know what"),
        (["--config", "missing.toml"], "does not exist"),
    ],
)
def test_wrong_flags_are_one_sentence_and_exit_code_2(tmp_path: Path, flags: list[str], word: str) -> None:
    (tmp_path / "file").write_text("x")
    name = script(tmp_path / "s.jsonl", "x")
    model = [] if "-m" in flags else ["-m", name]
    state = [] if "--state" in flags else ["--state", "state"]
    done = workroom(tmp_path, "serve", "--port", "0", *model, *state, *flags)
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stderr.count("workroom: ") == 1
    assert "Traceback" not in done.stderr


def test_what_is_missing_is_told_at_the_start(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", "x")
    done = workroom(
        tmp_path, "serve", "-m", name, "--port", "0", "--state", "state", env={"WORKROOM_IMAGE": "there-is-none"}
    )
    assert (done.returncode, "there-is-none" in done.stderr) == (5, True)
    flags = ("-m", "openai/x", "--base-url", "http://127.0.0.1:9/v1")
    done = workroom(tmp_path, "serve", *flags, "--port", "0", "--state", "state")
    assert (done.returncode, "no model server answers" in done.stderr) == (4, True)


def test_two_servers_cannot_have_one_state_or_one_port(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert "no keys are set" in server.log
        name = script(tmp_path / "s.jsonl", "x")
        same = workroom(tmp_path, "serve", "-m", name, "--port", "0", "--state", server.state)
        assert (same.returncode, "another server uses" in same.stderr) == (2, True)
        port = server.root.rpartition(":")[2]
        taken = workroom(tmp_path, "serve", "-m", name, "--port", port, "--state", tmp_path / "other")
        assert (taken.returncode, "cannot listen on 127.0.0.1" in taken.stderr) == (2, True)
