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


def test_importing_kofn_loads_numpy_and_nothing_heavier():
    code = f"import sys, kofn; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_every_public_name_exists_and_is_listed():
    names = getattr(kofn, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(kofn, name) is not None
    assert set(names) <= set(dir(kofn))


@pytest.mark.slow
def test_what_the_pages_call_kofn_dot_something_is_there_after_import_kofn():
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
    named = {name for page in pages for name in re.findall(r"\bkofn\.([A-Za-z_]\w*)", page.read_text(encoding="utf-8"))}
    named -= {name for name in ("torch", "training") if find_spec("torch") is None}
    named -= {name for name in ("sklearn",) if find_spec("sklearn") is None}
    code = f"import kofn; print([name for name in {sorted(named)} if not hasattr(kofn, name)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'kofn' has no attribute 'nothing'"):
        kofn.nothing  # noqa: B018
