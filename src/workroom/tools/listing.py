"""What a directory holds, two levels deep, as the editor shows it."""

from typing import TYPE_CHECKING

from workroom.errors import ToolError
from workroom.tools.truncate import Bounds, readable

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox

_ENTRIES = 200  # shown at most


async def list_directory(path: str, sandbox: "Sandbox", bounds: Bounds) -> str:
    """The visible entries, directories with a slash at their end; hidden ones are counted only."""
    top = path.rstrip("/") + "/"  # with the slash a link to a directory is followed, too
    argv = ["find", top, "-mindepth", "1", "-maxdepth", "2"]
    argv += ["-name", ".*", "-prune", "-printf", "h\\0", "-o", "-printf", "%y%P\\0"]
    result = await sandbox.exec(argv)
    if result.exit_code != 0 and not result.stdout_bytes:
        raise ToolError(f"the directory {path} cannot be listed: {readable(result.stderr_bytes).strip()}")
    entries = [entry for entry in result.stdout_bytes.split(b"\0") if entry]
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
            f"[… cut: {len(visible) - len(shown)} of {len(visible)} entries not shown; view a directory below, or use "
            "ls or find in execute_bash …]"
        )
    if hidden:
        count = "1 hidden entry is" if hidden == 1 else f"{hidden} hidden entries are"
        parts.append(f"[{count} left out; see them with ls -A {path} in execute_bash]")
    if result.truncated or result.timed_out:
        parts.append("[there are more; this list is not complete]")
    return "\n".join(parts)


def _shown(top: str, entry: bytes) -> str:
    kind, name = entry[:1], entry[1:]
    shown = readable(name).replace("\n", "\\x0a").replace("\r", "\\x0d")
    return f"{top}{shown}{'/' if kind == b'd' else ''}"
