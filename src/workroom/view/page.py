"""One self-contained HTML file: style, script, an index, and chunks of data that the script opens when it needs them.

The browser paints the shell and the index before the chunks, which follow, have come. The policy in the head allows
this style and this script by their hashes, and no request to anywhere.
"""

import base64
import gzip
import hashlib
import html
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from workroom.harmless import one_line
from workroom.trajectory.files import to_json

Kind = Literal["run", "bench"]
_RUN = "base source text difference bash timeline search files notes events paper list head run".split()
SCRIPTS = {"run": (*_RUN,), "bench": (*_RUN, "summary", "attempts", "attempt", "bench")}
STYLES = {"run": ("base", "run"), "bench": ("base", "run", "bench")}
_PLAIN_LIMIT = 512  # bytes that are not worth packing
_SLICE = 3 << 20  # bytes encoded at a time; base64 needs a multiple of 3


def assemble(
    *,
    title: str,
    kind: Kind,
    index: dict[str, Any],
    chunks: Iterable[tuple[str, bytes] | bytes] = (),
    live: str | None = None,
    styles: Iterable[str] = (),
) -> Iterator[bytes]:
    """The page in pieces.

    `chunks`: names, of letters, digits and `-._/`, with their bytes, found by the script as `chunk-NAME`; or what
    `element` has made of them. `live`: the
    path below which a server answers the page's requests; without it the page makes none. `styles`: more sources of
    styles to allow, as of the HTML files that are shown (see `artefacts.style_sources`).
    """
    style = _joined(STYLES[kind], "css")
    script = _joined(SCRIPTS[kind], "js")
    policy = content_policy(kind, served=live is not None, styles=styles)
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(one_line(title))}</title>\n<style>{style}</style>\n</head>\n"
        f'<body data-kind="{kind}"{_attribute("data-live", live)}>\n{_shell(title)}'
        f'<script type="application/json" id="index">{_inert_json(index)}</script>\n'
        f"<script>{script}</script>\n"
    ).encode()
    for chunk in chunks:
        if isinstance(chunk, bytes):
            yield chunk
        else:
            yield from element(*chunk)
    yield b'<script type="application/json" id="end">{}</script>\n</body>\n</html>\n'


def content_policy(kind: Kind, *, served: bool, styles: Iterable[str] = ()) -> str:
    """What the page may do, as the value of a Content-Security-Policy."""
    own = "'self' " if served else ""
    style = _source(_joined(STYLES[kind], "css"))
    rules = {
        "default-src": "'none'",
        "script-src": _source(_joined(SCRIPTS[kind], "js")),
        "style-src": " ".join((style, *styles)),
        "img-src": f"{own}data: blob:",
        "media-src": f"{own}data: blob:",
        "frame-src": "'self'" if served else "'none'",
        "connect-src": "'self'" if served else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _shell(title: str) -> str:
    """What is there before the script runs, and all there is where none may run."""
    return (
        f'<main id="page"><h1>{html.escape(one_line(title))}</h1><p id="opening">Opening … If this stays, scripts are '
        "switched off: the page needs them to show what is in it. It asks nothing of any server.</p></main>\n"
    )


def element(name: str, data: bytes) -> Iterator[bytes]:
    """A chunk as base64 in an element that is not run, packed where that is smaller."""
    packed = gzip.compress(data, 6, mtime=0) if len(data) > _PLAIN_LIMIT else data
    encoding, body = ("gzip", packed) if len(packed) < len(data) else ("plain", data)
    head = f'<script type="text/plain" id="chunk-{html.escape(name)}" data-encoding="{encoding}">'
    yield head.encode()
    for start in range(0, len(body), _SLICE):
        yield base64.b64encode(body[start : start + _SLICE])
    yield b"</script>\n"


def _inert_json(value: Any) -> str:
    """JSON that is ASCII and in which no markup can begin or end."""
    text = to_json(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f' {name}="{html.escape(value)}"'


@cache
def _joined(names: tuple[str, ...], ending: str) -> str:
    folder = files("workroom.view") / "assets"
    text = "\n".join((folder / f"{name}.{ending}").read_text(encoding="utf-8") for name in names)
    return f'"use strict";(() => {{\n{text}\nopenPage();\n}})();' if ending == "js" else text


def _source(text: str) -> str:
    """The text as a source of a policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
