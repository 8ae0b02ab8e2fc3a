"""Which package registries this host is set up to use, read from the settings of pip, apt and npm.

Where nothing is set, each client's own default counts, asked of the client itself.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from workroom.sandbox.egress.credentials import PORTS, Credential, credentials, inside_url
from workroom.sandbox.egress.policy import normal_host
from workroom.sandbox.image.registries import npm_registries


@dataclass(frozen=True, slots=True)
class Registries:
    """`endpoints`: (host, port) pairs that may be reached. `sources`: where each was found, for people."""

    endpoints: frozenset[tuple[str, int]] = frozenset()
    sources: tuple[tuple[str, str], ...] = ()
    credentials: tuple[Credential, ...] = field(default=(), repr=False)

    def credentials_of(self, host: str, port: int) -> tuple[Credential, ...]:
        return tuple(entry for entry in self.credentials if (entry.host, entry.port) == (host, port))


@lru_cache(maxsize=1)
def registries() -> Registries:
    """Reads the settings once a process; may take a second, for npm is asked by running it."""
    found = registry_urls()
    endpoints: set[tuple[str, int]] = set()
    sources = []
    for client, url in found:
        parts = urlsplit(url)
        if parts.scheme in PORTS and parts.hostname:
            host, port = normal_host(parts.hostname), parts.port or PORTS[parts.scheme]
            endpoints.add((host, port))
            sources.append((client, f"{host}:{port}"))
    return Registries(frozenset(endpoints), tuple(dict.fromkeys(sources)), credentials(found))


def registry_urls() -> list[tuple[str, str]]:
    """(client, URL) for all of them; the URLs may hold credentials."""
    found = [("pip", url) for url in pip_urls()]
    found += [("apt", url) for url in apt_urls()]
    return found + [("npm", url) for url in npm_urls()]


def pip_settings() -> dict[str, str]:
    """pip's `[global]` and `[install]` settings: later files win, the environment wins over all.

    Read from the files, because every start of a sandbox needs them, and asking pip takes half a second.
    """
    home = Path.home()
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", config_home / "pip/pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files = [Path(named)]
    values: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                values |= dict(parser.items(section))
    for key in ("index-url", "extra-index-url", "trusted-host"):
        if value := os.environ.get("PIP_" + key.upper().replace("-", "_")):
            values[key] = value
    return values


def pip_urls() -> list[str]:
    """Index URLs; of the default index also the host that its files are on."""
    settings = pip_settings()
    urls = settings.get("extra-index-url", "").split()
    if "index-url" in settings:
        return [settings["index-url"], *urls]
    ask = "from pip._internal.models.index import PyPI as p; print(p.url, 'https://' + p.file_storage_domain)"
    for python in (sys.executable, shutil.which("python3")):
        if python and (answer := _ask([python, "-c", ask])):
            return [*answer.split(), *urls]
    return urls


def apt_urls() -> list[str]:
    """The URIs of one-line and deb822 sources."""
    lines = []
    for file in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        if file.suffix in (".list", ".sources"):
            try:
                lines += file.read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                continue
    urls = []
    for line in lines:
        if re.match(r"\s*(deb|deb-src)\s|\s*URIs:", line):
            urls += re.findall(r"https?://\S+", line)
    return urls


def npm_urls() -> list[str]:
    """The registries as npm itself says them, and as they are written: npm keeps to itself those with a password."""
    npm = shutil.which("npm")
    answer = _ask([npm, "config", "list", "--json"]) if npm else ""
    try:
        settings = json.loads(answer or "{}")
    except ValueError:
        settings = {}
    told = [str(value) for key, value in settings.items() if key == "registry" or key.endswith(":registry")]
    return list(dict.fromkeys([*told, *npm_registries().values()]))


def client_environment() -> dict[str, str]:
    """Environment inside that points pip and npm at the host's own registries, without any password."""
    environment = {}
    settings = pip_settings()
    trusted = settings.get("trusted-host", "").split()
    for key in ("index-url", "extra-index-url"):
        urls = [url for url in settings.get(key, "").split() if url.startswith(("http:", "https:"))]
        inside = [inside_url(url, credentials([("pip", url)])) for url in urls]
        trusted += [urlsplit(new).netloc for old, new in zip(urls, inside, strict=True) if old[:5] != new[:5]]
        if inside:
            environment["PIP_" + key.upper().replace("-", "_")] = " ".join(inside)
    if trusted:
        environment["PIP_TRUSTED_HOST"] = " ".join(dict.fromkeys(trusted))
    if npm := npm_registries().get("registry"):
        environment["npm_config_registry"] = inside_url(npm, credentials([("npm", npm)]))
    return environment


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd="/")
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
