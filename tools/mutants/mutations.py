"""Where a source file can be changed a little, and how: the mutants that are drawn."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "is": "is not", "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip
OPERATORS = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "**": "*", "|": "&", "&": "|"}
WORDS = {"and": "or", "or": "and"}

SYMBOLS: dict[type, str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitOr: "|", ast.BitAnd: "&", ast.And: "and", ast.Or: "or",
}  # fmt: skip


class Place(NamedTuple):
    """A part of a file, and what could stand there instead."""

    file: str
    kind: str
    start: int
    end: int
    instead: tuple[str, ...]


class Mutant(NamedTuple):
    """A file with one part replaced; ``lines`` run it, ``around`` is the function it is in."""

    name: str
    file: str
    line: int
    old: str
    new: str
    source: bytes
    lines: range
    around: range


def draw(sources: dict[str, bytes], count: int, seed: int) -> list[Mutant]:
    """So many mutants, each place as likely as any other."""
    places = [place for file in sorted(sources) for place in places_of(file, sources[file])]
    rng = random.Random(seed)
    chosen = rng.sample(places, count)
    return [_made(f"drawn-{number:03}", place, rng, sources) for number, place in enumerate(chosen)]


def _made(name: str, place: Place, rng: random.Random, sources: dict[str, bytes]) -> Mutant:
    source = sources[place.file]
    mutated = source[: place.start] + rng.choice(place.instead).encode() + source[place.end :]
    before, after = source.decode().splitlines(), mutated.decode().splitlines()
    same = next(i for i, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    most = min(len(before), len(after)) - same
    tail = next((i for i in range(most) if before[-1 - i] != after[-1 - i]), most)
    old, new = ("\n".join(part[same : len(part) - tail]).strip() for part in (before, after))
    return mutant_of(name, place.file, source.decode(), old, new, same + 1)


def mutant_of(name: str, file: str, source: str, old: str, new: str, line: int) -> Mutant:
    """A mutant with ``new`` instead of the ``old`` that is nearest to a line; ``ValueError`` where it is not there."""
    starts = [found.start() for found in re.finditer(re.escape(old), source)]
    if not starts:
        raise ValueError(f"{name}: {old!r} is not in {file} any more.")
    start = min(starts, key=lambda start: abs(source.count("\n", 0, start) + 1 - line))
    mutated = source[:start] + new + source[start + len(old) :]
    ast.parse(mutated)
    first = source.count("\n", 0, start) + 1
    lines = range(first, first + old.count("\n") + 1)
    of_line = [node for node in ast.walk(ast.parse(source)) if getattr(node, "lineno", first + 1) <= first]
    within = [node for node in of_line if first <= (node.end_lineno or 0)]
    statements = [node.lineno for node in within if isinstance(node, ast.stmt)]
    functions = [range(one.body[0].lineno, one.end_lineno + 1) for one in within if isinstance(one, ast.FunctionDef)]
    whole = range(max(statements, default=first), lines.stop)
    return Mutant(name, file, first, old, new, mutated.encode(), whole, min(functions, key=len, default=range(0)))


def places_of(file: str, source: bytes) -> Iterator[Place]:
    """All places of a file that can be changed."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    for node, function in _code(tree, None):
        for kind, start, end, instead in _changes(node, function, source, starts):
            yield Place(file, kind, start, end, instead)


def _code(node: ast.AST, function: ast.FunctionDef | None):
    """Everything that runs: neither annotations, nor docstrings, decorators and lists of exports."""
    yield node, function
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr) or _is_exports(node):
        return
    inside = node if isinstance(node, ast.FunctionDef) else function
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or (name == "value" and _is_alias(node)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_text(child):
                yield from _code(child, inside)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_exports(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"


def _is_alias(node: ast.AST) -> bool:
    """Whether a name is given to a type."""
    if isinstance(node, ast.AnnAssign):
        return "TypeAlias" in ast.unparse(node.annotation)
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)


def _changes(node, function, source, starts):
    def at(line, column):
        return starts[line - 1] + column

    def span(one):
        return at(one.lineno, one.col_offset), at(one.end_lineno, one.end_col_offset)

    def between(left, right, op, table):
        """The operator that stands between two parts."""
        start, end = span(left)[1], span(right)[0]
        symbol = SYMBOLS.get(type(op), "")
        pattern = r"\s+".join(map(re.escape, symbol.split())).encode()
        if symbol in table and (found := re.search(rb"(?:(?<=\W)|^)" + pattern, source[start:end])):
            yield type(op).__name__, start + found.start(), start + found.end(), (table[symbol],)

    if isinstance(node, ast.Compare):
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            yield from between(left, right, op, COMPARISONS)
    elif isinstance(node, ast.BinOp):
        yield from between(node.left, node.right, node.op, OPERATORS)
    elif isinstance(node, ast.BoolOp):
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from between(left, right, node.op, WORDS)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", span(node)[0], span(node)[0] + len("not"), ("",)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", *span(node), (str(not node.value),)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", *span(node), (repr(node.value + 1), f"({node.value - 1!r})")
    elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        text = source[slice(*span(node.value))].decode()
        is_bool = function is not None and function.returns is not None and ast.unparse(function.returns) == "bool"
        yield "return", *span(node.value), (f"not ({text})" if is_bool else "None",)
    elif isinstance(node, ast.Break | ast.Continue):
        yield "loop", *span(node), ("continue" if isinstance(node, ast.Break) else "break",)
    elif _is_droppable(node):
        yield "statement", *span(node), ("pass",)
    if isinstance(node, ast.AugAssign):
        yield from between(node.target, node.value, node.op, OPERATORS)


def _is_droppable(node: ast.AST) -> bool:
    """Whether a statement does something that others do not need to run at all."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    if isinstance(node, ast.If):
        return not node.orelse
    return isinstance(node, ast.Raise | ast.AugAssign | ast.Delete) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
