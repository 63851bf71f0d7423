"""Products of Dask arrays on a cluster of processes: what they are, what passes the client, who may stop or die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import kofn
from dask_processes import processes
from processes import until

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((240, 90)), RNG.standard_normal((90, 130))


@pytest.fixture
def client(dask_cluster):
    with distributed.Client(dask_cluster.address, set_as_default=False) as client:
        client.wait_for_workers(4)
        yield client


@pytest.mark.parametrize(
    ("chunks_a", "chunks_b"),
    [
        ((60, 90), (90, 65)),
        ((240, 90), (90, 130)),
        (((1, 100, 39, 100), (90,)), ((90,), (130,))),
        ((50, 40), (25, 60)),
        ((7, 90), (90, 13)),
    ],
)
def test_chunks_of_any_size_are_multiplied_where_they_lie(client, chunks_a, chunks_b):
    a, b = client.persist(da.from_array(A, chunks=chunks_a)), da.from_array(B, chunks=chunks_b)  # the second is lazy
    answer = kofn.matmul(a, b, workers=client)
    assert answer.exact and isinstance(answer.value, da.Array)
    assert answer.value.shape == (240, 130) and answer.value.dtype == np.float64
    assert answer.report.sent_bytes == answer.report.received_bytes == 0
    assert np.allclose(client.compute(answer.value).result(), A @ B)
    total = client.compute((answer.value + 1.0).sum(axis=0)).result()
    assert np.allclose(total, (A @ B + 1.0).sum(axis=0))


def test_a_matrix_in_memory_goes_there_once(client):
    a = da.from_array(A, chunks=(60, 90))
    for first, second in ((a, B), (A, da.from_array(B, chunks=(90, 65)))):
        answer = kofn.matmul(first, second, workers=client)
        assert answer.exact and np.allclose(client.compute(answer.value).result(), A @ B)


def test_integers_are_numpys_bit_for_bit(client):
    a, b = np.round(9 * A).astype(np.int32), np.round(9 * B).astype(np.int64)
    answer = kofn.matmul(da.from_array(a, chunks=(60, 40)), da.from_array(b, chunks=(90, 65)), workers=client)
    assert answer.value.dtype == np.int64 and np.array_equal(client.compute(answer.value).result(), a @ b)


def test_an_estimate_knows_its_error(client):
    a, b = da.from_array(A, chunks=(60, 90)), da.from_array(B, chunks=(90, 65))
    answer = kofn.matmul(a, b, workers=client, tolerance=0.9, rng=0)
    truth = np.linalg.norm(client.compute(answer.value).result() - A @ B) / np.linalg.norm(A @ B)
    assert answer.error <= 0.9 and truth == pytest.approx(answer.error, abs=0.1)


def test_nothing_of_a_product_is_left_once_nobody_holds_it(client):
    a, b = client.persist(da.from_array(A, chunks=(60, 90))), client.persist(da.from_array(B, chunks=(90, 65)))
    answer = kofn.matmul(a, b, workers=client, redundancy=1)
    assert answer.exact
    del answer
    theirs = {future.key for future in distributed.futures_of([a, b])}
    until(lambda: {key for keys in client.has_what().values() for key in keys} <= theirs)


def test_an_operator_keeps_the_matrix_where_it_lies(client):
    a = client.persist(da.from_array(A, chunks=(50, 40)))
    with kofn.operator(a, workers=client) as op:
        for _ in range(3):
            x, y = RNG.standard_normal((90, 2)), RNG.standard_normal((240, 1))
            assert np.allclose(op @ x, A @ x)
            # A row that is late may be computed once more; of the matrix itself, 90 columns wide, nothing comes.
            assert 240 * 2 * 8 <= op.answer.report.received_bytes <= 2 * 240 * 2 * 8
            assert np.allclose(op.H @ y, A.T @ y)
        assert not op.answer.report.placed_bytes


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (da.ones((4, 3)), da.ones((4, 3)), "'B' must have 3 rows"),
        (da.ones((4, 4))[da.ones(4) > 0], da.ones((4, 4)), "'A' must have chunks of known sizes"),
        (da.ones((4, 4)).astype("M8[s]"), da.ones((4, 4)), "'A' must be a matrix of numbers"),
    ],
)
def test_what_cannot_be_multiplied_gets_a_sentence(client, a, b, said):
    with pytest.raises(kofn.ArgumentError, match=said):
        kofn.matmul(a, b, workers=client)


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (3, 4), (5, 4)])
def test_chunks_of_other_sizes_than_the_array_says_are_refused(client, shape):
    """They would be repeated, or cut off, and the answer called exact."""
    ones = dask.delayed(np.ones)
    a = da.concatenate([da.from_delayed(ones(size), shape=(4, 4), dtype=float) for size in ((4, 4), shape)])
    with pytest.raises(kofn.errors.TaskError, match=rf"chunks of the sizes that it says.*\({shape[0]}, {shape[1]}\)"):
        kofn.matmul(a, np.ones((4, 2)), workers=client)
    with pytest.raises(kofn.errors.ArgumentError, match=r"chunks of the sizes that it says"):
        kofn.operator(a, workers=client, redundancy=0) @ np.ones(4)


def test_a_client_that_is_closed_gets_a_sentence(dask_cluster):
    with distributed.Client(dask_cluster.address, set_as_default=False) as client:
        pass
    with pytest.raises(kofn.ArgumentError, match="connected distributed"):
        kofn.matmul(da.ones((4, 4)), da.ones((4, 4)), workers=client)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_worker_may_stop_or_die_in_the_middle(how):
    with processes("one", "two", "three") as cluster, distributed.Client(cluster.address) as client:
        client.wait_for_workers(3)
        numbers = da.random.default_rng(0)
        a = client.persist(numbers.standard_normal((2400, 1500), chunks=(400, 1500)))
        b = client.persist(numbers.standard_normal((1500, 1500), chunks=(1500, 750)))
        distributed.wait([a, b])
        here = a.compute() @ b.compute()
        usual = kofn.matmul(a, b, workers=client, redundancy=1).report.seconds
        victim = cluster.running["two"].pid
        timer = threading.Timer(0.5 * usual, os.killpg, (victim, how))
        timer.start()
        try:
            answer = kofn.matmul(a, b, workers=client, redundancy=1)
            assert answer.exact
            value = client.compute(answer.value).result(timeout=60)  # without the worker, which is still away
        finally:
            timer.join()
            if how is signal.SIGSTOP:
                os.killpg(victim, signal.SIGCONT)
        assert np.allclose(value, here)


def test_a_job_gives_estimates_that_are_dask_arrays(client):
    a, b = client.persist(da.from_array(A, chunks=(30, 90))), client.persist(da.from_array(B, chunks=(90, 65)))
    with kofn.start(kofn.remote_product(a, b, workers=client, rng=0), workers=client) as job:
        estimates = list(job)
    assert estimates[-1].exact and len(estimates) > 1
    for estimate in (estimates[0], estimates[-1]):
        assert isinstance(estimate.value, da.Array)
        value = client.compute(estimate.value).result()
        truth = np.linalg.norm(value - A @ B) / np.linalg.norm(A @ B)
        assert estimate.error == pytest.approx(truth, abs=0.2)
        assert np.isfinite(client.compute(estimate.value.sum()).result())


def test_a_product_with_no_matrix_of_the_client_is_no_remote_one(client):
    with pytest.raises(kofn.ArgumentError, match=r"kofn.remote_product: 'A' must lie at the workers.*with a DaskPool"):
        kofn.remote_product(A, B, workers=client)


LARGE_ANSWER = """
import resource, sys
import dask.array as da
import kofn
from distributed import Client

def told(what):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return 1024 * int(lines[what].split()[0])

if __name__ == "__main__":
    side, allowed = int(sys.argv[2]), int(sys.argv[3])
    with Client(sys.argv[1], set_as_default=False) as client:
        client.wait_for_workers(3)
        rng = da.random.default_rng(0)
        A = client.persist(rng.standard_normal((side, 40), chunks=(side // 6, 40)))
        B = client.persist(rng.standard_normal((40, side), chunks=(40, side // 6)))
        kofn.matmul(A[:60], B[:, :60], workers=client)  # whatever has to be loaded is there now
        resource.setrlimit(resource.RLIMIT_AS, (told("VmSize") + allowed,) * 2)
        before = told("VmHWM")
        answer = kofn.matmul(A, B, workers=client)
        grown = told("VmHWM") - before
        off = client.compute(abs(answer.value - A @ B).max()).result()
        print(answer.exact, answer.value.nbytes, grown, off < 1e-12)
"""


@pytest.mark.slow
def test_an_answer_may_be_larger_than_the_clients_memory(tmp_path):
    allowed = 400_000_000
    program = tmp_path / "program.py"
    program.write_text(LARGE_ANSWER)
    with processes("one", "two", "three") as cluster:
        command = [sys.executable, str(program), cluster.address, "8700", str(allowed)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    exact, nbytes, grown, is_right = done.stdout.split()
    assert exact == is_right == "True" and int(nbytes) >= 1.5 * allowed
    assert int(grown) < 100_000_000


def test_a_client_sends_sooner_while_it_has_a_pool(client):
    usual = client.scheduler_comm.interval
    with kofn.DaskPool(client), kofn.DaskPool(client):
        assert 0.0 < client.scheduler_comm.interval < usual
    until(lambda: client.scheduler_comm.interval == usual)


def test_workers_without_a_limit_take_any_number_of_copies(client):
    with kofn.DaskPool(client) as pool:
        assert all(least == limit == np.inf and held >= 0.0 for least, held, limit in pool.room())


@pytest.mark.slow
def test_no_copy_is_made_for_which_a_worker_has_no_memory():
    options = ["--no-nanny", "--memory-limit", "400MB"]
    with processes("one", "two", options=options) as cluster, distributed.Client(cluster.address) as client:
        client.wait_for_workers(2)
        with kofn.DaskPool(client) as pool:
            assert all(0.0 <= held < least < limit == 400e6 for least, held, limit in pool.room())
        # 96 MB of A and 4 MB of B at each worker, 80 MB of the answer to be made: of 240 MB nothing like A is left.
        a, b = da.zeros((24_000, 1000), chunks=(3000, 1000)), da.zeros((1000, 840), chunks=(1000, 420))
        answer = kofn.matmul(a, b, workers=client, redundancy=1)
        assert answer.exact and any("no copy was made" in remark for remark in answer.report.remarks)
        assert sum(answer.report.moved_bytes.values()) < 0.5 * a.nbytes
