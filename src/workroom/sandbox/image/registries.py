"""How this host reaches its package registries: read from its own configuration, never written down here.

What goes into an image is cleaned: no user names, passwords or tokens, no proxies, no local paths.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  # inside the image: a copy of the host's bundle

# What tells the usual programs of it; for the environment of sandboxes that reach registries.
CA_ENVIRONMENT = dict.fromkeys(
    ("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
    CA_BUNDLE,
)

_HOST_BUNDLES = (CA_BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_APT_BUILD_OPTION = re.compile(
    r"Acquire::(Check-Date|Check-Valid-Until|(http|https)::(Proxy|CaInfo|CAInfo|Verify-Peer|Verify-Host|SslCert|SslKey))"
)
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


def without_credentials(text: str) -> str:
    """The text with `user:password@` taken out of every URL in it."""
    return _USERINFO.sub("", text)


@dataclass(frozen=True, slots=True)
class AptSource:
    """One archive of the host. `suite` has the codename replaced by the wanted one; `uri` may hold credentials."""

    uri: str
    suite: str
    components: str
    signed_by: str = ""

    def stanza(self) -> str:
        """As deb822 text."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suite}", f"Components: {self.components}"]
        return "\n".join(lines + [f"Signed-By: {self.signed_by}"] * bool(self.signed_by)) + "\n"


def apt_sources(suite: str, etc: Path = Path("/etc")) -> list[AptSource]:
    """The Debian archives that the host's apt uses, for `suite`. Empty where the host is no Debian or names none."""
    release = etc / "os-release"
    facts = dict(line.split("=", 1) for line in _lines(release) if "=" in line)
    if facts.get("ID", "").strip('"') != "debian":
        return []
    codename = facts.get("VERSION_CODENAME", suite).strip('"')
    found: list[AptSource] = []
    for path in [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            found += [source for stanza in _stanzas(path) for source in _from_stanza(stanza)]
        elif path.suffix == ".list":
            found += [source for line in _lines(path) if (source := _from_line(line))]
    wanted = {codename + end: suite + end for end in ("", "-updates", "-security", "/updates")}
    return [
        AptSource(source.uri, wanted[source.suite], source.components, source.signed_by)
        for source in dict.fromkeys(found)
        if source.suite in wanted and "main" in source.components.split()
    ]


def apt_options() -> dict[str, str]:
    """The host's apt options that decide whether its archives can be reached. Proxies may hold credentials."""
    if (program := shutil.which("apt-config")) is None:
        return {}
    dump = subprocess.run([program, "dump"], capture_output=True, text=True, check=False).stdout
    pairs = re.findall(r'^(\S+) "(.*)";$', dump, re.MULTILINE)
    return {key: value for key, value in pairs if value and _APT_BUILD_OPTION.fullmatch(key)}


def find_pip() -> list[str] | None:
    """The command of a pip on this host, None where there is none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    return [found] if found else None


def pip_settings() -> dict[str, list[str]]:
    """The host's package indexes by pip's own names (`index-url`, `extra-index-url`, `trusted-host`), cleaned."""
    command = find_pip()
    listed = ""
    if command is not None:
        listed = subprocess.run([*command, "config", "list"], capture_output=True, text=True, check=False).stdout
    return clean_pip_settings(listed)


def clean_pip_settings(listed: str) -> dict[str, list[str]]:
    """The same from the text that `pip config list` prints."""
    pairs = dict(re.findall(r"^(\S+?)=['\"](.*)['\"]$", listed, re.MULTILINE))
    settings: dict[str, list[str]] = {}
    for key in ("index-url", "extra-index-url", "trusted-host"):
        value = next((pairs[k] for k in (f":env:.{key}", f"install.{key}", f"global.{key}") if k in pairs), "")
        words = value.replace("\\n", " ").split()
        if key != "trusted-host":
            words = [without_credentials(word) for word in words if urlsplit(word).scheme in ("http", "https")]
        if words:
            settings[key] = words
    return settings


def npm_settings(home: Path | None = None, etc: Path = Path("/etc")) -> dict[str, str]:
    """The host's npm registries (`registry`, `@scope:registry`), cleaned."""
    return {key: _without_query(url) for key, url in npm_registries(home, etc).items()}


def npm_registries(home: Path | None = None, etc: Path = Path("/etc")) -> dict[str, str]:
    """The same as they are written: they may hold credentials."""
    settings: dict[str, str] = {}
    for line in [*_lines(etc / "npmrc"), *_lines((home or Path.home()) / ".npmrc")]:
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "registry" or (key.startswith("@") and key.endswith(":registry")):
            settings[key] = value
    for key, value in os.environ.items():
        if key.lower() == "npm_config_registry":
            settings["registry"] = value
    return {key: value for key, value in settings.items() if urlsplit(value).scheme in ("http", "https")}


def ca_bundle() -> Path | None:
    """The host's certificate bundle as its own configuration names it, None where there is none."""
    named = os.environ.get("SSL_CERT_FILE", "")
    for name in (named, *_HOST_BUNDLES):
        if name and (path := Path(name)).is_file():
            return path
    return None


def _without_query(url: str) -> str:
    return urlunsplit(urlsplit(without_credentials(url))._replace(query="", fragment=""))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", ";"))]


def _stanzas(path: Path) -> list[dict[str, str]]:
    """The paragraphs of a deb822 file; continuation lines are joined to their field by a line feed."""
    stanzas: list[dict[str, str]] = [{}]
    field = ""
    for line in path.read_text("utf-8", "replace").splitlines():
        if not line.strip():
            stanzas.append({})
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            stanzas[-1][field] = f"{stanzas[-1].get(field, '')}\n{line}"
        else:
            name, _, value = line.partition(":")
            field = name.strip().lower()
            stanzas[-1][field] = value.strip()
    return [stanza for stanza in stanzas if stanza]


def _from_stanza(stanza: dict[str, str]) -> list[AptSource]:
    if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() == "no":
        return []
    components = " ".join(stanza.get("components", "").split())
    return [
        AptSource(uri, suite, components, stanza.get("signed-by", ""))
        for uri in stanza.get("uris", "").split()
        for suite in stanza.get("suites", "").split()
    ]


def _from_line(line: str) -> AptSource | None:
    if (match := _ONE_LINE.fullmatch(line)) is None:
        return None
    options = dict(pair.split("=", 1) for pair in (match["options"] or "").split() if "=" in pair)
    components = match["components"].split("#")[0]
    return AptSource(match["uri"], match["suite"], " ".join(components.split()), options.get("signed-by", ""))
