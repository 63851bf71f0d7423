"""Studies, benchmarks, examples and pages reach kofn by public names only, and these exist."""

import ast
import importlib
import re
from importlib.util import find_spec
from inspect import isclass, isroutine
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
FILES = sorted(
    path for folder in ("src/kofn_studies", "benchmarks", "examples") for path in ROOT.glob(f"{folder}/**/*.py")
)

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT / "src").parts)
    for path in (ROOT / "src" / "kofn").rglob("__init__.py")
    if not any(part.startswith("_") for part in path.parent.relative_to(ROOT / "src").parts)
)

NEEDS = {"kofn.torch": "torch", "kofn.sklearn": "sklearn", "kofn.joblib": "joblib"}
"""Modules that cannot be loaded without a package."""


def paths(tree):
    """Every name of kofn that code reaches, as a dotted path: imported, or an attribute of an imported module."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "kofn":
                    modules[alias.asname or "kofn"] = alias.name if alias.asname else "kofn"
                    yield alias.name
        elif (
            isinstance(node, ast.ImportFrom) and node.module and not node.level and node.module.split(".")[0] == "kofn"
        ):
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield f"{modules[node.value.id]}.{node.attr}"


def code_of(page):
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def named(path):
    return path.relative_to(ROOT).as_posix()


def is_public(path):
    return not any(part.startswith("_") and not part.endswith("__") for part in path.split("."))


def found(path):
    """What a dotted path leads to: modules as far as they go, then attributes."""
    parts = path.split(".")
    value = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], start=2):
        if not hasattr(value, part):
            importlib.import_module(".".join(parts[:number]))
        value = getattr(value, part)
    return value


YET = {
    "benchmarks/overheads.py",
    "benchmarks/shaping.py",
}
"""What measures the inside of kofn, which nobody else needs."""


def check(file, tree):
    reached = set(paths(tree))
    if named(file) in YET:
        assert not all(map(is_public, reached)), f"{named(file)} need not stand in the list any more"
        return
    for path in reached:
        assert is_public(path), f"{path} is not for users: name it in the __init__ of its package, or do without"
        if not any(path.startswith(module) and find_spec(package) is None for module, package in NEEDS.items()):
            assert found(path) is not None


@pytest.mark.parametrize("file", FILES, ids=named)
def test_files_outside_reach_public_names_only(file):
    check(file, ast.parse(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=named)
def test_code_of_pages_reaches_public_names_only(page):
    check(page, ast.parse(code_of(page)))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pages_speak_of_public_names_only(page):
    for path in re.findall(r"\bkofn(?:\.\w+)+", page.read_text(encoding="utf-8")):
        assert is_public(path) or named(page) in YET, path


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_lists_is_there_and_says_what_it_is(package):
    if package in NEEDS and find_spec(NEEDS[package]) is None:
        pytest.skip(f"needs {NEEDS[package]}")
    module = importlib.import_module(package)
    assert module.__doc__
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "").startswith(package)]
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        value = getattr(module, name)
        assert not name.startswith("_") and (value.__doc__ or not (isclass(value) or isroutine(value))), (
            f"{package}.{name} has no docstring"
        )


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import kofn\nkofn.codes._linear", ["kofn", "kofn.codes"]),
        ("from kofn.codes import _linear", ["kofn.codes._linear"]),
        ("from kofn.codes._linear import LinearCode as L", ["kofn.codes._linear.LinearCode"]),
        ("def f():\n    import kofn.codes as codes\n    codes._linear", ["kofn.codes", "kofn.codes._linear"]),
        ("from kofn import codes\ncodes.decode", ["kofn.codes", "kofn.codes.decode"]),
        ("import numpy\nfrom .kofn import x", []),
    ],
)
def test_the_reader_of_names_sees(code, wanted):
    assert list(paths(ast.parse(code))) == wanted
