"""The credentials with which this host reaches its package registries. They stay on the host: the proxy adds them.

A sandbox is told the URL of such a registry without them. Where the registry speaks HTTPS, that URL is plain HTTP with
the port of HTTPS, `http://index.example:443/simple/`, so that the proxy sees the request, and speaks HTTPS outward.
"""

import base64
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from workroom.sandbox.egress.policy import normal_host

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Credential:
    """`authorization` is the header for requests to this origin below `path`; `secrets` must be seen nowhere inside."""

    scheme: str
    host: str
    port: int
    path: str
    authorization: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)

    def covers(self, target: str) -> bool:
        """Whether a path lies below this one by every reading of it that a server may have."""
        path = target.partition("?")[0]
        previous = ""
        while path != previous:
            segments = re.split(r"[/\\]", path)
            if not path.startswith(self.path) or any(part.partition(";")[0] in (".", "..") for part in segments):
                return False
            if any(ord(char) < 32 or char == "\x7f" for char in path):
                return False
            previous, path = path, unquote(path, "latin-1")
        return True


def credentials(
    urls: list[tuple[str, str]], *, home: Path | None = None, etc: Path = Path("/etc")
) -> tuple[Credential, ...]:
    """The credentials for registry URLs, given as (client, URL), from the URLs and the files of pip, apt and npm."""
    home = home or Path.home()
    found = []
    for client, url in urls:
        if client == "npm":
            header = _npm_header(url, home, etc)
        else:
            netrc = _pip_netrc(home) if client == "pip" else _apt_netrc(etc)
            header = _url_header(url) or _netrc_header(url, netrc)
        parts = urlsplit(url)
        if header and parts.hostname and parts.scheme in PORTS:
            port = parts.port or PORTS[parts.scheme]
            path = _directory(parts.path)
            found.append(Credential(parts.scheme, normal_host(parts.hostname), port, path, header, _secrets(header)))
    return tuple(dict.fromkeys(found))


def inside_url(url: str, known: tuple[Credential, ...]) -> str:
    """The URL of a registry as a sandbox is told it: no user, and no query, which may hold a token."""
    parts = urlsplit(url)._replace(query="", fragment="")
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.hostname:
        port = parts.port or 443
        origin = ("https", normal_host(parts.hostname), port)
        if any((entry.scheme, entry.host, entry.port) == origin for entry in known):
            name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return urlunsplit(parts._replace(scheme="http", netloc=f"{name}:{port}"))
    return urlunsplit(parts._replace(netloc=host))


def _directory(path: str) -> str:
    """Below what the files of an index lie: beside its `simple`, so one level up."""
    return re.sub(r"/(\+?simple)?/*$", "", path) + "/"


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _secrets(header: str) -> tuple[bytes, ...]:
    """What of a header must not be reflected: the token, and the password in it."""
    kind, _, token = header.partition(" ")
    secrets = [token.encode()]
    if kind == "Basic":
        secrets.append(base64.b64decode(token).partition(b":")[2])
    return tuple(secret for secret in secrets if len(secret) >= 8)


def _url_header(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    return _basic(unquote(parts.username), unquote(parts.password or ""))


def _netrc_header(url: str, entries: list[dict[str, str]]) -> str:
    """By the first entry for its host, as pip and apt do; apt's may name a port and a path too."""
    parts = urlsplit(url)
    for entry in entries:
        machine = urlsplit(entry["machine"] if "://" in entry["machine"] else f"//{entry['machine']}")
        if (
            machine.hostname == parts.hostname
            and machine.port in (None, parts.port)
            and machine.scheme in ("", parts.scheme)
            and parts.path.startswith(machine.path)
        ):
            return _basic(entry.get("login", ""), entry.get("password", ""))
    return ""


def _pip_netrc(home: Path) -> list[dict[str, str]]:
    named = os.environ.get("NETRC")
    return _netrc([Path(named)] if named else [home / ".netrc", home / "_netrc"])


def _apt_netrc(etc: Path) -> list[dict[str, str]]:
    return _netrc([etc / "apt/auth.conf", *sorted((etc / "apt/auth.conf.d").glob("*.conf"))])


def _netrc(files: list[Path]) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = []
    for file in files:
        words = iter(_words(file))
        for word in words:
            if word == "machine":
                entries.append({"machine": next(words, "")})
            elif word in ("login", "password", "account") and entries:
                entries[-1][word] = next(words, "")
            elif word == "default":
                break
    return entries


def _words(file: Path) -> list[str]:
    try:
        return shlex.split(_text(file), comments=True)
    except ValueError:
        return []


def _npm_header(url: str, home: Path, etc: Path) -> str:
    """By npm's rule: the settings of the longest `//host/path/` that the URL begins with, then user info in it."""
    settings = dict(_npm_settings(home, etc))
    parts = urlsplit(url)
    place = "//" + parts.netloc.rpartition("@")[2] + parts.path.rstrip("/") + "/"
    while place.count("/") > 2:
        if token := settings.get(f"{place}:_authToken"):
            return f"Bearer {token}"
        if token := settings.get(f"{place}:_auth"):
            return f"Basic {token}"
        if (user := settings.get(f"{place}:username")) and (password := settings.get(f"{place}:_password")):
            return _basic(user, base64.b64decode(password).decode())
        place = place[:-1].rpartition("/")[0] + "/"
    return _url_header(url)


def _npm_settings(home: Path, etc: Path) -> Iterator[tuple[str, str]]:
    given = {key.lower(): value for key, value in os.environ.items() if key.lower().startswith("npm_config_")}
    user = given.get("npm_config_userconfig") or home / ".npmrc"
    for file in (etc / "npmrc", Path("/usr/local/etc/npmrc"), Path(user)):
        for line in _text(file).splitlines():
            key, equals, value = line.partition("=")
            if equals and not key.lstrip().startswith(("#", ";")):
                value = value.strip().strip("\"'")
                yield key.strip(), re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], match[0]), value)
    for key, value in os.environ.items():
        if key.lower().startswith("npm_config_//"):
            yield key[len("npm_config_") :], value


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
