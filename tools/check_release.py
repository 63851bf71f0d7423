"""What must hold before a release: run ``make release-check``.

Builds the wheel and the source distribution, installs each into a new environment of its own, computes a product there
with nothing but the core, and runs some tests out of the source distribution. The changelog and CITATION.cff name the
version.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROGRAM = """
import sys
import numpy as np
import kofn

A, B = np.random.default_rng(0).standard_normal((2, 60, 60))
answer = kofn.matmul(A, B, workers=2)
assert answer.exact and np.allclose(answer.value, A @ B)
heavy = {"torch", "dask", "distributed", "ray", "sklearn", "matplotlib", "numba", "mpi4py"} & set(sys.modules)
assert not heavy, heavy
"""

FROM_SDIST = ["tests/codes/test_code.py", "tests/jobs/test_plan.py"]
"""Tests that are run out of the source distribution: that they are there, and find what they need."""


def main() -> int:
    """Run the list; stop at what does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wheel, sdist = build(place / "dist")
        version = check_metadata(wheel)
        check_texts(version)
        check_contents(wheel, sdist)
        for archive in (wheel, sdist):
            check_install(archive, place / archive.suffix.strip("."))
        check_tests(sdist, place)
    print(f"kofn {version} can be released")
    return 0


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel, and the source distribution that it can be built from."""
    folder.mkdir()
    make = f"from setuptools import build_meta; print(build_meta.build_sdist({str(folder)!r}))"
    run(sys.executable, "-c", make, at=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(sdist))
    (wheel,) = folder.glob("*.whl")
    return wheel, sdist


def check_metadata(wheel: Path) -> str:
    """Licence and requirements are what they should be; return the version."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        about = message_from_bytes(archive.read(name))
    require(about["License-Expression"] == "MIT", "the wheel names its licence")
    core = {one.split(">")[0] for one in about.get_all("Requires-Dist", []) if "extra ==" not in one}
    require(core == {"numpy", "scipy", "cloudpickle", "threadpoolctl"}, f"the core needs four packages, got {core}")
    return str(about["Version"])


def check_texts(version: str) -> None:
    """The changelog and the citation name the version."""
    require(f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "the changelog has the version")
    require(
        f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8"), "CITATION.cff has the version"
    )


def check_contents(wheel: Path, sdist: Path) -> None:
    """Types in the wheel, no test; tests and pages in the source distribution."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    require("kofn/py.typed" in names, "the wheel says that it has types")
    require(not any(name.startswith("tests") for name in names), "the wheel has no tests")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("tests/codes/test_code.py", "conftest.py", "docs/index.md", "constraints.txt", "Makefile", "LICENSE"):
        require(name in inside, f"the source distribution has {name}")


def check_install(archive: Path, folder: Path) -> None:
    """It installs into an empty environment, and works there."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(archive))
    run(python, "-W", "error", "-c", PROGRAM, at=folder)
    run(str(folder / "bin" / "kofn"), "codes", at=folder)


def check_tests(sdist: Path, place: Path) -> None:
    """Tests run out of the source distribution, in this environment."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "source", filter="data")
    (root,) = (place / "source").iterdir()
    run(sys.executable, "-m", "pytest", "-q", "-m", "not slow", *FROM_SDIST, at=root, path=root / "src")


def require(holds: bool, what: str) -> None:
    """Stop where something does not hold."""
    if not holds:
        raise SystemExit(f"not so: {what}")
    print(f"ok: {what}")


def run(*command: str, at: Path | None = None, path: Path | None = None) -> None:
    """Run a command, and stop if it fails; ``path`` is where modules are looked for first."""
    print("$", *(part if "\n" not in part else "…" for part in command), flush=True)
    around = None if path is None else {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(command, cwd=at, env=around, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"failed with {done.returncode}: {command[0]}")


if __name__ == "__main__":
    sys.exit(main())
