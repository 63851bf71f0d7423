"""Chaos finds nothing in kofn, finds what is planted, and is the same each time in virtual time."""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kofn
from kofn.simulation import VirtualPool
from kofn.testing import chaos, faults
from kofn.testing._belongings import everything, left_since
from kofn.testing.chaos import _play, _programs
from kofn.testing.chaos._draws import COMPARED_FACES, FACES, PROGRAMS, Case, Round
from kofn.testing.chaos._fits import misfit
from kofn.testing.chaos._mishaps import Chances, Mishaps, Waker
from processes import linux, slow_but

pytestmark = linux

CASE = Case(0, "matmul", "uncoded", "float64", 1)
ROUND = Round(0, 0, 3, [CASE])


def history(jobs: int, seed: int) -> list[Any]:
    told: list[Any] = []

    def watch(answer: Any) -> None:
        report = answer.report
        told.append([(a.row, a.worker, a.submitted, a.ended, a.outcome) for a in report.attempts])

    tally = chaos.run("virtual", jobs, seed, watch=watch)
    assert not tally.faults, str(tally)
    return [told, [(result.case, result.kind, result.off) for result in tally.results]]


@pytest.mark.parametrize("jobs", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_history_in_virtual_time(jobs: int) -> None:
    first = history(jobs, 5)
    assert first == history(jobs, 5) and first != history(jobs, 6)


@pytest.mark.parametrize(("engine", "jobs"), [("threads", 6), pytest.param("threads", 20, marks=pytest.mark.slow)])
def test_threads(engine: str, jobs: int) -> None:
    assert not (tally := chaos.run(engine, jobs, seed=1)).faults, str(tally)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "dask", "ray"])
def test_other_engines(engine: str) -> None:
    pytest.importorskip({"dask": "distributed", "ray": "ray"}.get(engine, "kofn"))
    assert not (tally := chaos.run(engine, 20, seed=1)).faults, str(tally)


@pytest.mark.slow
def test_ranks_of_mpi() -> None:
    pytest.importorskip("mpi4py")
    mpirun = Path(sys.executable).with_name("mpirun")
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    command = [mpirun, "--oversubscribe", *root, "-n", "5", sys.executable, "-m", "kofn.testing.chaos"]
    done = subprocess.run([*command, "--engine", "mpi", "--jobs", "20"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.rstrip().endswith("0 faults"), done.stdout + done.stderr


@pytest.mark.parametrize("kind", slow_but(PROGRAMS, ["killed"]))
def test_programs(kind: str) -> None:
    program = Round(0, 0, 2, [Case(0, "program", kind, "", 3)])
    results = _programs.play_program(program, "local:2")
    assert [result.kind for result in results] == [kind], results


@pytest.mark.slow
def test_what_a_killed_program_leaves_in_shared_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    names = _programs.shared_memory
    told = iter([names(), names() | {"shared memory kofn-left": "0"}])
    monkeypatch.setattr(_programs, "shared_memory", lambda: next(told))
    results = _programs.play_program(Round(0, 0, 2, [Case(0, "program", "killed", "", 3)]), "local:2")
    assert [result.kind for result in results] == ["killed", "left"] and "kofn-left" in results[1].text


def test_every_kind_of_job_is_drawn() -> None:
    local = chaos.ENGINES["local"]
    rounds = [chaos.draw_round(0, number, local, 0, 9) for number in range(400)]
    cases = [case for round in rounds for case in round.cases]
    assert {case.face for case in cases} == {*FACES, "program"}
    verified = {(case.face, case.options.get("verify")) for case in cases}
    faces = {face for face in FACES if face not in ("imap", "joblib") and not face.startswith("remote")}
    assert verified >= {(face, verify) for face in faces for verify in ("correct", "detect")}
    liars = [round for round in rounds if round.wrong]
    assert any(round.loses for round in liars) and any(round.chances.stops for round in liars)
    assert any(len(round.wrong) > 1 for round in liars)
    assert {case.face for round in liars for case in round.cases} >= {*COMPARED_FACES, "matmul"}
    assert any("stop" in case.options for case in cases)
    assert any(round.forks for round in rounds) and any(round.closed_after for round in rounds)
    assert any(round.killed for round in rounds) and any(round.chances.stops for round in rounds)
    assert any(round.threads == 3 for round in rounds) and any(case.cancelled_after for case in cases)


# -- what is planted is found -------------------------------------------------------------------------


def test_a_wrong_answer_is_found() -> None:
    with faults.Corrupting(kofn.ThreadPool(3), {1: faults.Scaled(1.001)}) as pool:
        result = _play.play_case(CASE, ROUND, pool, lambda answer: None)
    assert result.kind == "wrong" and "exact, but off by" in result.text


def test_an_error_that_does_not_fit_is_found() -> None:
    with kofn.ThreadPool(3) as pool:
        pool.close()
        result = _play.play_case(CASE, ROUND, pool, lambda answer: None)
        closed = replace(ROUND, closed_after=0.0)
        assert _play.play_case(CASE, closed, pool, lambda answer: None).kind == "PoolClosed"
    assert result.kind == "misfit" and "nobody closed the pool" in result.text


@pytest.mark.parametrize(
    "error",
    [
        kofn.Cancelled("x"), kofn.PoolClosed("x"), kofn.NotDecodable("x"), kofn.WorkerLost("x", 0), MemoryError(),
        kofn.TaskError("x", 0), kofn.ArgumentError("x"), kofn.KofnError("x"), RuntimeError("x"),
    ],
)  # fmt: skip
def test_on_a_calm_day_no_error_fits(error: Exception) -> None:
    assert misfit(error, CASE, ROUND)


def test_a_matrix_that_died_before_its_job_is_refused_and_fits_only_where_workers_die() -> None:
    error, remote = kofn.ArgumentError("'A' must be there"), replace(CASE, face="remote operator")
    assert not misfit(error, remote, replace(ROUND, deaths={0: 1.0}))
    assert misfit(error, remote, ROUND) and misfit(error, CASE, replace(ROUND, deaths={0: 1.0}))


class Hanging(kofn.ThreadPool):
    """Its tasks end when an event comes."""

    event = threading.Event()

    def submit(self, worker: int, function: Any, *arguments: Any, keys: Any = ()) -> Any:
        return super().submit(worker, lambda: self.event.wait(30) and None)


def test_a_job_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_play, "PATIENCE", 0.3)
    monkeypatch.setattr(_play, "LEAK_PATIENCE", 0.0)
    results = _play.play_round(ROUND, Hanging, lambda answer: None)
    assert results[0].kind == "hung" and "in run" in results[0].text
    Hanging.event.set()


class Leaving(kofn.ThreadPool):
    """It leaves a thread behind."""

    event = threading.Event()

    def close(self) -> None:
        if self.is_open:
            threading.Thread(target=self.event.wait, args=(30,), name="left behind", daemon=True).start()
        super().close()


def test_what_a_pool_leaves_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_play, "LEAK_PATIENCE", 0.0)
    results = _play.play_round(ROUND, Leaving, lambda answer: None)
    Leaving.event.set()
    assert [result.kind for result in results] == ["exact", "left"] and "left behind" in results[1].text


# -- mishaps ------------------------------------------------------------------------------------------


def test_mishaps_depend_on_seed_worker_and_task_alone() -> None:
    chances = Chances(dies=0.2, stops=0.2, late=0.3)
    drawn = [chances.draw(np.random.default_rng([0, 1, task])) for task in range(200)]
    assert drawn == [chances.draw(np.random.default_rng([0, 1, task])) for task in range(200)]
    kinds = [kind for kind, _ in drawn]
    assert [0.12 < kinds.count(kind) / 200 < 0.42 for kind in ("dies", "stops", "late", "none")] == [True] * 4


def test_a_worker_that_is_stopped_is_woken(local_pool: kofn.LocalPool) -> None:
    pool = Mishaps(local_pool, Chances(stops=1.0, seconds=0.001), 0)
    started = time.monotonic()
    assert pool.submit(0, int, "7").result(timeout=30) == 7 and time.monotonic() > started
    pool._woken.close()


STOPPING = """
: > $0/stopped-$$-0.000
echo left
read line
kill -STOP $$
echo woken
"""
"""A worker that leaves its number and stands still, but waits in between."""


@pytest.mark.parametrize("when", ["while the pool is open", "as the pool is closed"])
def test_a_worker_that_is_slow_to_stop_is_woken_nevertheless(tmp_path: Path, when: str) -> None:
    folder = tmp_path / "waker"
    folder.mkdir()
    waker = Waker(folder)
    if when == "as the pool is closed":  # it looks no more, and the worker leaves its number only now
        waker._end.set()
        waker._thread.join()
    with subprocess.Popen(["sh", "-c", STOPPING, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"left\n"
            while not waker._end.is_set() and list(folder.iterdir()):
                time.sleep(0.001)
            closing = threading.Thread(target=waker.close)
            closing.start()
            told, _ = process.communicate(b"stop now\n", timeout=30)
        finally:
            process.kill()
    closing.join()
    assert told == b"woken\n" and not waker._due and not folder.exists()


def test_a_worker_that_dies_is_lost() -> None:
    with Mishaps(kofn.LocalPool(1), Chances(dies=1.0, deaths=1), 0) as pool:
        assert isinstance(pool.submit(0, int, "7").exception(timeout=30), kofn.WorkerLost)
        assert pool.submit(0, int, "7").result(timeout=30) == 7


def test_a_pool_in_virtual_time_has_the_delays_of_its_round() -> None:
    virtual = chaos.draw_round(3, 1, chaos.ENGINES["virtual"], 0, 5)
    assert len(virtual.delays) == virtual.workers and VirtualPool(virtual.delays).n == virtual.workers


def test_folders_of_other_programs_in_shared_memory_are_not_taken_for_kofn_s() -> None:
    new = {"shared memory joblib_memmapping_folder_1", "shared memory sem.mp-1", "shared memory of kofn"}
    assert left_since(set(), new) == {"shared memory of kofn"}


def test_a_record_of_a_thread_that_is_not_pythons_is_nothing_left() -> None:
    """A library's own thread that calls Python leaves one, also when it has ended."""
    before, told = everything(), threading.Event()
    names: list[str] = []
    _thread.start_new_thread(lambda: (names.append(threading.current_thread().name), told.set()), ())
    assert told.wait(10) and names[0] in {thread.name for thread in threading.enumerate()}
    assert not [what for what in left_since(before, everything()) if names[0] in what]
