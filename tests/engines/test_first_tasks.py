"""Deadlines and workers that are not through with their first task; pools that a worker makes while it imports."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kofn
from kofn.engines.local import _supervisor as supervisor
from processes import slow_but, until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SHORT = 0.1


def await_file(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


@functools.cache
def model(gate: str) -> float:
    await_file(gate)
    return 2.0


def modelled(gate: str, x: float) -> float:
    return model(gate) * x


class SlowToOpen:
    """Takes its time when it is unpickled."""

    def __init__(self, gate: str) -> None:
        self.gate, self.maker = gate, os.getpid()

    def __call__(self, x: float) -> float:
        return 2.0 * x

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getpid() != self.maker:
            await_file(self.gate)


def importing(gate: str, folder: Path) -> Callable[[float], float]:
    source = (
        "import os, time\nwhile not os.path.exists(GATE):\n    time.sleep(0.005)\n\ndef double(x):\n    return 2 * x\n"
    )
    (folder / "heavy_of_a_user.py").write_text(f"GATE = {gate!r}\n{source}")

    def term(x: float) -> float:
        from heavy_of_a_user import double  # type: ignore[import-not-found]

        return float(double(x))

    return term


SLOW_AT_FIRST: dict[str, Callable[[str, Path], Callable[[float], float]]] = {
    "an import in the function": importing,
    "a model that is kept": lambda gate, _: lambda x: model(gate) * x,
    "an object that is slow to open": lambda gate, _: SlowToOpen(gate),
}

FACES: dict[str, Callable[..., Any]] = {
    "sum": lambda f, pool, **options: kofn.sum([f] * 4, 3.0, workers=pool, **options).value / 4,
    "map": lambda f, pool, **options: kofn.map(f, [3.0], workers=pool, code="uncoded", **options).value[0],
}


@pytest.mark.parametrize(
    ("slow", "face"),
    [
        pytest.param(
            slow, face, marks=[] if (slow, face) == ("an import in the function", "sum") else [pytest.mark.slow]
        )
        for slow in SLOW_AT_FIRST
        for face in FACES
    ],
)
def test_a_worker_is_not_ended_for_its_first_task_and_answers_later(slow, face, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    # What loads says so, however soon it is asked; what is kept in a function's own way has a time of its own.
    monkeypatch.setattr(supervisor, "FIRST_RUN_SECONDS", 60.0 if slow.startswith("a model") else 0.0)
    gate = str(tmp_path / "gate")
    f = SLOW_AT_FIRST[slow](gate, tmp_path)
    with kofn.LocalPool(2, grace_seconds=0.0) as pool:
        pool.warm()
        pids = pool.pids()
        for _ in range(3):
            with pytest.raises(kofn.NotDecodable, match=r"deadline|everything|gone"):
                FACES[face](f, pool, deadline=SHORT)
        assert "busy" in [pool.state(worker) for worker in range(pool.n)]
        Path(gate).touch()
        until(lambda: all(pool.state(worker) == "idle" for worker in range(pool.n)))
        # Before the last job: whoever is still at work when that ends is late, and not at its first task.
        assert pool.pids() == pids
        assert FACES[face](f, pool, deadline=20.0) == 6.0


@pytest.mark.slow
def test_two_functions_by_turns_both_come_through(tmp_path):
    with kofn.LocalPool(1, grace_seconds=0.0) as pool:
        for turn in range(3):
            gate = str(tmp_path / f"gate {turn}")
            assert kofn.sum([lambda x: x + 1.0], 1.0, workers=pool).value == 2.0
            slow = functools.partial(modelled, gate)
            if turn == 0:
                with pytest.raises(kofn.NotDecodable):
                    kofn.sum([slow], 1.0, workers=pool, deadline=SHORT)
            pid = pool.pids()
            Path(gate).touch()
            until(lambda: pool.state(0) == "idle")
            assert pool.pids() == pid
            assert kofn.sum([slow], 1.0, workers=pool, deadline=20.0).value == 2.0


def test_a_worker_that_has_answered_is_ended_for_being_late():
    with kofn.LocalPool(1) as pool:
        late = lambda seconds: time.sleep(seconds)  # noqa: E731
        pool.submit(0, late, 0.0).result()
        before = pool.pids()
        pool.submit(0, late, 60.0).cancel()
        until(lambda: pool.state(0) == "idle" and pool.pids() != before)


def deaf(x: float) -> float:
    """Hears nothing: stuck in C, as far as signals can tell."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG, signal.SIGINT})
    return sleepy(x)


def sleepy(x: float) -> float:
    time.sleep(1e4)
    return x


def stubborn(x: float) -> float:
    while True:
        with contextlib.suppress(BaseException):
            sleepy(x)


@pytest.mark.parametrize(
    "stuck", [sleepy, *(pytest.param(stuck, marks=pytest.mark.slow) for stuck in (deaf, stubborn))]
)
def test_a_first_task_that_is_stuck_does_not_keep_other_functions_waiting(stuck, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_RUN_SECONDS", 0.2)
    with kofn.LocalPool(2) as pool:
        for _ in range(2):
            with pytest.raises(kofn.NotDecodable):
                kofn.map(stuck, [1.0, 2.0], workers=pool, deadline=SHORT, code="uncoded")
            assert kofn.map(abs, [1.0, -2.0], workers=pool, deadline=20.0, code="uncoded").value.tolist() == [1.0, 2.0]


@pytest.mark.slow
def test_even_an_import_has_an_end(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(supervisor, "FIRST_RUN_SECONDS", 0.0)
    monkeypatch.setattr(supervisor, "LOADING_SECONDS", 0.7)
    with kofn.LocalPool(1) as pool:
        before = pool.pids()
        pool.submit(0, importing(str(tmp_path / "never"), tmp_path), 1.0).cancel()
        until(lambda: pool.state(0) == "idle" and pool.pids() != before)


@pytest.mark.parametrize("end", slow_but(["patience", "kill", "interrupt", "close"], ["interrupt"]))
def test_a_first_task_that_never_ends_is_ended_after_all(end, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_RUN_SECONDS", 0.3 if end == "patience" else 1e4)
    with kofn.LocalPool(1) as pool:
        before = pool.pids()
        future = pool.submit(0, lambda: time.sleep(1e4))
        future.cancel()
        if end in ("kill", "interrupt"):
            assert pool.stop(0, end) == end
        if end == "close":
            pool.close()
            assert pool.state(0) == "dead"
            return
        until(lambda: pool.state(0) == "idle")
        assert pool.pids() != before or end == "interrupt"


# -- warm ---------------------------------------------------------------------------------------------


@contextmanager
def over(make):
    with ExitStack() as stack:
        yield kofn.ExecutorPool([stack.enter_context(make()) for _ in range(2)])


def spawned() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


ENGINES: dict[str, Callable[[], Any]] = {
    "threads": lambda: kofn.ThreadPool(2),
    "local": lambda: kofn.LocalPool(2),
    "thread executors": lambda: over(lambda: ThreadPoolExecutor(1)),
    "process executors": lambda: over(spawned),
    "delayed": lambda: kofn.Straggling(kofn.LocalPool(2), kofn.Constant(1e6)),
}


@pytest.mark.parametrize("engine", slow_but(ENGINES, ["threads", "local", "thread executors"]))
def test_every_pool_can_be_warmed(engine, tmp_path):
    def note() -> None:
        Path(tmp_path, f"{os.getpid()} {threading.get_ident()}").touch()

    def fail() -> None:
        raise LookupError("no model")

    with ENGINES[engine]() as pool:
        pool.warm(note, modules=["colorsys"])
        assert len(list(tmp_path.iterdir())) == 2
        pool.warm()
        with pytest.raises(LookupError, match="no model"):
            pool.warm(fail)
        with pytest.raises(ImportError, match="no_such_module"):
            pool.warm(modules=["no_such_module"])
        for bad in ({"modules": "json"}, {"modules": [1]}, {"function": 1}):
            with pytest.raises(kofn.ArgumentError, match=r"warm: '(modules|function)' must be"):
                pool.warm(**bad)
        if engine != "delayed":
            assert kofn.matmul(np.eye(2), np.eye(2), workers=pool).exact
        pool.close()
        with pytest.raises(kofn.PoolClosed, match="warm: the pool is closed"):
            pool.warm()


@pytest.mark.slow
def test_a_function_that_ends_its_worker_is_not_tried_for_ever():
    with kofn.LocalPool(1) as pool, pytest.raises(kofn.WorkerLost, match="ended with exit status 3"):
        pool.warm(lambda: os._exit(3))


# -- pools that are made while a module is imported ----------------------------------------------------

COUNT = """
import os, time, kofn
with open("imported.txt", "a") as file:
    file.write("once\\n")
if len(open("imported.txt").readlines()) > 12:
    time.sleep(60)  # what goes on and on ends here

def square(x):
    return x * x
"""

AT_THE_TOP = {
    "a map": "VALUE = kofn.map(square, [2.0], workers=2, code='uncoded').value",
    "a sum": "VALUE = kofn.sum([square, square], 2.0, workers=2).value",
    "a pool": "POOL = kofn.LocalPool(2)\nVALUE = kofn.map(square, [2.0], workers=POOL, code='uncoded').value",
    "a job": "VALUE = kofn.CodedSum([square], workers=2)(2.0).value",
    "a job in the background": (
        "code = kofn.LinearCode('one', [[1.0]], [[1.0]], worker=[0])\n"
        "S = kofn.schemes.CustomScheme(code, [kofn.Task(square, (2.0,))])\n"
        "VALUE = kofn.start(S, workers=2).result(30.0)"
    ),
    "an import when it runs": (
        "VALUE = kofn.map(lambda x: __import__('table').square(x), [2.0], workers=2, code='uncoded').value"
    ),
}


def run_python(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60.0)


@pytest.mark.parametrize("top", slow_but(AT_THE_TOP, ["a map"]))
def test_a_pool_at_the_top_of_a_module_is_refused_where_a_worker_imports_it(top, tmp_path):
    (tmp_path / "table.py").write_text(COUNT + AT_THE_TOP[top])
    done = run_python(tmp_path, "import table")
    assert len((tmp_path / "imported.txt").read_text().splitlines()) <= 3
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr


@pytest.mark.slow
def test_a_script_that_multiprocessing_runs_once_more_is_told_of_the_guard(tmp_path):
    start = (
        "import multiprocessing\n"
        "kofn.matmul([[1.0]], [[1.0]], workers=1)\n"
        "process = multiprocessing.get_context('spawn').Process(target=square, args=(1,))\n"
        "process.start()\nprocess.join()\nraise SystemExit(process.exitcode)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(COUNT + start)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60.0)
    assert done.returncode == 1
    assert "kofn.matmul: 'workers' cannot be started while a worker imports" in done.stderr
    assert len((tmp_path / "imported.txt").read_text().splitlines()) == 2


@pytest.mark.slow
def test_a_pool_of_threads_at_the_top_and_a_pool_in_a_task_are_fine(tmp_path):
    inner = (
        "THREADS = kofn.ThreadPool(2)\n"
        "def inner(x):\n"
        "    with kofn.LocalPool(1) as pool:\n"
        "        return kofn.map(square, [x], workers=pool, code='uncoded').value[0]\n"
    )
    (tmp_path / "table.py").write_text(COUNT + inner)
    program = "import kofn, table; print(kofn.map(table.inner, [3.0], workers=1, code='uncoded').value)"
    done = run_python(tmp_path, program)
    assert done.stdout.strip() == "[9.]", done.stderr
