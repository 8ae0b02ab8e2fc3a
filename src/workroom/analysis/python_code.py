"""Python source as what it calls and computes; it is never run."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from workroom.analysis.python_names import BINDING, COMPREHENSIONS, Names
from workroom.analysis.python_tokens import calls

LIMIT: Final = 100_000  # characters of one source that are looked at
_NUMBERS = frozenset("int float len sum abs round pow divmod num max min ord".split())
_NUMERIC_MODULES = ("numpy", "math", "cmath", "scipy", "sympy", "fractions", "decimal", "random", "mpmath")
_NO_NUMBERS = ("str", "pathlib", "os", "time", "re", "open")
_COUNTS = frozenset("len sum max min abs round sorted".split())
_CALCULATIONS = (ast.BinOp, ast.AugAssign, ast.Compare)
# Nodes that say where what is in them stands.
_PLACES = frozenset(
    (ast.Subscript, ast.FunctionDef, ast.Lambda, ast.For, ast.While, ast.If, ast.IfExp, *COMPREHENSIONS)
)

Kind = Literal["call", "arithmetic", "check", "command"]


class Sight(NamedTuple):
    """Something that the code does, in `line` (from 1).

    A `call` of `name`, whose first text argument (or that of what it is a method of) is `text`, and whose first
    argument comes from `source`. `arithmetic`: a calculation. `check`: a count or calculation that is compared with
    something. A `command`: `text` is given to a shell.
    """

    kind: Kind
    name: str
    line: int
    text: str | None = None
    source: str = ""
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands: in a loop over numbers, in an index, in the test of an `if`."""

    loop: bool = False
    index: bool = False
    test: bool = False


def read(source: str) -> list[Sight]:
    """What a Python text does. Text that is no Python is read token by token; it never raises."""
    source = source[:LIMIT]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in the code
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [Sight("call", name, line) for name, line in calls(source)]
    return list(_Reader().read(tree))


class _Reader:
    """Walks a tree in the order of the text, with a stack of its own: no depth of nesting is too much."""

    def __init__(self) -> None:
        self._names = Names()

    def read(self, tree: ast.AST) -> Iterator[Sight]:
        stack: list[tuple[ast.AST, _Place]] = [(tree, _Place())]
        while stack:
            node, place = stack.pop()
            kind = type(node)
            if kind in BINDING:
                self._names.learn(node)
            if isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, _CALCULATIONS):
                yield from self._calculation(node, place)
            children = list(_children(node))
            if kind in _PLACES:
                stack += [(child, self._within(node, name, place)) for name, child in reversed(children)]
            else:
                stack += [(child, place) for _, child in reversed(children)]

    def _within(self, node: ast.AST, name: str, place: _Place) -> _Place:
        if isinstance(node, ast.Subscript) and name == "slice":
            return _Place(place.loop, index=True)
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            return _Place()
        if isinstance(node, ast.For) and name == "body" and self._counts(node.iter):
            return _Place(loop=True)
        if isinstance(node, ast.While):
            return _Place(loop=True, test=name == "test")
        if isinstance(node, COMPREHENSIONS):
            return _Place(loop=place.loop or any(self._counts(part.iter) for part in node.generators))
        if isinstance(node, ast.If | ast.IfExp):
            return _Place(place.loop, place.index, test=name == "test")
        return place

    def _counts(self, iterated: ast.expr) -> bool:
        """Whether a loop runs over numbers or combinations."""
        name = self._names.name(iterated)
        return name in ("range", "num") or name.startswith(("itertools.", "numpy.", "sympy."))

    def _call(self, node: ast.Call) -> Iterator[Sight]:
        name = self._names.name(node.func)
        first = node.args[0] if node.args else None
        source = self._names.name(first) if first is not None else ""
        text = self._names.text(first) if first is not None else None
        if name.startswith("pathlib.") or text is None:
            text = self._names.text(node.func) or text
        keyword = next((part.value for part in node.keywords if part.arg == "mode"), None)
        given = keyword if keyword is not None else node.args[1] if len(node.args) > 1 else None
        if name.endswith("Path.open") and node.args:
            given = node.args[0]
        mode = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None
        yield Sight("call", name, node.lineno, text, source, mode)
        if name == "str.count" or (name in ("len", "collections.Counter") and source == "str"):
            yield Sight("check", name, node.lineno)
        if name.startswith(("subprocess.", "os.system", "os.popen")) and first is not None:
            if isinstance(first, ast.List | ast.Tuple):
                words = [self._names.text(part) or _program(part) for part in first.elts]
                text = " ".join(_quoted(word) for word in words)
            if text is not None:
                yield Sight("command", name, node.lineno, text)

    def _calculation(self, node: ast.BinOp | ast.AugAssign | ast.Compare, place: _Place) -> Iterator[Sight]:
        if isinstance(node, ast.Compare):
            if not place.index and self._is_check(node, place):
                yield Sight("check", "comparison", node.lineno)
        elif isinstance(node, ast.AugAssign):
            if self._calculates(node.target, node.op, node.value, place):
                yield Sight("arithmetic", "assignment", node.lineno)
        elif (not place.index or _is_fraction(node)) and self._calculates(node.left, node.op, node.right, place):
            yield Sight("arithmetic", "operator", node.lineno)

    def _calculates(self, left: ast.expr, operator: ast.operator, right: ast.expr, place: _Place) -> bool:
        """Whether an operation is a calculation: none of texts, lists and paths, no mere step by one."""
        sides = (self._names.name(left), self._names.name(right))
        if any(side.partition(".")[0] in _NO_NUMBERS or side.endswith(".now") for side in sides):
            return False
        if isinstance(left, ast.List | ast.ListComp) or isinstance(right, ast.List | ast.ListComp):
            return False
        constants = [part.value for part in (left, right) if isinstance(part, ast.Constant)]
        if any(value in (0, 1, 1024) for value in constants) and isinstance(operator, ast.Add | ast.Sub | ast.Div):
            return False
        if isinstance(operator, ast.BitOr | ast.BitAnd):  # also of types and sets
            return place.loop
        if isinstance(operator, ast.Add):  # also of texts and lists
            return place.loop or self._is_number(left, sides[0]) or self._is_number(right, sides[1])
        return True

    def _is_number(self, node: ast.expr, name: str) -> bool:
        if isinstance(node, ast.BinOp):
            return not isinstance(node.op, ast.Add)
        return name in _NUMBERS or name.partition(".")[0] in _NUMERIC_MODULES

    def _is_check(self, node: ast.Compare, place: _Place) -> bool:
        """Whether a comparison checks a count: more than the test for emptiness, or of what a command gave back."""
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) and side.value in (0, None, "") for side in sides):
            return False
        counted = any(isinstance(side, ast.Call) and self._names.name(side.func) in _COUNTS for side in sides)
        counted = counted or any(self._names.name(side).endswith(".count") for side in sides)
        of_text = any(
            isinstance(side, ast.Call) and side.args and self._names.name(side.args[0]) == "str" for side in sides
        )
        return counted and (of_text or place.loop or not place.test)


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            yield name, value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield name, item


def _is_fraction(node: ast.BinOp) -> bool:
    """Something times 0.95: also in an index it is a calculation, of a quantile."""
    return any(isinstance(side, ast.Constant) and isinstance(side.value, float) for side in (node.left, node.right))


def _program(node: ast.AST) -> str:
    """A word of a command that is no text: only the interpreter itself is known."""
    return "python3" if isinstance(node, ast.Attribute) and node.attr == "executable" else "$x"


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'" if set(word) & set(" \t\n'\"\\|&;<>()`#") else word
