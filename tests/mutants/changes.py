"""Single changes of a module's code, and which of its statements a process ran."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {}
for _one, _other in [
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.BitAnd, ast.BitOr),
    (ast.LShift, ast.RShift),
    (ast.And, ast.Or),
]:
    _SWAPPED |= {_one: _other, _other: _one}
_SWAPPED |= {ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult}
_NAMES = [
    ("min", "max"),
    ("any", "all"),
    ("minimum", "maximum"),
    ("floor", "ceil"),
    ("argmin", "argmax"),
    ("sum", "mean"),
    ("zeros_like", "ones_like"),
    ("zeros", "ones"),
    ("startswith", "endswith"),
]
_RENAMED = dict(_NAMES) | {other: one for one, other in _NAMES}
# what the tests cannot tell from its argument, since it is there for the reader, the type checker, or for speed
_PLAIN = {"str", "list", "tuple", "cast", "jit", "cache", "checkpoint", "asarray", "Path", "isinstance", "len", "print"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change: ``text`` in place of the characters from ``start`` to ``end``, in the statement of ``line``."""

    line: int
    where: int
    start: int
    end: int
    kind: str
    text: str


def changes(source: str) -> list[Change]:
    """Every single change of a module; ``where`` is the line of the statement that :func:`instrumented` counts."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, where in _visited(tree):
        negated = _negated(node)
        for kind, new, old in [*((kind, new, node) for kind, new in _altered(node, where)), *negated]:
            assert old.end_lineno is not None and old.end_col_offset is not None
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[old.end_lineno - 1] + old.end_col_offset
            text = ast.unparse(new)
            if isinstance(new, ast.expr):
                text = f"({text})"
            found.append(Change(line=old.lineno, where=where, start=start, end=end, kind=kind, text=text))
    return found


def applied(source: str, change: Change) -> str:
    """The source after one change."""
    data = source.encode()
    return (data[: change.start] + change.text.encode() + data[change.end :]).decode()


def instrumented(source: str, path: str) -> str:
    """The source with a call before every statement of a function, which notes that the statement was reached."""
    tree = ast.parse(source)
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        _count(node, path)
    first = 1 if ast.get_docstring(tree, clean=False) is not None else 0
    while first < len(tree.body) and getattr(tree.body[first], "module", None) == "__future__":
        first += 1
    tree.body.insert(first, ast.parse("from mutant_hits import hit as _hit").body[0])
    return ast.unparse(ast.fix_missing_locations(tree))


def _count(function: ast.AST, path: str) -> None:
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(function, name, None)
        if not isinstance(inner, list):
            continue
        for child in inner:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                _count(child, path)
        if name in ("body", "orelse", "finalbody"):
            statements: list[ast.stmt] = []
            for statement in inner:
                if not _is_text(statement):
                    statements += ast.parse(f"_hit({path!r}, {statement.lineno})").body
                statements.append(statement)
            setattr(function, name, statements)


def _visited(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, int]]:
    """Nodes that may be changed, with the line of their statement, 0 outside of functions."""

    def walk(node: ast.AST, where: int, inside: bool) -> Iterator[tuple[ast.expr | ast.stmt, int]]:
        if isinstance(node, ast.stmt) and inside:
            where = node.lineno
        if isinstance(node, ast.expr | ast.stmt):
            yield node, where
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Global):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [child for child in node.body if not _is_text(child)]
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if default is not None:
                    yield from walk(default, body[0].lineno if body else where, False)
            for child in body:
                yield from walk(child, where, True)
        elif isinstance(node, ast.ClassDef):
            for child in node.body:
                yield from walk(child, 0, False)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield from walk(node.value, where, inside)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__"):
            return
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, where, inside)

    for child in tree.body:
        yield from walk(child, 0, False)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _negated(node: ast.AST) -> list[tuple[str, ast.AST, ast.expr]]:
    """The other way round, for a condition that is a name or a call."""
    if isinstance(node, ast.If | ast.While | ast.IfExp) and isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
        return [("condition negated", ast.UnaryOp(ast.Not(), node.test), node.test)]
    return []


def _altered(node: ast.AST, where: int) -> Iterator[tuple[str, ast.AST]]:
    """What a node may become, with a word for the kind of change."""
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                new = copy.deepcopy(node)
                new.ops[at] = _SWAPPED[type(operator)]()
                yield "comparison", new
        case ast.BinOp(op=ast.BitOr()) if not where:  # a type
            return
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _SWAPPED and not _holds_text(node):
            new = copy.deepcopy(node)
            new.op = _SWAPPED[type(node.op)]()
            yield "arithmetic", new
        case ast.BoolOp():
            new = copy.deepcopy(node)
            new.op = _SWAPPED[type(node.op)]()
            yield "boolean", new
            for at in range(len(node.values)):
                left = [value for other, value in enumerate(node.values) if other != at]
                yield "operand dropped", left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "sign or not removed", node.operand
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield "off by one", ast.Constant(node.value + 1)
            if node.value > 0:
                yield "off by one", ast.Constant(node.value - 1)
        case ast.Constant(value=float()):
            yield "constant", ast.Constant(node.value * 1.5 if node.value else 0.5)
        case ast.IfExp():
            if isinstance(node.test, ast.Compare | ast.BoolOp):
                yield "other branch", ast.IfExp(node.test, node.orelse, node.body)
        case ast.Break():
            yield "break", ast.Continue()
        case ast.Continue():
            yield "continue", ast.Break()
        case ast.Raise():
            yield "dropped", ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield "dropped", ast.Pass()
        case ast.Call():
            yield from _altered_call(node)


def _altered_call(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    plain = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
    if name in _RENAMED:
        new = copy.deepcopy(node)
        if isinstance(new.func, ast.Attribute):
            new.func.attr = _RENAMED[name]
        else:
            new.func = ast.Name(_RENAMED[name])
        yield "another function", new
    if len(plain) == len(node.args) > 1 and name not in _PLAIN | {"getattr", "hasattr", "setattr"}:
        new = copy.deepcopy(node)
        new.args[:2] = new.args[1::-1]
        if ast.dump(new) != ast.dump(node):
            yield "arguments swapped", new
    for at, keyword in enumerate(node.keywords):
        if keyword.arg is not None and name not in _PLAIN:
            new = copy.deepcopy(node)
            del new.keywords[at]
            yield "argument dropped", new
    if plain == node.args and plain and name not in _PLAIN and not isinstance(plain[0], ast.GeneratorExp):
        if name and name[0].islower() and not _holds_text(node):
            yield "call dropped", plain[0]


def _holds_text(node: ast.AST) -> bool:
    """Whether a message is made there."""
    return any(
        isinstance(child, ast.JoinedStr) or (isinstance(child, ast.Constant) and isinstance(child.value, str))
        for child in ast.iter_child_nodes(node)
    )
