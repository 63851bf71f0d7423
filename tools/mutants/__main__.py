"""Does the suite fail where it should? Mutants of scheduler, collector, decoder, verifier and pools.

`make mutants` finds out which tests run which lines, tries 30 mistakes that somebody wrote down (`planted.toml`) and
100 that are drawn by seed, and writes what became of them to `verdicts.json` and docs/mutants.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from mutations import Mutant, draw, mutant_of
from page import written
from trial import MOST_SECONDS, PACKAGE, ROOT, Contexts, a_copy, run_tests, tried

HERE = Path(__file__).parent
OUT = ROOT / "out" / "mutants"
VERDICTS = HERE / "verdicts.json"

FOLDERS = ["codes", "codes/decoding", "jobs/scheduling"]
FILES = [
    *(f"jobs/_{name}.py" for name in ("assignment", "collector", "state", "waking")),
    *(f"jobs/_{name}.py" for name in ("alike", "checks", "compared", "redundant", "trust", "verification")),
    "schemes/products/_freivalds.py",
    *(f"engines/_{name}.py" for name in ("reputation", "slots", "threads")),
    *(f"engines/local/_{name}.py" for name in ("states", "supervisor")),
]
"""What is mutated: codes and decoder, scheduler, collector, verifier, pools."""

DRAWN = 100
SEED = 0

TESTS = ["tests/jobs", "tests/codes", "tests/schemes", "tests/testing", "tests/engines", "tests/_api"]
TESTS += ["tests/simulation/test_simulation.py", "tests/tuning/test_designing.py", "tests/tuning/test_auto.py"]
TESTS += [f"src/kofn/{package}" for package in ("codes", "jobs", "engines", "schemes", "simulation", "_api", "testing")]
AWAY = ["*dask*", "*ray*.py", "*engines/ray*", "*mpi*", "*two_hosts*", "*spawned_scripts*"]
"""Tests of clusters are not needed to notice any of these."""


def main() -> int:
    """Find out, and tell whether any mutant lives that was not argued away."""
    parser = argparse.ArgumentParser(prog="python tools/mutants", description=__doc__)
    parser.add_argument("what", nargs="+", choices=["contexts", "try", "page"])
    parser.add_argument("--only", nargs="*", help="names of mutants; by default those that are not known to be killed")
    parser.add_argument("--again", action="store_true", help="all of them")
    given = parser.parse_args()
    if "contexts" in given.what:
        find_contexts()
    if "try" in given.what:
        try_all(given.only, given.again)
    if "page" in given.what:
        page = written(load_verdicts(), load_reasons(), load_planted(), MOST_SECONDS)
        (ROOT / "docs" / "mutants.md").write_text(page, encoding="utf-8")
    return 0


def find_contexts() -> None:
    """Run the tests once, and keep which of them runs which lines."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "contexts.json").unlink(missing_ok=True)
    away = [f"--ignore-glob={pattern}" for pattern in AWAY]
    with a_copy() as folder:
        path = os.pathsep.join([str(folder / "src"), str(HERE)])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        environment["KOFN_CONTEXTS"] = str(OUT / "contexts.json")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "contexts", "-p", "no:randomly", "-m", "not slow"]
        subprocess.run([*command, *away, "-k", "not dask", *TESTS], cwd=folder, env=environment, check=False)


def mutants() -> list[Mutant]:
    """The planted ones, and those that were drawn; these are drawn anew only where there are none."""
    texts = [*load_planted(), *(one for one in load_verdicts() if one["name"].startswith("drawn"))]
    made = [mutant for one in texts if (mutant := made_of(one)) is not None]
    if len(texts) > len(load_planted()):
        return made
    folders = [path for folder in FOLDERS for path in sorted((ROOT / PACKAGE / folder).glob("*.py"))]
    paths = [*(ROOT / PACKAGE / file for file in FILES), *folders]
    sources = {path.relative_to(ROOT / PACKAGE).as_posix(): path.read_bytes() for path in paths}
    return [*made, *draw(sources, DRAWN, SEED)]


def made_of(text: dict) -> Mutant | None:
    """A mutant of the source as it is now; None where what was drawn is not there any more."""
    source = (ROOT / PACKAGE / text["file"]).read_text(encoding="utf-8")
    if "broken" not in text and text["old"] not in source:
        return None
    return mutant_of(text["name"], text["file"], source, text["old"], text["new"], text.get("line", 0))


def load_planted() -> list[dict]:
    """Mistakes that were written down."""
    return tomllib.loads((HERE / "planted.toml").read_text(encoding="utf-8"))["planted"]


def try_all(only: list[str] | None, again: bool) -> None:
    """Try mutants one by one, and keep each verdict as it comes."""
    contexts = Contexts([json.loads(path.read_text()) for path in sorted(OUT.glob("contexts*.json"))])
    known, everything = {(one["name"], one["old"], one["new"]): one for one in load_verdicts()}, mutants()
    verdicts = {one.name: known.get((one.name, one.old, one.new), {}) | told(one) for one in everything}
    gone = [one for one in load_verdicts() if one["name"] not in verdicts]
    asked = [
        (one, contexts.tests_for(one))
        for one in everything
        if (one.name in only if only else again or verdicts[one.name].get("verdict") != "killed")
    ]
    with a_copy() as folder:
        for mutant, outcome in tried(asked, folder):
            print(mutant.name, *outcome, flush=True)
            verdict = verdicts[mutant.name]
            verdict |= {"first": verdict.get("first", outcome.verdict), **outcome._asdict()}
            save([*(one for one in verdicts.values() if "verdict" in one), *gone])
        killers = sorted({one["by"] for one in verdicts.values() if "::" in one.get("by", "")})
        if killers:
            code, output = run_tests(killers, folder, 3600.0)
            print("Without a mutant:", output.splitlines()[-1] if output else "it hangs")
            if code != 0:
                raise SystemExit(f"Tests that fail without a mutant prove nothing:\n{output}")


def told(mutant: Mutant) -> dict:
    """What is kept of a mutant."""
    return {"name": mutant.name, "file": mutant.file, "line": mutant.line, "old": mutant.old, "new": mutant.new}


def save(verdicts: list[dict]) -> None:
    """Keep what is known so far."""
    VERDICTS.write_text(json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_verdicts() -> list[dict]:
    """What became of the mutants."""
    return json.loads(VERDICTS.read_text(encoding="utf-8")) if VERDICTS.exists() else []


def load_reasons() -> list[dict[str, str]]:
    """Why mutants that live are no faults."""
    path = HERE / "equivalent.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["equivalent"] if path.exists() else []


if __name__ == "__main__":
    raise SystemExit(main())
