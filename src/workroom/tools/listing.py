"""What a directory holds, two levels deep, as the editor shows it."""

import os
from typing import TYPE_CHECKING

from workroom.errors import ToolError, TransferError
from workroom.tools.truncate import Bounds, readable

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox

_ENTRIES = 200  # shown at most


async def list_directory(path: str, sandbox: "Sandbox", bounds: Bounds) -> str:
    """The visible entries, directories with a slash at their end; hidden ones are counted only."""
    top = path.rstrip("/") + "/"  # with the slash a link to a directory is followed, too
    entries, whole = await (_found(top, sandbox) if sandbox.executes else _told(top, sandbox))
    hidden = sum(entry == b"h" for entry in entries)
    visible = sorted(_shown(top, entry) for entry in entries if entry != b"h")
    shown: list[str] = []
    room = bounds.size
    for line in visible[: min(_ENTRIES, bounds.lines)]:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        shown.append(line)
    parts = [f"Here is what {path} holds, up to two levels deep, without hidden entries:", *(shown or ["(nothing)"])]
    if len(shown) < len(visible):
        parts.append(
            f"[… cut: {len(visible) - len(shown)} of {len(visible)} entries not shown; view a directory below"
            f"{', or use ls or find in execute_bash' if sandbox.executes else ''} …]"
        )
    if hidden:
        count = "1 hidden entry is" if hidden == 1 else f"{hidden} hidden entries are"
        way = f"; see them with ls -A {path} in execute_bash" if sandbox.executes else ""
        parts.append(f"[{count} left out{way}]")
    if not whole:
        parts.append("[there are more; this list is not complete]")
    return "\n".join(parts)


def _shown(top: str, entry: bytes) -> str:
    kind, name = entry[:1], entry[1:]
    shown = readable(name).replace("\n", "\\x0a").replace("\r", "\\x0d")
    return f"{top}{shown}{'/' if kind == b'd' else ''}"


async def _found(top: str, sandbox: "Sandbox") -> tuple[list[bytes], bool]:
    """Kind (a letter; `d`: directory) and name of each visible entry, `h` for a hidden one; whether that is all."""
    argv = ["find", top, "-mindepth", "1", "-maxdepth", "2"]
    argv += ["-name", ".*", "-prune", "-printf", "h\\0", "-o", "-printf", "%y%P\\0"]
    result = await sandbox.exec(argv)
    if result.exit_code != 0 and not result.stdout_bytes:
        raise ToolError(f"the directory {top} cannot be listed: {readable(result.stderr_bytes).strip()}")
    entries = [entry for entry in result.stdout_bytes.split(b"\0") if entry]
    return entries, not (result.truncated or result.timed_out)


async def _told(top: str, sandbox: "Sandbox") -> tuple[list[bytes], bool]:
    """The same from the sandbox's own program: what the model has written can be no part of that."""
    try:
        listed = await sandbox.list_files(top, levels=2)
    except TransferError as error:
        raise ToolError(f"the directory {top} cannot be listed: {error}") from error
    entries = []
    for kind, _, name in listed:
        folder, _, last = name.rpartition("/")
        if not folder.startswith("."):
            entries.append(b"h" if last.startswith(".") else kind.encode() + os.fsencode(name))
    return entries, True
