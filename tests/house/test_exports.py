"""What importing kofn costs, and what it offers."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import kofn

ROOT = Path(__file__).parents[2]

HEAVY = ["scipy", "matplotlib", "torch", "sklearn", "cloudpickle", "multiprocessing", "threadpoolctl"]
HEAVY += ["asyncio", "importlib.metadata", "dask", "distributed", "ray", "mpi4py"]
HEAVY += ["kofn.engines.dask._pool", "kofn.engines.local._pool"]
HEAVY += ["kofn.engines.mpi._pool", "kofn.engines.ray._pool"]
HEAVY += ["kofn.simulation", "kofn.tuning", "kofn_studies"]

NEW = {"map", "sum"}
"""Public names that would hide Python's own, so that an import of all leaves them out."""


def printed(code):
    """What a new process prints, which says nothing else."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_importing_kofn_loads_numpy_and_nothing_heavier():
    assert printed(f"import sys, kofn; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_every_public_name_exists_and_is_listed():
    names = [*kofn.__all__, *kofn.MODULES, *NEW]
    assert len(set(names)) == len(names)
    for name in {*kofn.__all__, *NEW}:
        assert getattr(kofn, name) is not None
    assert set(names) <= set(dir(kofn))


def test_an_import_of_all_leaves_python_its_own_names():
    assert printed("from kofn import *; print(sum([1, 2]), list(map(abs, [-1])), matmul.__name__)") == "3 [1] matmul"


def test_at_most_eighteen_files_and_packages_at_the_top():
    entries = {path.name for path in (ROOT / "src" / "kofn").iterdir()} - {"py.typed", "__pycache__"}
    assert len(entries) <= 18, sorted(entries)


@pytest.mark.parametrize("name", sorted(kofn.MOVED))
def test_a_name_that_went_says_where_to(name):
    with pytest.raises(AttributeError, match=rf"^kofn\.{name} is {re.escape(kofn.MOVED[name])} now\.$"):
        getattr(kofn, name)
    assert name not in dir(kofn)


def test_an_import_from_a_package_says_where_a_name_went():
    for package, name in ("kofn", "products"), ("kofn", "demo"), ("kofn.schemes", "plain_codes"):
        with pytest.raises(ImportError, match=rf"^{package}\.{name} is kofn\S+ now\.$"):
            exec(f"from {package} import {name}")
    with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'kofn'"):
        exec("from kofn import nonsense")
    assert not hasattr(kofn, "products")


def test_names_of_packages_that_went_say_where_to():
    for package, name, home in [
        (kofn.schemes, "plain_codes", "kofn.schemes.families"),
        (kofn.simulation, "ScriptedPool", "kofn.simulation.VirtualPool"),
        (kofn.theory, "losses", "kofn.simulation.theory"),
    ]:
        with pytest.raises(AttributeError, match=f"^{package.__name__}.{name} is {home} now.$"):
            getattr(package, name)


@pytest.mark.slow
def test_where_names_went_there_is_something():
    code = "import kofn\nfrom pkgutil import resolve_name\n"
    code += "print([name for name in map(resolve_name, kofn.MOVED.values()) if name is None])"
    if find_spec("torch") is None:
        pytest.skip("kofn_studies.training needs PyTorch")
    assert printed(code) == "[]"


@pytest.mark.slow
def test_what_the_pages_call_kofn_dot_something_is_there_after_import_kofn():
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
    named = {name for page in pages for name in re.findall(r"\bkofn\.([A-Za-z_]\w*)", page.read_text(encoding="utf-8"))}
    named -= {name for name in ("torch", "training") if find_spec("torch") is None}
    named -= {name for name in ("sklearn",) if find_spec("sklearn") is None}
    assert printed(f"import kofn; print([name for name in {sorted(named)} if not hasattr(kofn, name)])") == "[]"


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'kofn' has no attribute 'nothing'"):
        kofn.nothing  # noqa: B018
