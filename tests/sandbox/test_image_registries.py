"""How the host's package configuration is read, and that nothing secret of it gets on."""

import subprocess
from pathlib import Path

import pytest

from workroom.sandbox.image import registries
from workroom.sandbox.image.configure import configure, configure_apt, npmrc, pip_conf
from workroom.sandbox.image.registries import AptSource, apt_sources, clean_pip_settings, npm_settings

PACKAGE = Path(registries.__file__).parent
DEB822 = """# a comment
Types: deb deb-src
URIs: http://user:secret@mirror.invalid/debian
# inside
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://vendor.invalid/apt
Suites: trixie
Components: stable

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: trixie
Components: main
"""
ONE_LINE = """deb [arch=amd64 signed-by=/usr/share/keyrings/b.gpg] https://sec.invalid/debian trixie-security main # y
deb-src https://mirror.invalid/debian trixie main
#deb https://commented.invalid/debian trixie main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "apt/sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "apt/sources.list").write_text(ONE_LINE)
    (tmp_path / "apt/sources.list.d/x.list").write_text(ONE_LINE)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="trixie"\n')
    return tmp_path


def test_both_forms_of_apt_sources_are_read_and_mapped_to_the_wanted_release(etc: Path) -> None:
    found = apt_sources("bookworm", etc)
    assert found == [
        AptSource("https://sec.invalid/debian", "bookworm-security", "main", "/usr/share/keyrings/b.gpg"),
        *(
            AptSource("http://user:secret@mirror.invalid/debian", suite, "main contrib", "/usr/share/keyrings/some.gpg")
            for suite in ("bookworm", "bookworm-updates")
        ),
    ]


def test_another_distribution_gives_no_sources(etc: Path) -> None:
    (etc / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    assert apt_sources("bookworm", etc) == []


def test_the_image_gets_sources_without_credentials(etc: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/apt/sources.list.d").mkdir(parents=True)
    (root / "etc/apt/sources.list.d/old.list").write_text("deb http://secret@old.invalid x main")
    configure_apt(root, apt_sources("bookworm", etc))
    texts = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert "http://mirror.invalid/debian" in texts["etc/apt/sources.list.d/host.sources"]
    assert "secret" not in "".join(texts.values())
    assert "Proxy" not in "".join(texts.values())
    assert "etc/apt/sources.list.d/old.list" not in texts


def test_apts_own_parser_takes_the_stanzas() -> None:
    stanza = AptSource("http://mirror.invalid/debian", "bookworm", "main", "/usr/share/keyrings/some.gpg").stanza()
    assert stanza.splitlines() == [
        "Types: deb",
        "URIs: http://mirror.invalid/debian",
        "Suites: bookworm",
        "Components: main",
        "Signed-By: /usr/share/keyrings/some.gpg",
    ]


def test_pip_settings_lose_credentials_and_local_paths() -> None:
    listed = (
        "global.cert='/etc/ssl/x.crt'\n"
        "global.index-url='https://user:secret@index.invalid/simple'\n"
        "global.extra-index-url='file:///opt/x\\nhttps://token@more.invalid/simple'\n"
        "global.find-links='/opt/wheels'\n"
        ":env:.trusted-host='index.invalid'\n"
    )
    assert clean_pip_settings(listed) == {
        "index-url": ["https://index.invalid/simple"],
        "extra-index-url": ["https://more.invalid/simple"],
        "trusted-host": ["index.invalid"],
    }


def test_pips_environment_wins() -> None:
    listed = ":env:.index-url='https://env.invalid/simple'\nglobal.index-url='https://file.invalid/simple'\n"
    assert clean_pip_settings(listed) == {"index-url": ["https://env.invalid/simple"]}


def test_pip_reads_what_is_written(tmp_path: Path) -> None:
    command = registries.find_pip()
    if command is None:
        pytest.skip("no pip on this host")
    settings = {"extra-index-url": ["https://a.invalid/simple", "https://b.invalid/simple"]}
    (tmp_path / "pip.conf").write_text(pip_conf(settings))
    env = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path), "PATH": "/usr/bin"}
    listed = subprocess.run([*command, "config", "list"], env=env, capture_output=True, text=True, check=True).stdout
    assert clean_pip_settings(listed) == settings
    assert "break-system-packages='true'" in listed


def test_npm_settings_lose_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    (tmp_path / "npmrc").write_text("registry=https://user:secret@npm.invalid/\n//npm.invalid/:_authToken=secret\n")
    (tmp_path / ".npmrc").write_text("@mine:registry = https://mine.invalid/?token=secret\n; comment\nemail=me@x\n")
    settings = npm_settings(tmp_path, tmp_path)
    assert settings == {"registry": "https://npm.invalid/", "@mine:registry": "https://mine.invalid/"}
    assert "secret" not in npmrc(settings)


def test_no_secret_of_the_host_enters_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    home.mkdir()
    root.mkdir()
    (home / ".npmrc").write_text("//npm.invalid/:_authToken=hunter2\nregistry=https://u:hunter2@npm.invalid/\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PIP_INDEX_URL", "https://u:hunter2@index.invalid/simple")
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    configure(root)
    texts = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    assert any(b"https://index.invalid/simple" in text for text in texts)
    assert any(b"http://npm.invalid:443/" in text for text in texts)
    assert not any(b"hunter2" in text for text in texts)


def test_the_bundle_of_the_host_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "own.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    (tmp_path / "root").mkdir()
    configure(tmp_path / "root")
    assert (tmp_path / "root" / registries.CA_BUNDLE[1:]).read_text() == bundle.read_text()


def test_no_registry_is_named_in_what_is_committed() -> None:
    for path in PACKAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert "http://" not in path.read_text(), path
            assert "https://" not in path.read_text(), path


def test_every_locked_package_has_a_version_and_hashes() -> None:
    lock = (PACKAGE / "recipes/default/requirements.txt").read_text()
    entries = lock.replace("\\\n", "").splitlines()
    assert len(entries) > 20
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    wanted = {name.split("<")[0] for name in (PACKAGE / "recipes/default/requirements.in").read_text().split()}
    assert wanted <= {entry.split("==")[0] for entry in entries}
