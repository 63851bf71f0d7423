"""One mutant, and the tests that could notice it: a copy of everything, the cheapest tests first, until one fails."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutations import Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = Path("src/kofn")

MOST_SECONDS = 20.0
"""Tests that take so long together are tried, in processor time; of those that run a line, the quick ones first."""

HANGS_SECONDS = 120.0
"""No test takes so long, on a busy machine either."""


class Outcome(NamedTuple):
    """What became of a mutant."""

    verdict: str
    by: str


ELSEWHERE = Outcome("elsewhere", "")
"""Of a mutant that needs a process of its own."""


class Contexts:
    """Which tests run which lines, as `contexts` found out."""

    def __init__(self, parts: list[dict]) -> None:
        self._seconds = {test: seconds for part in parts for test, seconds in part["seconds"].items()}
        self._lines: dict[str, dict[int, set[str]]] = {}
        for part in parts:
            for file, lines in part["lines"].items():
                of_file = self._lines.setdefault(file, {})
                for line, tests in lines.items():
                    of_file.setdefault(int(line), set()).update(tests)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Tests that run the line, the function or else the file, those of the same package and quick ones first."""
        of_file = self._lines.get(f"kofn/{mutant.file}", {})
        for lines in (mutant.lines, mutant.around, of_file):
            if tests := set().union(*(of_file.get(line, ()) for line in lines)):
                break
        package = mutant.file.split("/")[0]
        near = sorted(tests, key=lambda test: (package not in test.split("::")[0].split("/"), self._seconds[test]))
        chosen, seconds = [], 0.0
        for test in near:
            seconds += self._seconds[test]
            if seconds < MOST_SECONDS:  # what failed or was skipped without a mutant took for ever
                chosen.append(test)
        return chosen


@contextlib.contextmanager
def a_copy() -> Iterator[Path]:
    """A copy of what git knows of, on no path of anybody."""
    with tempfile.TemporaryDirectory(prefix="kofn-mutant-") as folder:
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
        copied = ["xargs", "-0", "cp", "--parents", "-t", folder]
        subprocess.run(copied, cwd=ROOT, check=True, input=files)
        yield Path(folder)


def tried(asked: list[tuple[Mutant, list[str]]], folder: Path) -> Iterator[tuple[Mutant, Outcome]]:
    """Run the tests against each mutant: in forks of one process where that will do."""
    trials, outcomes = folder / "trials", ROOT / "out" / "mutants" / "outcomes"
    told = [(one.name, str(PACKAGE / one.file), one.source, tests, HANGS_SECONDS) for one, tests in asked]
    trials.write_bytes(pickle.dumps(told))
    outcomes.write_text("")
    environment = {"KOFN_TRIALS": str(trials), "KOFN_OUTCOMES": str(outcomes)}
    files = sorted({test.partition("::")[0] for _, tests in asked for test in tests})
    run_tests(files, folder, math.inf, "-p", "warm", "-m", "not slow", **environment)
    found = {name: Outcome(*outcome) for name, *outcome in map(json.loads, outcomes.read_text().splitlines())}
    for mutant, tests in asked:
        outcome = found.get(mutant.name, ELSEWHERE)
        yield mutant, in_new_process(mutant, tests, folder) if outcome == ELSEWHERE else outcome


def in_new_process(mutant: Mutant, tests: list[str], folder: Path) -> Outcome:
    """Run the tests against a mutant in a copy, and leave the copy as it was."""
    if not tests:
        return Outcome("survived", "no test runs it")
    path = folder / PACKAGE / mutant.file
    before = path.read_bytes()
    path.write_bytes(mutant.source)
    try:
        code, output = run_tests(tests, folder, 10 * HANGS_SECONDS, "-x")
    finally:
        path.write_bytes(before)
    if code == 0:
        return Outcome("survived", f"{len(tests)} tests")
    if code is None:
        return Outcome("killed", "it hangs")
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
    return Outcome("killed", failed[1] if failed else f"pytest ends with {code}")


def run_tests(
    tests: list[str], folder: Path, seconds: float, *options: str, **variables: str
) -> tuple[int | None, str]:
    """The status and output of pytest; None if it takes too long."""
    (folder / "tests-to-run").write_text("\n".join(tests))
    command = ["nice", "-n", "10", sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE"]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", *options, "@tests-to-run"]
    path = os.pathsep.join([str(folder / "src"), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"COLUMNS": "1000"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=None if seconds == math.inf else seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
    return process.returncode, output
