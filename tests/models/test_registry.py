"""Model names."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import FakeServer, anthropic, openai
from tests.models.support import ask
from workroom.errors import ConfigError
from workroom.models import default_model, known_models, open_model
from workroom.models.anthropic import AnthropicModel
from workroom.models.text import AutoProtocolModel, TextProtocolModel

VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "WORKROOM_MODEL")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", ["", " ", "gpt-5", "openai/", "openai/ ", "/", "google/gemini", "OpenAI/gpt-5"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ConfigError, match="openai/NAME, anthropic/NAME, local/NAME or scripted/PATH"):
        open_model(name)


def test_a_missing_key() -> None:
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY.*--base-url.*local/"):
        open_model("openai/gpt-5")
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        open_model("anthropic/claude", base_url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://host/v1", "http://", "http://[", "http://host:port/", "//user:secret@host/v1"]
)
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="is no http:// or https:// address") as caught:
        open_model("openai/x", base_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-ü"])
def test_a_key_that_no_header_can_hold(key: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds characters") as caught:
        open_model("openai/x", api_key=key)
    assert key not in str(caught.value)


def test_a_protocol_that_is_none() -> None:
    with pytest.raises(ConfigError, match="auto, native, json, bash"):
        open_model("openai/x", protocol="xml")  # type: ignore[arg-type]


def test_openai_names_keep_their_slashes_and_need_no_key_with_a_url() -> None:
    with FakeServer([openai.assistant("ok")]) as server:
        model = open_model("openai/org/model:free", base_url=server.url)
        ask(model)
    assert model.name == "openai/org/model:free"
    assert server.requests[0].json["model"] == "org/model:free"


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer([openai.assistant("ok"), openai.assistant("ok")]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/ ")
        monkeypatch.setenv("OPENAI_API_KEY", "from-environment\n")
        ask(open_model("openai/x"))
        ask(open_model("openai/x", api_key="given"))
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer from-environment",
        "Bearer given",
    ]
    assert server.requests[0].path == "/v1/chat/completions"


def test_anthropic_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer([anthropic.message([anthropic.text("ok")])]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.root)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
        model = open_model("anthropic/claude-x")
        ask(model)
    assert isinstance(model, AnthropicModel)
    assert server.requests[0].json["model"] == "claude-x"


def test_protocols(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1"
    assert isinstance(open_model("openai/x", base_url=url), AutoProtocolModel)
    for kind in ("json", "bash"):
        model = open_model("openai/x", base_url=url, protocol=kind)
        assert isinstance(model, TextProtocolModel)
        assert model.hints.protocol == kind
    assert open_model("openai/x", base_url=url, protocol="native").hints.protocol == "native"
    script = tmp_path / "s.jsonl"
    script.write_text('{"content": "a"}\n')
    assert open_model(f"scripted/{script}").name == f"scripted/{script}"
    assert open_model(f"scripted/{script}", protocol="json").hints.protocol == "json"


def test_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_model() == "local/qwen2.5-coder-1.5b"
    script = tmp_path / "s.jsonl"
    script.write_text('{"content": "a"}\n')
    monkeypatch.setenv("WORKROOM_MODEL", f"scripted/{script}")
    assert default_model() == f"scripted/{script}"
    assert open_model().name == f"scripted/{script}"


def test_known_models(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {row.name: row for row in known_models()}
    assert {"openai/NAME", "anthropic/NAME", "local/qwen2.5-coder-1.5b", "scripted/PATH"} <= rows.keys()
    assert not rows["openai/NAME"].ready
    assert "OPENAI_API_KEY" in rows["openai/NAME"].remedy
    assert not rows["local/qwen2.5-coder-1.5b"].ready
    assert rows["scripted/PATH"].ready
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert {row.name: row.remedy for row in known_models() if row.ready}["openai/NAME"] == ""


def test_opening_a_model_loads_no_sdk() -> None:
    code = (
        "import sys; from workroom.models import open_model, known_models; known_models();"
        "open_model('openai/x', base_url='http://127.0.0.1:1/v1'); open_model('anthropic/x', api_key='k');"
        "print([name for name in ('openai', 'anthropic', 'httpx2', 'pydantic', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
