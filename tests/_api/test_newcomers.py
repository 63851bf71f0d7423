"""What somebody meets who knows kofn from its pages only: names, messages, indices, and what a report says."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import kofn

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((60, 30)), RNG.standard_normal((30, 40))


class Late:
    """A latency model: some workers never answer."""

    def __init__(self, *workers):
        self.workers = workers

    def arrivals(self, work, worker, trials, rng):
        return np.where(np.isin(worker, self.workers), np.inf, 0.0)[None].repeat(trials, 0)


def after_release(gate, x):
    gate.wait(30)
    return x


# -- where, recovered and the words of an answer


@pytest.mark.parametrize("outputs", ["texts", "floats", "integers"])
def test_where_picks_an_output_of_any_map(outputs):
    make = {"texts": str, "floats": lambda x: x / 2, "integers": lambda x: 3 * x}[outputs]
    with kofn.ThreadPool(2) as pool:
        answer = kofn.map(make, range(4), workers=pool)
    assert [answer.value[answer.where(k)] for k in range(4)] == [make(k) for k in range(4)]


def test_the_answer_of_a_map_says_how_many_outputs_are_missing():
    with kofn.Straggling(kofn.ThreadPool(5), Late(2, 3)) as pool:
        answer = kofn.map(str, range(5), workers=pool, code="uncoded", deadline=0.3)
    assert repr(answer).startswith("Answer(3 of 5 outputs, 2 missing, from 3 results")
    assert answer.value == ["0", "1", None, None, "4"]


# -- modules that are loaded when they are used


def test_what_the_pages_name_is_loaded_by_its_name():
    code = "import kofn; print(kofn.theory.__name__, kofn.theory.at_times.__name__, kofn.learned.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["kofn.simulation.theory", "at_times", "kofn.tuning.learned"]
    for package in (kofn.theory, kofn.schemes):
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
            package.nothing  # noqa: B018


def test_a_directory_of_kofn_is_its_public_names():
    assert set(dir(kofn)) == {*kofn.__all__, *kofn.MODULES, "__version__", "map", "sum"}


# -- error bars of what is in small units


def estimate(A, B, **options):
    with kofn.Straggling(kofn.ThreadPool(4), Late(0, 1)) as pool:
        return kofn.matmul(A, B, workers=pool, code="uncoded", blocks=(2, 2), deadline=0.2, rng=0, **options)


@pytest.mark.parametrize("which", ["rows of A", "columns of B"])
def test_the_report_of_an_estimate_warns_of_small_units(which):
    units = np.logspace(0, -6, 60 if which == "rows of A" else 40)
    small = (units[:, None] * A, B) if which == "rows of A" else (A, B * units)
    remarks = estimate(*small).report.remarks
    assert len(remarks) == 1 and remarks[0].startswith(f"{which} differ in size by a factor of ")
    assert not estimate(A, B).report.remarks
    with kofn.ThreadPool(4) as pool:
        assert not kofn.matmul(*small, workers=pool).report.remarks


def test_zeros_are_no_small_unit():
    assert not estimate(A * (np.arange(60) % 7 > 0)[:, None], B).report.remarks


# -- what start takes


@pytest.mark.parametrize(
    "given", [kofn.map, lambda x: x, kofn.schemes.repetition, kofn.schemes.SUMS["cyclic"](4, workers=2)]
)
def test_start_says_where_maps_and_sums_go(given):
    with pytest.raises(
        kofn.ArgumentError, match=r"products and schemes of your own; .*CodedMap\(…\)\.plan\.start\(…\)"
    ):
        kofn.start(given, workers=2)
    with pytest.raises(kofn.ArgumentError, match=r"got a ndarray; build one with kofn\.schemes"):
        kofn.start(A, workers=2)


def test_start_and_run_stop_as_the_other_faces_do():
    scheme = kofn.schemes.uncoded(A, B, blocks=(4, 1), workers=4)
    with kofn.Straggling(kofn.ThreadPool(4), Late(3)) as pool:
        assert kofn.start(scheme, workers=pool, deadline=0.2).result(timeout=30).recovered.sum() == 3
    with kofn.Straggling(kofn.ThreadPool(4), Late(3)) as pool:
        assert kofn.run(scheme, workers=pool, deadline=0.2).recovered.sum() == 3
        assert kofn.run(scheme, workers=pool, tolerance=0.9).error <= 0.9
        with pytest.raises(kofn.ArgumentError, match=r"kofn.start: 'stop' must be left out where 'deadline' is given"):
            kofn.start(scheme, workers=pool, deadline=0.2, stop=kofn.Count(1))
        with pytest.raises(kofn.ArgumentError, match=r"kofn.run: 'deadline' must be a finite number > 0"):
            kofn.run(scheme, workers=pool, deadline="2")


def test_a_job_says_where_it_stands():
    with kofn.Straggling(kofn.ThreadPool(3), Late(0, 1, 2)) as pool:
        job = kofn.start(kofn.schemes.mds(A, B, workers=3), workers=pool)
        assert repr(job) == "<Job, running: mds, 0 of 3 results>"
        with pytest.raises(TimeoutError, match=r"no answer within 0.01 s"):
            job.result(timeout=0.01)
        job.cancel()
    assert repr(job) == "<Job, cancelled>"
    with kofn.ThreadPool(3) as pool:
        job = kofn.start(kofn.schemes.mds(A, B, workers=3), workers=pool)
        job.result()
    assert repr(job).startswith("<Job, done: Answer(exact")


# -- failures


def test_a_deadline_without_results_says_what_to_do():
    gate = threading.Event()
    with kofn.ThreadPool(2) as pool:
        for call in (partial(kofn.sum, [partial(after_release, gate)] * 4, 1.0), partial(kofn.map, str, [1, 2, 3])):
            late = kofn.Straggling(pool, Late(0, 1)) if call.func is kofn.map else pool
            with pytest.raises(
                kofn.NotDecodable, match=r"use a longer deadline, or call pool\.warm\(…\) first"
            ) as caught:
                call(workers=late, deadline=0.05)
            assert str(caught.value).startswith(f"kofn.{call.func.__name__}: ")
            gate.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_rows_that_kill_their_workers_are_named_with_what_they_hold():
    def deadly(k, x):
        if k == 2:
            os._exit(1)
        return float(k)

    with kofn.LocalPool(2) as pool:
        with pytest.raises(
            kofn.NotDecodable, match=r"kofn\.sum: .*, rows? [\d, ]+ \(term 2\) w.+ given up after 3 lost"
        ):
            kofn.sum([partial(deadly, k) for k in range(4)], 1.0, workers=pool)
        with pytest.raises(kofn.NotDecodable, match=r"row 2 \(input 2\) was given up") as caught:
            kofn.map(partial(deadly, x=0), range(4), workers=pool, code="uncoded")
    assert caught.value.estimate.recovered.tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("code", "wrong", "input"),
    [(None, 3, 3), ("uncoded", 0, 0), (partial(kofn.schemes.lagrange, private=1), None, None)],
)
def test_a_failed_function_tells_the_index_of_its_input(code, wrong, input):
    def f(x):
        if wrong is None or x == wrong:
            raise KeyError("price")
        return x

    with kofn.ThreadPool(6) as pool, pytest.raises(kofn.FunctionError) as caught:
        kofn.map(f, [0.0, 1.0, 2.0, 3.0][: 2 if wrong is None else 4], workers=pool, code=code,
                 degree=1 if wrong is None else None)  # fmt: skip
    assert caught.value.input == input and isinstance(caught.value.__cause__, KeyError)
    assert pickle.loads(pickle.dumps(caught.value)).input == input


def test_a_result_of_another_shape_tells_its_input():
    with kofn.ThreadPool(1) as pool, pytest.raises(kofn.FunctionError) as caught:
        kofn.map(lambda x: np.zeros(2 if x == 1.0 else 1), [0.0, 1.0], workers=pool, code="uncoded", estimator="lmmse")
    assert caught.value.input == 1


@pytest.mark.parametrize("engine", [kofn.ThreadPool, kofn.LocalPool], ids=["threads", "processes"])
@pytest.mark.parametrize("when", [0.0, 0.02])
def test_a_pool_that_is_closed_under_a_job_is_told_in_one_sentence(engine, when):
    pool = kofn.Straggling(engine(2), Late(0, 1))
    job = kofn.start(kofn.schemes.uncoded(A, B, workers=2), workers=pool)
    threading.Event().wait(when)
    pool.close()
    with pytest.raises(kofn.PoolClosed, match=r"^the pool was closed while a job ran on it"):
        job.result(timeout=30)


def test_what_was_closed_names_itself():
    with kofn.ThreadPool(2) as pool:
        op, total, coded = (
            kofn.operator(A, workers=pool),
            kofn.CodedSum([abs], workers=pool),
            kofn.CodedMap(abs, workers=pool),
        )
        for closed in (op, total, coded):
            closed.close()
        for call, use in (
            ("kofn.operator", lambda: op @ np.ones(30)),
            ("kofn.CodedSum", lambda: total(1.0)),
            ("kofn.CodedMap", lambda: coded([1.0])),
        ):
            with pytest.raises(kofn.PoolClosed, match=f"^{call}: it was closed before; make it anew"):
                use()


def test_a_map_goes_to_the_background_as_the_page_says():
    with kofn.ThreadPool(2) as pool, ThreadPoolExecutor(1) as background:
        assert background.submit(kofn.map, str, [1, 2], workers=pool).result().value == ["1", "2"]


class LocalCluster:
    """Stands for Dask's."""


@pytest.mark.parametrize(
    ("workers", "remedy"),
    [
        (ThreadPoolExecutor(1), "one executor for each worker, in a list"),
        (LocalCluster(), r"distributed\.Client\(cluster\)"),
        ("tcp://10.0.0.1:8786", "write 'dask:tcp://10.0.0.1:8786'"),
        (1.5, "leave it out to use every core"),
    ],
    ids=["executor", "cluster", "address", "number"],
)
def test_what_is_nearly_a_pool_has_a_remedy(workers, remedy):
    with pytest.raises(kofn.ArgumentError, match=f"kofn.map: 'workers' must be a number, a pool, .*; .*{remedy}"):
        kofn.map(str, [1], workers=workers)


@pytest.mark.parametrize("options", [{}, {"estimator": "lmmse"}, {"degree": 1}])
def test_an_asynchronous_function_is_refused(options):
    async def f(x):
        return x

    with kofn.ThreadPool(4) as pool, pytest.raises(kofn.FunctionError, match=r"coroutine at .*asyncio\.run\(f\(x\)\)"):
        kofn.map(f, [1.0, 2.0], workers=pool, **options)
