"""`str_replace_editor`: views, creates and edits text files, byte for byte."""

import errno
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from workroom.errors import ToolError, TransferError
from workroom.sandbox.base import ANSWER_FILE
from workroom.tools.arguments import check, integer, missing, right, shorten, text
from workroom.tools.base import Observation
from workroom.tools.edits import insert_lines, replace_once, split_lines
from workroom.tools.encoding import Encoding, decode
from workroom.tools.listing import list_directory
from workroom.tools.pictures import view_picture
from workroom.tools.specs import Wording, spec
from workroom.tools.truncate import Bounds, cut_middle, readable

if TYPE_CHECKING:
    from workroom.models.base import ToolSpec
    from workroom.sandbox import Sandbox

NAME = "str_replace_editor"
BOUNDS = Bounds(size=24_576, lines=500)  # of what one call shows
COMMANDS = ("view", "create", "str_replace", "insert")
FILE_LIMIT = 10 << 20  # bytes of a file that the editor opens
_PARAMETERS = ("command", "path", "file_text", "old_str", "new_str", "insert_line", "view_range")
_CONTEXT = 4  # lines shown around an edit


class EditorTool:
    """Four commands on one path. It holds no state of its own. `vision`: pictures are shown, not described.

    In a sandbox that is told to execute nothing it names no program, and needs none there.
    """

    def __init__(self, *, wording: Wording = "standard", bounds: Bounds = BOUNDS, vision: bool = False) -> None:
        self._bounds = bounds
        self._vision = vision
        self.spec: ToolSpec = spec(NAME, wording, pictures=" a picture," if vision else "")

    async def __call__(self, arguments: Mapping[str, Any], sandbox: "Sandbox") -> Observation:
        """Arguments as of the specification; numbers may be given as strings, `view_range` as JSON text."""
        check(arguments, NAME, known=_PARAMETERS, required=("command", "path"))
        command = text(arguments, "command", NAME)
        if command not in COMMANDS:
            raise ToolError(
                f"unknown command {shorten(repr(command))}; the commands are: {', '.join(COMMANDS)}. {right(NAME)}"
            )
        path = _path(text(arguments, "path", NAME) or "")
        do = {"view": self._view, "create": self._create, "str_replace": self._replace, "insert": self._insert}[command]
        try:
            return Observation(await do(path, arguments, sandbox), facts={"command": command, "path": path})
        except ToolError:
            part = arguments.get("view_range")
            if command == "view" and (seen := await view_picture(path, sandbox, vision=self._vision, part=part)):
                return seen
            raise
        except OSError as error:
            _explain(error, path, command, sandbox)
        except TransferError as error:
            raise ToolError(f"{error}. Nothing was written") from error

    async def _view(self, path: str, arguments: Mapping[str, Any], sandbox: "Sandbox") -> str:
        asked = _view_range(arguments.get("view_range"))
        try:
            content, encoding = await _read(path, sandbox)
        except IsADirectoryError:
            if asked is not None:
                raise ToolError("`view_range` is not allowed for a directory; leave it out") from None
            return await list_directory(path, sandbox, self._bounds)
        lines = split_lines(content)
        if not lines:
            return f"The file {path} is empty."
        first, last, note = _clamp(asked, len(lines))
        shown, end = self._numbered(lines, first, last)
        if end < last:
            note += (
                f"\n[… cut after line {end} of {len(lines)}; go on with view_range [{end + 1}, {min(2 * end, last)}]"
                f"{_or_run(sandbox, ', or search with grep -n')} …]"
            )
        if "<svg" in content[:1000] and sandbox.executes:
            note += "\n[This is the text of an SVG drawing. To see it, make a PNG of it and view that.]"
        return f"Here is the result of `cat -n` on {path}{_properties(content, encoding)}:\n{shown}{note}"

    async def _create(self, path: str, arguments: Mapping[str, Any], sandbox: "Sandbox") -> str:
        content = text(arguments, "file_text", NAME)
        if content is None:
            missing(NAME, "file_text", " for create")
        data = content.encode("utf-8")
        try:
            await sandbox.write(path, data, exclusive=True)
        except FileExistsError:
            raise ToolError(
                f"{path} already exists and was left as it is; edit it with str_replace or insert"
                f"{_or_run(sandbox, ', or remove it first with rm')}"
            ) from None
        return f"The file {path} was created ({len(data):,} bytes)."

    async def _replace(self, path: str, arguments: Mapping[str, Any], sandbox: "Sandbox") -> str:
        old, new = text(arguments, "old_str", NAME), text(arguments, "new_str", NAME) or ""
        if old is None:
            missing(NAME, "old_str", " for str_replace")
        content, encoding = await _read(path, sandbox, command="str_replace")
        edited, line, count = replace_once(content, old, new, path)
        await sandbox.write(path, encoding.encode(edited))
        return self._edited(path, edited, line, count)

    async def _insert(self, path: str, arguments: Mapping[str, Any], sandbox: "Sandbox") -> str:
        after, new = integer(arguments, "insert_line", NAME), text(arguments, "new_str", NAME)
        if after is None:
            missing(NAME, "insert_line", " for insert")
        if new is None:
            missing(NAME, "new_str", " for insert")
        content, encoding = await _read(path, sandbox, command="insert")
        edited, count = insert_lines(content, after, new)
        await sandbox.write(path, encoding.encode(edited))
        return self._edited(path, edited, after + 1, count)

    def _edited(self, path: str, content: str, line: int, count: int) -> str:
        """What an edit reports: a numbered snippet of the `count` lines from `line` on, and some around them."""
        lines = split_lines(content)
        first, last = max(1, line - _CONTEXT), min(len(lines), line + count - 1 + _CONTEXT)
        if not lines:
            return f"The file {path} has been edited. It is empty now."
        snippet = "\n".join(_line(number, lines[number - 1]) for number in range(first, last + 1))
        cut = cut_middle(snippet, self._bounds, lambda gone, size: f"[… {gone} lines, {size} bytes not shown …]")
        return f"The file {path} has been edited. Here is the result of `cat -n` on a snippet of it:\n{cut.text}"

    def _numbered(self, lines: list[str], first: int, last: int) -> tuple[str, int]:
        """Numbered lines from `first` on as far as the bounds allow, and the last one that is shown."""
        shown: list[str] = []
        room = self._bounds.size
        for number in range(first, min(last, first + self._bounds.lines - 1) + 1):
            line = _line(number, lines[number - 1])
            size = len(line.encode("utf-8", "replace")) + 1
            if size > room:
                if shown:
                    break
                bounds = Bounds(self._bounds.size, 3)
                line = cut_middle(line, bounds, lambda _, gone: f"[… {gone} bytes of this line not shown …]").text
            shown.append(line)
            room -= size
        return "\n".join(shown), first + len(shown) - 1


async def _read(path: str, sandbox: "Sandbox", command: str = "view") -> tuple[str, Encoding]:
    try:
        data = await sandbox.read(path, limit=FILE_LIMIT)
    except IsADirectoryError:
        if command == "view":
            raise
        raise ToolError(f"{path} is a directory; only view works on directories, not {command}") from None
    except TransferError as error:
        raise ToolError(
            f"{error}. The editor opens regular text files up to {FILE_LIMIT >> 20} MB"
            f"{_or_run(sandbox, '; use head, sed -n, grep or python')}"
        ) from error
    try:
        return decode(data, path)
    except ToolError as error:
        raise ToolError(f"{error}{_or_run(sandbox, '; look at it', ' with file, xxd or python')}") from error


def _or_run(sandbox: "Sandbox", way: str, programs: str = "") -> str:
    """What else can be done with a program, where one can be run."""
    return f"{way} in execute_bash{programs}" if sandbox.executes else ""


def _path(path: str) -> str:
    if "\0" in path:
        raise ToolError(f"invalid path {shorten(repr(path))}: it holds a NUL character")
    if not path.startswith("/"):
        raise ToolError(
            f"the path {shorten(repr(path))} must be absolute, that is start with /; in the working directory it would "
            f"be {shorten('/testbed/' + path)}"
        )
    return path


def _view_range(value: Any) -> tuple[int, int] | None:
    """First and last line; also from JSON text such as "[1, 20]"."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list) or len(value) != 2:
        raise ToolError("`view_range` must be a list of two integers, such as [11, 40], or [11, -1] up to the end")
    pair = {"first": value[0], "last": value[1]}
    try:
        first, last = integer(pair, "first", NAME), integer(pair, "last", NAME)
    except ToolError:
        first = last = None
    if first is None or last is None:
        raise ToolError("`view_range` must be a list of two integers, such as [11, 40], or [11, -1] up to the end")
    return first, last


def _clamp(asked: tuple[int, int] | None, count: int) -> tuple[int, int, str]:
    """First and last line to show, and a note where the asked end lies beyond the file's."""
    if asked is None:
        return 1, count, ""
    first, last = asked
    if not 1 <= first <= count:
        raise ToolError(
            f"`view_range` {[first, last]}: its first line must be within [1, {count}], the lines of the file"
        )
    if last == -1:
        return first, count, ""
    if last < first:
        raise ToolError(f"`view_range` {[first, last]}: its end must be at or after its first line, or -1")
    if last > count:
        return first, count, f"\n[NOTE: the file has {count} lines; line {last} is beyond its end]"
    return first, last, ""


def _line(number: int, line: str) -> str:
    return f"{number:6}\t{readable(line.removesuffix(chr(13)).encode('utf-8', 'surrogateescape'))}"


def _properties(content: str, encoding: Encoding) -> str:
    """What an editor has to know of a file that is not plain UTF-8 with LF line ends."""
    found = [encoding.codec] if encoding.codec != "utf-8" else []
    if encoding.mark:
        found.append("byte order mark")
    if encoding.damaged:
        found.append("utf-8 with invalid bytes, shown as \ufffd")
    if "\r\n" in content:
        found.append("CRLF line ends")
    return f" ({', '.join(found)})" if found else ""


def _explain(error: OSError, path: str, command: str, sandbox: "Sandbox") -> NoReturn:
    """Raises the ToolError for what the file system said."""
    if isinstance(error, FileNotFoundError):
        hint = (
            "make it with create"
            if command in ("str_replace", "insert")
            else "look at what is there with view on its directory"
        )
        raise ToolError(f"{shorten(path, 300)} does not exist; {hint}") from error
    if isinstance(error, IsADirectoryError):
        raise ToolError(f"{shorten(path, 300)} is a directory; only view works on directories") from error
    if isinstance(error, PermissionError):
        check_rights = _or_run(sandbox, "; check its rights with ls -l")
        raise ToolError(f"{shorten(path, 300)}: permission denied{check_rights}") from error
    if error.errno == errno.EROFS and sandbox.sealed:
        raise ToolError(
            f"{shorten(path, 300)}: read-only file system; of all files here only {ANSWER_FILE} can be written"
        ) from error
    raise ToolError(f"{shorten(path, 300)}: {error.strerror or error}. Nothing was written; check the path") from error
