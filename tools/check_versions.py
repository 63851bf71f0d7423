"""The oldest versions that the metadata allow: ``python tools/check_versions.py`` installs them and runs tests there.

Makes a new environment with the lower bound of each requirement in pyproject.toml, the core's and those of the extras
named, installs kofn into it, and runs the tests of what uses them. PyTorch is left out unless it is named: its oldest
version is a download of gigabytes. The newest versions are those of the development environment, which ``make`` keeps.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]

TESTS = {
    "core": ["tests/codes/test_code.py", "tests/jobs/test_plan.py", "tests/_api/test_plain_matmul.py"],
    "sklearn": ["tests/sklearn/test_sklearn.py", "tests/sklearn/test_sklearn_estimator.py"],
    "dask": [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests" / "engines").glob("test_dask*.py"))],
    "torch": ["tests/torch/test_torch_layers.py"],
}
"""What is run for the core and each extra."""

HELPERS = ["pytest>=8.0", "pytest-randomly", "pytest-xdist", "hypothesis>=6.100", "sympy", "pandas"]
"""What tests need, of any version that fits."""


def main() -> int:
    """Install, and run; stop at what fails."""
    parser = argparse.ArgumentParser(description="The oldest versions that the metadata allow.")
    parser.add_argument("extras", nargs="*", default=["sklearn", "dask"], help=f"of {', '.join(TESTS)}")
    named = parser.parse_args().extras
    if unknown := set(named) - TESTS.keys():
        parser.error(f"no tests are known for {', '.join(sorted(unknown))}")
    pins = sorted(oldest(named))
    print("oldest:", *pins, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins, *HELPERS)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-e", str(ROOT))
        tests = [test for name in dict.fromkeys(["core", *named]) for test in TESTS[name]]
        run(python, "-m", "pytest", "-q", "-p", "no:randomly", "-m", "not slow", *tests)
    print("the oldest versions will do")
    return 0


def oldest(extras: list[str]) -> set[str]:
    """The lower bounds of the core's requirements and those of some extras, as pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + [one for name in extras for one in project["optional-dependencies"].get(name, [])]
    return {one.replace(">=", "==") for one in asked}


def run(*command: str) -> None:
    """Run a command, and stop if it fails."""
    print("$", *command[:6], "…", flush=True)
    around = {**os.environ, "OMP_NUM_THREADS": "1"}
    if code := subprocess.run(command, cwd=ROOT, env=around, check=False).returncode:
        raise SystemExit(f"failed with {code}: {' '.join(command[1:4])}")


if __name__ == "__main__":
    sys.exit(main())
