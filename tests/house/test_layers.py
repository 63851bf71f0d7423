"""A file imports only from floors below its own and from its own package, and nothing in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

FLOORS = [
    "errors",
    "checks _base",
    "arrays codes",
    "schemes engines",
    "jobs",
    "simulation",
    "tuning",
    "_api",
    "sklearn joblib torch cli",
    "testing",
]
"""From the ground up. Packages of one floor do not know each other; `__init__` and `__main__` stand on the roof."""

ROOF = {"__init__", "__main__"}


def files(package="kofn"):
    root = SOURCE / package
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.py"))


def package_of(name):
    return name.split("/")[0]


def floor(name):
    package = package_of(name)
    if package in ROOF:
        return len(FLOORS)
    found = [number for number, line in enumerate(FLOORS) if package in line.split()]
    assert found, f"{name}.py is on no floor: add {package} to the list in tests/house/test_layers.py"
    return found[0]


def modules_of(base, names, known):
    """The files that ``from base import names`` reads."""
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


def imports(name, tree, known):
    """Every file of kofn that a file imports, wherever it does so, for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "kofn":
                    yield from modules_of("/".join(alias.name.split(".")[1:-1]), [alias.name.split(".")[-1]], known)
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level:
                folder = name.split("/")[: -node.level]
                yield from modules_of("/".join(folder + module), [alias.name for alias in node.names], known)
            elif module[0] == "kofn":
                yield from modules_of("/".join(module[1:]), [alias.name for alias in node.names], known)


def imports_of(name):
    return set(imports(name, ast.parse((SOURCE / "kofn" / f"{name}.py").read_text(encoding="utf-8")), files()))


@pytest.mark.parametrize("name", files())
def test_a_file_imports_only_from_floors_below_and_its_own_package(name):
    for other in imports_of(name):
        below = floor(other) < floor(name) or package_of(other) == package_of(name)
        assert below, f"{name}.py (floor {floor(name) + 1}) imports {other}.py (floor {floor(other) + 1})"


def test_no_imports_go_in_a_circle():
    graph = {name: imports_of(name) - {name} for name in files()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_the_floors_name_only_what_exists():
    assert {entry for line in FLOORS for entry in line.split()} | ROOF == {package_of(name) for name in files()}


@pytest.mark.parametrize(
    ("name", "line", "wanted"),
    [
        ("jobs/_job", "from ..codes._linear import LinearCode", {"codes/_linear"}),
        ("schemes/products/_mds", "from ...checks import refusal", {"checks"}),
        ("schemes/products/_mds", "from ._operands import CALL", {"schemes/products/_operands"}),
        ("schemes/products/_mds", "from . import _operands", {"schemes/products/_operands"}),
        ("sklearn", "from . import checks", {"checks"}),
        ("sklearn", "from . import anything", {"__init__"}),
        ("sklearn", "from kofn.schemes import mds", {"schemes/__init__"}),
        ("sklearn", "import kofn.schemes.products", {"schemes/products/__init__"}),
        ("sklearn", "def f():\n    from .jobs._loop import Run", {"jobs/_loop"}),
        ("sklearn", "if TYPE_CHECKING:\n    from .jobs._loop import Run", {"jobs/_loop"}),
        ("sklearn", "import numpy as np\nfrom numpy.typing import NDArray", set()),
    ],
)
def test_the_reader_of_imports_sees(name, line, wanted):
    assert set(imports(name, ast.parse(line), files())) == wanted


def drawn():
    """The floors of the drawing in docs/architecture.md, from the roof down, as sets of names."""
    page = (SOURCE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for line in page.split("## The floors")[1].split("```")[1].strip().splitlines()[1:]:
        yield set(line.split("│")[1].replace("`", "").split())


def test_the_drawing_of_the_floors_is_what_is_enforced():
    assert list(drawn())[::-1] == [set(line.split()) for line in FLOORS]


def test_an_unknown_file_is_told_where_to_go():
    with pytest.raises(AssertionError, match="on no floor"):
        floor("brand_new")
