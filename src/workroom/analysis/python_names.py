"""What names and expressions of Python code stand for, as far as its text tells.

After `import numpy as np`, `np.linalg.solve` is `numpy.linalg.solve`; after `s = requests.Session()`, `s.get` is
`requests.Session.get`; a method of something unknown is `?.mean`. Texts that stand in the code or in the answer's
file, and what is made of them, are `str`; numbers, and lists of them, are `num`.
"""

import ast
import builtins

from workroom.sandbox.base import ANSWER_FILE

COMPREHENSIONS = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)
_COLLECTING = (ast.ListComp, ast.GeneratorExp, ast.SetComp)
_IMPORTS = (ast.Import, ast.ImportFrom)
_LOOPS = (ast.For, ast.AsyncFor)
_WITHS = (ast.With, ast.AsyncWith)
_SINGLE = (ast.AnnAssign, ast.NamedExpr)
BINDING = frozenset((*_IMPORTS, *_LOOPS, *_WITHS, *_SINGLE, *COMPREHENSIONS, ast.Assign))  # nodes that bind names
_LISTS = (ast.List, ast.Tuple, ast.Set)
_AROUND = (ast.Subscript, ast.Await, ast.Starred)
_ANSWER = ANSWER_FILE.rpartition("/")[2]
_BUILTIN = frozenset(dir(builtins))
_LONGEST = 12  # parts of a dotted name, or of what is followed to its beginning
_PASSING_ON = frozenset("list set sorted tuple reversed enumerate str zip".split())  # what they give is what they get
_PASSING_LAST = frozenset("findall split sub".split())  # the same of the module `re`, for the last argument
_LONGEST_NAME = 200  # characters; `x = x.next` makes it longer each time
_MOST_TARGETS = 50


class Names:
    """Learns from statements in the order of the text, and tells what an expression stands for."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._depth = 0  # of comprehensions that are looked into
        self._texts: dict[str, str] = {}  # the text that went into it

    def name(self, node: ast.AST) -> str:
        """The dotted name of an expression without its calls and indices, `?` where it is unknown."""
        parts: list[str] = []
        while len(parts) < _LONGEST:
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call):
                if _opens_answer(node):
                    return "str" if parts != ["count"] else "str.count"
                node = _passed_on(node) or node.func
            elif isinstance(node, _AROUND):
                node = node.value
            elif isinstance(node, _COLLECTING) and self._depth < _LONGEST:
                self._depth += 1
                self.learn(node)
                self._depth -= 1
                node = node.elt
            else:
                break
        if isinstance(node, ast.Name):
            base = self._known.get(node.id, node.id if not parts or node.id in _BUILTIN else "?")
        else:
            base = _literal(node)
        if base == "str" and parts != ["count"]:
            return "str"
        return ".".join((base, *reversed(parts)))

    def text(self, node: ast.AST) -> str | None:
        """The text that goes into an expression, as the file's name in `Path("a.txt").open()`."""
        for _ in range(_LONGEST):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                return node.value
            if isinstance(node, ast.Name):
                return self._texts.get(node.id)
            if isinstance(node, ast.JoinedStr):
                return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            if isinstance(node, ast.Call):
                node = node.args[0] if node.args else node.func
            elif isinstance(node, ast.Attribute | ast.Starred):
                node = node.value
            elif isinstance(node, ast.BinOp):
                node = node.right if isinstance(node.op, ast.Div) else node.left
            else:
                break
        return None

    def learn(self, node: ast.AST) -> None:
        """Takes note of the names that a node binds."""
        if isinstance(node, _IMPORTS):
            self._learn_import(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
        elif isinstance(node, _SINGLE) and node.value is not None:
            self._bind(node.target, node.value)
        elif isinstance(node, _LOOPS):
            self._bind(node.target, node.iter)
        elif isinstance(node, COMPREHENSIONS):
            for part in node.generators:
                self._bind(part.target, part.iter)
        elif isinstance(node, _WITHS):
            for item in node.items:
                if item.optional_vars is not None:
                    self._bind(item.optional_vars, item.context_expr)

    def _learn_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                self._known[alias.asname or alias.name] = f"{node.module or '?'}.{alias.name}"
            elif alias.asname:
                self._known[alias.asname] = alias.name
            else:
                top = alias.name.partition(".")[0]
                self._known[top] = top

    def _bind(self, target: ast.AST, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for index, part in enumerate(target.elts[:_MOST_TARGETS]):
                self._bind(part, values[index] if len(values) == len(target.elts) else value)
        elif isinstance(target, ast.Name):
            name = self.name(value)
            self._known[target.id] = "num" if name == "range" else name[:_LONGEST_NAME]
            if (text := self.text(value)) is not None:
                self._texts[target.id] = text
            else:
                self._texts.pop(target.id, None)


def _literal(node: ast.AST) -> str:
    """`str` for a text, `num` for a number, the same for lists of them; `?` for anything else."""
    for _ in range(_LONGEST):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str | bytes):
                return "str"
            return "num" if isinstance(node.value, int | float | complex) else "?"
        if isinstance(node, ast.JoinedStr):
            return "str"
        if isinstance(node, _LISTS) and node.elts:
            node = node.elts[0]
        elif isinstance(node, ast.BinOp):
            node = node.left
        elif isinstance(node, ast.UnaryOp):
            node = node.operand
        else:
            break
    return "?"


def _opens_answer(node: ast.Call) -> bool:
    """`open("answer.txt")`, `Path("answer.txt")`: what comes out of it is a text of the model's own."""
    first = node.args[0] if node.args else None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("open", "Path") and isinstance(first, ast.Constant) and str(first.value).endswith(_ANSWER)


def _passed_on(node: ast.Call) -> ast.expr | None:
    """The argument that a call gives back in another form: a list of it, its parts."""
    if not node.args:
        return None
    if isinstance(node.func, ast.Name):
        return node.args[0] if node.func.id in _PASSING_ON else None
    if isinstance(node.func, ast.Attribute) and node.func.attr in _PASSING_LAST:
        return node.args[-1] if isinstance(node.func.value, ast.Name) and node.func.value.id == "re" else None
    return None
