"""A file imports only from layers above it."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "kofn"

LAYERS = [
    "errors checks closing envelope extras travel",
    "machine compiled algebra pickles snapshots sources dask_source passes file_matrix blocks pieces sparse scaling",
    "code copies prior",
    "decoding picking combining peeling sparse_decoding reach modular learning",
    "scheme encoding stopping collector",
    "schemes/*",
    "latency turns engines/* simulation sum_times rateless_times theory/* testing engine_testing"
    " rota message placement report timeline answer clock runtime virtual",
    "*",
]
"""From the top; names of one layer may import each other. ``*`` is everything else: what users see."""

FACES = {
    "__init__", "__main__", "budget", "spool", "dask_output",
    "workers", "job", "products", "operators", "coded_operator", "sums", "coded_sum", "sklearn", "catalogue/*", "files",
    "maps", "coded_map", "vectors", "fitting/*",
    "cli/*", "datasets/*", "demo/*", "designing/*", "figures/*", "learned/*", "torch/*", "training/*",
}  # fmt: skip
"""What the last line stands for; a new file must be put here or into a layer."""


def files():
    return sorted(path.relative_to(SOURCE).with_suffix("").as_posix() for path in SOURCE.rglob("*.py"))


def key(name):
    """The name of a file in the list: a folder's files are one."""
    return name.split("/")[0] + "/*" if "/" in name else name


def level(name):
    for number, line in enumerate(LAYERS[:-1]):
        if key(name) in line.split():
            return number
    assert key(name) in FACES, f"{name}.py is in no layer: add it to the list in tests/test_layers.py"
    return len(LAYERS) - 1


def modules_of(base, names):
    """The files that ``from base import names`` reads, as names in the list."""
    known = files()
    for name in names:
        inner = f"{base}/{name}" if base else name
        if inner in known:
            yield inner
        elif f"{inner}/__init__" in known:
            yield f"{inner}/__init__"
        elif base in known:
            yield base
        else:
            yield f"{base}/__init__" if base else "__init__"


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(name, tree):
    """Every file of kofn that a file imports, wherever it does so, but for type checkers."""
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        pending += node.orelse if is_type_checking(node) else list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "kofn":
                    yield from modules_of("/".join(alias.name.split(".")[1:-1]), [alias.name.split(".")[-1]])
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level:
                folder = name.split("/")[: -node.level]
                yield from modules_of("/".join(folder + module), [alias.name for alias in node.names])
            elif module[0] == "kofn":
                yield from modules_of("/".join(module[1:]), [alias.name for alias in node.names])


@pytest.mark.parametrize("name", files())
def test_a_file_imports_only_from_layers_above(name):
    mine = level(name)
    tree = ast.parse((SOURCE / f"{name}.py").read_text(encoding="utf-8"))
    for other in imports(name, tree):
        assert level(other) <= mine, f"{name}.py (layer {mine}) imports {other}.py (layer {level(other)})"


def test_the_lists_name_only_what_exists():
    named = {entry for line in LAYERS[:-1] for entry in line.split()} | FACES
    assert named - {"*"} <= {key(name) for name in files()} | {"figures/*", "theory/*"}


@pytest.mark.parametrize(
    ("name", "line", "wanted"),
    [
        ("scheme", "from .code import LinearCode", {"code"}),
        ("schemes/mds", "from ..checks import refusal", {"checks"}),
        ("schemes/mds", "from .operands import CALL", {"schemes/operands"}),
        ("schemes/mds", "from . import operands", {"schemes/operands"}),
        ("code", "from . import checks", {"checks"}),
        ("code", "from . import anything", {"__init__"}),
        ("code", "from kofn.schemes import mds", {"schemes/mds"}),
        ("code", "from kofn.schemes import PRODUCTS", {"schemes/__init__"}),
        ("code", "import kofn.schemes.mds", {"schemes/mds"}),
        ("code", "def f():\n    from .runtime import Run", {"runtime"}),
        ("code", "if TYPE_CHECKING:\n    from .runtime import Run", set()),
        ("code", "import numpy as np\nfrom numpy.typing import NDArray", set()),
    ],
)
def test_the_reader_of_imports_sees(name, line, wanted):
    assert set(imports(name, ast.parse(line))) == wanted


WIDTH = 44
"""Of the names in the drawing; behind them it says what they are."""


def drawn():
    """The layers of the drawing in docs/architecture.md, as sets of names."""
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    for layer in re.split("^[─═]+$", page.split("## Layers")[1].split("```")[1], flags=re.MULTILINE):
        yield {name.removesuffix("/") for row in layer.splitlines() for name in row[:WIDTH].split()}


def test_the_drawing_of_the_layers_is_what_is_enforced():
    wanted = [{entry.removesuffix("/*") for entry in line.split()} for line in LAYERS[:-1]]
    faces = {entry.removesuffix("/*") for entry in FACES} - {"__init__"}
    assert list(drawn()) == [*wanted, faces]


def test_an_unknown_file_is_told_where_to_go():
    with pytest.raises(AssertionError, match="add it to the list"):
        level("brand_new")
