"""The backend of joblib: what joblib promises of a backend, on workers that die and hang."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import kofn
from processes import held, until

joblib = pytest.importorskip("joblib")
import kofn.joblib  # noqa: E402
from kofn.joblib import Backend  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _registered():
    kofn.joblib.register()


@pytest.fixture(params=["processes", "threads"])
def pool(request, local_pool):
    if request.param == "processes":
        yield local_pool
    else:
        with kofn.ThreadPool(2) as threads:
            yield threads


def over(pool):
    return joblib.parallel_config(backend=Backend(pool))


def calls(f, *inputs):
    return [joblib.delayed(f)(*arguments) for arguments in zip(*inputs, strict=True)]


def test_results_come_in_order_whatever_the_batches(pool):
    with over(pool):
        assert joblib.Parallel()(calls(pow, range(300), [2] * 300)) == [k * k for k in range(300)]
        assert joblib.Parallel(batch_size=7)(calls(abs, range(-20, 0))) == list(range(20, 0, -1))
        with joblib.Parallel() as parallel:  # again and again, on workers that stay
            assert [parallel(calls(abs, [-k, k])) for k in range(5)] == [[k, k] for k in range(5)]
        assert joblib.Parallel()([]) == []


def test_a_generator_yields_them_in_order_or_as_they_come(pool):
    with over(pool):
        ordered = joblib.Parallel(return_as="generator")(calls(abs, range(-9, 0)))
        assert list(ordered) == list(range(9, 0, -1))
        loose = joblib.Parallel(return_as="generator_unordered")(calls(abs, range(-9, 0)))
        assert sorted(loose) == list(range(1, 10))


def test_exceptions_have_their_own_type_and_the_backend_goes_on(pool):
    with over(pool):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError, match="division") as caught:
                joblib.Parallel()(calls(lambda x: 1 // x, [3, 2, 1, 0, 5]))
            assert "Traceback at the worker" in caught.value.__notes__[0]
            assert joblib.Parallel()(calls(abs, [-1])) == [1]


def test_parallel_calls_within_calls_are_made(pool):
    def outer(k):
        return sum(joblib.Parallel(n_jobs=2)(calls(abs, range(-k, 0))))

    with over(pool):
        assert joblib.Parallel()(calls(outer, range(1, 6))) == [1, 3, 6, 10, 15]


def test_what_is_aborted_lets_go_of_what_waits(pool):
    with over(pool):
        with pytest.raises(multiprocessing.TimeoutError):
            joblib.Parallel(timeout=0.1, pre_dispatch="all", batch_size=1)(calls(time.sleep, [0.4] * 50))
        assert joblib.Parallel()(calls(abs, [-1, -2])) == [1, 2]
    until(lambda: [pool.state(worker) for worker in range(2)] == ["idle"] * 2, 5.0)  # fifty would take ten seconds


def test_effective_jobs_are_those_that_there_are():
    with kofn.ThreadPool(3) as pool:
        backend = Backend(pool)
        assert [backend.effective_n_jobs(n) for n in (None, 1, 2, 3, 8, -1, -2, -9)] == [1, 1, 2, 3, 3, 3, 2, 1]
        with joblib.parallel_config(backend=backend):
            assert joblib.effective_n_jobs() == 3 and joblib.effective_n_jobs(2) == 2
        with joblib.parallel_config(backend=backend, n_jobs=1):
            assert joblib.Parallel()(calls(threading.get_ident, *[[]])) == []
            here = joblib.Parallel()(joblib.delayed(threading.get_ident)() for _ in range(3))
    assert set(here) == {threading.get_ident()}
    with pytest.raises(kofn.ArgumentError, match=r"'n_jobs' must be an int other than 0"):
        Backend().effective_n_jobs(0)
    with pytest.raises(kofn.ArgumentError, match=r"'workers' must be"):
        Backend("many")


def test_no_more_workers_are_used_than_jobs_are_asked_for():
    with kofn.ThreadPool(4) as pool, joblib.parallel_config(backend=Backend(pool), n_jobs=2):
        names = joblib.Parallel(batch_size=1)(joblib.delayed(_name)() for _ in range(40))
    assert 1 <= len(set(names)) <= 2


def _name():
    time.sleep(0.002)
    return threading.current_thread().name


def test_its_own_processes_are_kept_between_calls_and_end_with_it():
    before = held()
    with joblib.parallel_config(backend="kofn", n_jobs=2):
        one, two = (set(joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(20))) for _ in range(2))
        assert one & two and os.getpid() not in one | two
    gc.collect()
    until(lambda: held() <= before)


def test_a_pool_that_is_given_stays_and_nothing_stays_at_it():
    before = held()
    with kofn.ThreadPool(2) as pool:
        dropped = []
        pool.drop = dropped.append
        backend = Backend(pool)
        with joblib.parallel_config(backend=backend):
            assert joblib.Parallel()(calls(abs, [-1, -2])) == [1, 2]
        backend.close()
        backend.close()
        assert len(dropped) == 1 and pool.submit(0, abs, -1).result() == 1
        with pytest.raises(kofn.PoolClosed), joblib.parallel_config(backend=backend):
            joblib.Parallel()(calls(abs, [-1, -2]))
        with joblib.parallel_config(backend=Backend(2)):
            assert joblib.Parallel()(calls(abs, [-1, -2])) == [1, 2]
    gc.collect()
    until(lambda: held() <= before)


def test_what_cannot_travel_is_told_of(local_pool):
    with over(local_pool):
        with pytest.raises(pickle.PicklingError, match=r"cannot be sent to workers: .*_thread\.lock"):
            joblib.Parallel()(calls(str, [1, threading.Lock(), 3]))
        with pytest.raises(Exception, match=r"_thread\.lock"):
            joblib.Parallel()(calls(lambda x: threading.Lock(), [1, 2]))
        assert joblib.Parallel()(calls(abs, [-1])) == [1]


def test_memory_shared_with_the_caller_is_had_on_threads_alone(local_pool):
    seen: list[int] = []
    with kofn.ThreadPool(2) as threads, over(threads):
        joblib.Parallel(require="sharedmem")(calls(seen.append, range(5)))
    assert sorted(seen) == list(range(5))
    with over(local_pool):
        joblib.Parallel(n_jobs=2, require="sharedmem")(calls(seen.append, range(5)))  # joblib takes threads of its own
    assert len(seen) == 10


def once(marker: Path, harm):
    """Do harm where this is called first."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    harm()


def test_calls_whose_worker_is_killed_or_hangs_are_made_again(tmp_path):
    def work(k, folder, harm):
        if k == 5:
            once(folder / harm.__name__, harm)
        return k * k

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def hang():
        time.sleep(3600)

    with kofn.LocalPool(2) as pool, over(pool):
        for harm in (kill, hang):
            found = joblib.Parallel()(joblib.delayed(work)(k, tmp_path, harm) for k in range(30))
            assert found == [k * k for k in range(30)]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_call_that_kills_every_worker_is_given_up(local_pool):
    with over(local_pool), pytest.raises(kofn.WorkerLost, match="given up after 3 lost workers"):
        joblib.Parallel(batch_size=1)([*calls(abs, [-1, -2, -3]), _deadly()])


def _deadly():
    return joblib.delayed(lambda: os.kill(os.getpid(), signal.SIGKILL))()


def test_a_grid_search_gives_the_same_scores_with_a_worker_killed_in_the_middle(tmp_path):
    sklearn = pytest.importorskip("sklearn.model_selection")
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    class Deadly(LogisticRegression):
        """Kills the worker that fits it at C = 1 first."""

        def fit(self, X, y):
            if self.C == 1.0 and (tmp_path / "armed").exists():
                once(tmp_path / "killed", lambda: os.kill(os.getpid(), signal.SIGKILL))
            return super().fit(X, y)

    X, y = make_classification(120, 6, random_state=0)
    search = sklearn.GridSearchCV(Deadly(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=3)
    alone = search.fit(X, y).cv_results_
    (tmp_path / "armed").touch()
    with joblib.parallel_config(backend="kofn", n_jobs=2):
        helped = search.fit(X, y).cv_results_
    assert (tmp_path / "killed").exists()
    scores = [name for name in alone if "score" in name and "time" not in name]
    assert len(scores) >= 4
    for name in scores:
        np.testing.assert_array_equal(alone[name], helped[name])


def test_kofn_does_without_joblib_and_says_what_to_install_where_it_is_asked_for():
    program = """
import sys, kofn
assert "joblib" not in sys.modules
sys.modules["joblib"] = None
try:
    import kofn.joblib
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout == "kofn.joblib needs joblib; install it with pip install 'kofn[sklearn]'.\n"


@pytest.mark.parametrize("end", ["closed", "raises"])
def test_what_calls_raised_keeps_no_thread_once_nobody_holds_it(end):
    """What is raised has the frames of the caller, and these have the backend; the thread must not hold it, too."""
    before = held()
    with kofn.ThreadPool(2) as pool:
        ended = threading.Event()

        def call(number):
            if end == "closed":
                pool.close()
                ended.wait(10)
            raise LookupError(f"no {number}")

        with pytest.raises((kofn.PoolClosed, LookupError)), over(pool):
            joblib.Parallel(batch_size=1)(calls(call, [1, 2]))
        ended.set()
    del call
    until(lambda: gc.collect() >= 0 and held() <= before)
