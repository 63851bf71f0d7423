"""Programs of their own that are interrupted, killed, or short of something, and what of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from .._belongings import left_since, parents, shared_memory
from ._draws import Case, Round
from ._play import LEAK_PATIENCE, PATIENCE, Result

ENDS = {
    "ctrl-c": ("interrupted",),
    "killed": ("",),
    "ends": ("",),
    "full disk": ("exact", "FileError", "KofnError", "ArgumentError"),
    "no memory": ("exact", "ArgumentError", "KofnError"),
    "few descriptors": ("exact", "KofnError"),
}
"""How each kind of program may end, or each of its jobs."""


def play_program(round: Round, engine: str) -> list[Result]:
    """Run a program that its case names, and look at what it says and what it leaves."""
    (case,) = round.cases
    before = set(shared_memory())
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        command = [sys.executable, "-m", "kofn.testing.chaos._program", case.code, engine, str(case.seed)]
        program = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"TMPDIR": folder},
            preexec_fn=_hear_ctrl_c,
        )  # fmt: skip
        with program:
            return _watch(program, case, Path(folder), before)


def _hear_ctrl_c() -> None:
    """A shell that starts programs in the background makes them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _watch(program: subprocess.Popen[str], case: Case, folder: Path, before: set[str]) -> list[Result]:
    assert program.stdout is not None
    said = program.stdout.readline()
    descendants = _descendants(program.pid)
    if said == "ready\n" and case.code in ("ctrl-c", "killed"):
        time.sleep(float(np.random.default_rng(case.seed).uniform(0, 0.3)))
        descendants |= _descendants(program.pid)
        program.send_signal(signal.SIGINT if case.code == "ctrl-c" else signal.SIGKILL)
    try:
        rest, _ = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        return [Result(case.number, "hung", f"{case}\n{said}{program.communicate()[0]}")]
    misfits = _misfit(case, said + rest)
    results = [Result(case.number, "misfit", f"{case}: {misfits}")] if misfits else [Result(case.number, case.code)]
    left = _await_end(descendants)
    files = [path.name for path in folder.iterdir()] + sorted(left_since(before, set(shared_memory())))
    if left or files:
        results.append(Result(case.number, "left", f"{case} leaves {left} and {files}"))
    return results


def _misfit(case: Case, text: str) -> str:
    """Why what a program said does not fit what was done to it."""
    ready, *lines = text.splitlines() or [""]
    if ready != "ready":
        return text
    if case.code in ("killed", "ends"):
        return "\n".join(lines)
    if len(lines) != 2 or lines[1] != "leaves nothing":
        return text
    ends = lines[0].removeprefix("ended: ").split(", ")
    return "" if set(ends) <= set(ENDS[case.code]) else lines[0]


def _descendants(process: int) -> set[str]:
    known, found = parents(), {str(process)}
    while more := {child for child, parent in known.items() if parent in found} - found:
        found |= more
    return found - {str(process)}


def _await_end(processes: set[str]) -> list[str]:
    """Those that are still there after a while; what has ended and was not waited for is not."""
    until = time.monotonic() + LEAK_PATIENCE
    while left := sorted(filter(_runs, processes)):
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
    return left


def _runs(process: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
