"""What kofn can do without: ImportError where it is missing, with one sentence on what to install."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import kofn
from kofn.errors import PACKAGES, missing_package, require

SOURCE = Path(kofn.__file__).parent


def _without(monkeypatch, package, *modules):
    for name in list(sys.modules):
        if name.split(".")[0] == package or any(f"{name}.".startswith(f"{module}.") for module in modules):
            monkeypatch.delitem(sys.modules, name)
    for module in modules:
        monkeypatch.delitem(vars(kofn), module.split(".")[1], raising=False)  # to ask for it would import it
    monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("kofn.torch", "torch", "torch"),
        ("kofn_studies.training", "torch", "torch"),
        ("kofn_studies.aicc.network", "torch", "torch"),
        ("kofn_studies.aicc.training", "torch", "torch"),
        ("kofn.sklearn", "sklearn", "sklearn"),
    ],
)
def test_a_module_whose_package_is_missing_cannot_be_imported(module, package, extra, monkeypatch):
    _without(monkeypatch, package, module)
    with pytest.raises(ImportError, match=rf"{module.split('.')[1]}.* needs .*; install it with pip install") as caught:
        importlib.import_module(module)
    assert isinstance(caught.value, kofn.MissingPackage) and isinstance(caught.value, kofn.KofnError)
    assert caught.value.name == package and f"'kofn[{extra}]'" in str(caught.value)


def test_what_draws_says_what_to_install(monkeypatch):
    with kofn.ThreadPool(2) as pool:
        report = kofn.matmul(np.eye(2), np.eye(2), workers=pool).report
    _without(monkeypatch, "matplotlib")
    with pytest.raises(ImportError, match=r"drawing needs matplotlib; install it with pip install 'kofn\[plot\]'"):
        report.plot()


def test_a_package_that_is_there_and_broken_says_how():
    told = pytest.raises(kofn.MissingPackage, match="cannot be imported: cannot import name 'nonsense'")
    with told, require("kofn.torch", "torch"):
        from collections import nonsense  # noqa: F401
    assert missing_package("x", "torch").name == "torch"


def _imports(node, guarded=False):
    """Every import of a package that may be missing, and whether it stands in a ``with require(…)``."""
    if isinstance(node, ast.With) and getattr(node.items[0].context_expr, "func", None) is not None:
        guarded = guarded or getattr(node.items[0].context_expr.func, "id", "") == "require"
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
    yield from ((name.split(".")[0], guarded) for name in names)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, guarded)


BEHIND = {
    "torch": {"torch", "safetensors"},
    "training": {"torch"},
    "kofn_studies/aicc/problems.py": {"torch"},  # given a tensor
    "tuning/learned/_saving.py": {"safetensors"},  # after `_library`
    "kofn_studies/figures/aicc_fig5.py": {"torch"},
    **{f"sklearn/{name}.py": {"sklearn"} for name in ("_ensemble", "_kinds")},  # after `require` in its `__init__`
    **{
        f"engines/dask/{name}.py": {"distributed"}
        for name in ("_slot", "_hold", "_travel", "_keeping", "_outcomes", "_arrays", "_values")
    },
    "engines/dask/_entry.py": {"distributed"},  # after `require_installed`
    **{f"engines/ray/{name}.py": {"ray"} for name in ("_blocks", "_pool", "_session", "_slot", "_values", "_worker")},
    **{f"engines/mpi/{name}.py": {"mpi4py"} for name in ("_join", "_post", "_rank")},  # after `require`
}
"""What is loaded only once the package is known to be there."""


def test_every_import_of_what_may_be_missing_is_guarded():
    found, bare = 0, []
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        behind = BEHIND.get(name, BEHIND.get(name.split("/")[0], set()))
        for package, guarded in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if package in PACKAGES:
                found += 1
                if not guarded and package not in behind:
                    bare.append(f"{name}: {package}")
    assert found > 30 and not bare
