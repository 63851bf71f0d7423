"""A real scheduler and four workers, each a process of its own, over TCP."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kofn
from dask_processes import Processes, processes, scheduler_time, told
from kofn.engines import DaskPool, LocalPool, as_pool
from kofn.errors import ArgumentError, KofnError, NotDecodable, PoolClosed, WorkerLost
from kofn.testing._engines import check_engine
from processes import crossed, opens, slow_but, until

distributed = pytest.importorskip("distributed")
Client = distributed.Client

RNG = np.random.default_rng(7)
A, B = RNG.standard_normal((60, 30)), RNG.standard_normal((30, 40))


@pytest.fixture
def pool(client: Any) -> Iterator[DaskPool]:
    client.wait_for_workers(4, 60)
    with DaskPool(client) as pool:
        await_states(pool, "idle")
        yield pool


@pytest.fixture
def own() -> Iterator[tuple[Processes, Any]]:
    """A cluster without nannies, for the tests that take it apart."""
    with processes("w0", "w1") as cluster, Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(2, 60)
        yield cluster, client


def await_states(pool: DaskPool, *states: str, workers: Any = None, seconds: float = 30) -> None:
    workers = range(pool.n) if workers is None else workers
    until(lambda: all(pool.state(worker) in states for worker in workers), seconds)


def eventually(wanted: Any, call: Any, seconds: float = 10) -> None:
    until(lambda: call() == wanted, seconds)


def slow_product(seconds: float) -> kofn.Scheme:
    """Uncoded, so that every row is needed."""
    scheme = kofn.schemes.uncoded(A, B, workers=4)

    def late(*arguments: Any, task: kofn.Task) -> Any:
        time.sleep(seconds)
        return task.function(*arguments)

    made = scheme.encoding().encode(np.empty)
    tasks = [kofn.Task(partial(late, task=task), task.arguments, task.resident) for task in made]
    return kofn.schemes.CustomScheme(scheme.code, tasks, scheme.prior(), scheme.grid)


# -- the seam -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [10_000_000, pytest.param(200_000_000, marks=pytest.mark.slow)])
def test_the_battery(client: Any, payload: int) -> None:
    options = {"payload_bytes": payload, "straggler_seconds": 3.0, "patience_seconds": 60.0}
    held = check_engine(lambda: DaskPool(client), **options)
    assert set(held.values()) == {"held"}


@pytest.mark.parametrize(("name", "dtype"), crossed(kofn.schemes.PRODUCTS, ["float64", "float32", "complex128"]))
def test_every_product_equals_numpy(client: Any, name: str, dtype: str) -> None:
    left, right = A.astype(dtype), B.astype(dtype)
    if dtype == "complex128":
        left, right = left + 1j * A[::-1], right - 2j * B[:, ::-1]
    answer = kofn.matmul(left, right, workers=client, code=name, rng=3)
    assert answer.exact
    assert answer.value.dtype == np.dtype(dtype)
    off = np.linalg.norm(answer.value - left @ right) / np.linalg.norm(left) / np.linalg.norm(right)
    assert off <= 50 * answer.amplification * np.finfo(dtype).eps


def test_residents_are_scattered_once_and_nothing_is_left_at_the_cluster(client: Any) -> None:
    eventually(0, lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
    before = scheduler_time(client)
    with DaskPool(client) as pool:
        pool.put(0, "x", np.ones(200_000))
        for _ in range(5):
            assert pool.submit(0, np.sum, keys=("x",)).result() == 200_000
    assert told(client, "scatter", before) == 1
    eventually(0, lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
    eventually([0] * 4, lambda: list(client.run(lambda dask_worker: len(dask_worker.data)).values()))


def test_large_arguments_raise_no_warning_and_small_ones_are_not_scattered(client: Any, pool: DaskPool) -> None:
    before = scheduler_time(client)
    assert pool.submit(0, np.sum, np.ones(1000)).result() == 1000
    assert told(client, "scatter", before) == 0
    assert pool.submit(0, np.sum, np.ones(3_000_000)).result() == 3_000_000  # Dask warns of graphs that large


def test_an_argument_may_be_changed_once_it_is_submitted(pool: DaskPool) -> None:
    x = np.ones(2_000_000)
    future = pool.submit(0, np.sum, x)
    x[:] = 7
    assert future.result() == 2_000_000


# -- stragglers ---------------------------------------------------------------------------------------


def test_a_running_task_keeps_its_slot_busy_for_every_pool_of_the_client(
    client: Any, pool: DaskPool, tmp_path: Path
) -> None:
    gate, begun, wait = tmp_path / "gate", tmp_path / "begun", opens(tmp_path / "gate")
    pool.submit(0, lambda: begun.touch() or wait())
    eventually(True, begun.exists)
    assert pool.stop(0, "abandon") == "abandon"
    time.sleep(0.3)
    with DaskPool(client) as other:
        assert other.state(0) == pool.state(0) == "busy"
        assert other.state(1) == "idle"
        gate.touch()
        await_states(other, "idle")


def test_a_queued_task_is_taken_back(client: Any, pool: DaskPool, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    somebody = client.submit(opens(gate), workers=["w2"], pure=False)
    eventually(True, lambda: str(somebody.key) in str(client.processing()))
    slot = next(worker for worker in range(4) if pool._slots[worker].name == "w2")
    future = pool.submit(slot, int, "3")
    eventually(True, lambda: sum(len(tasks) for tasks in client.processing().values()) == 2)
    pool.stop(slot, "abandon")
    assert future.cancelled()
    await_states(pool, "idle", workers=[slot])
    assert somebody.status == "pending"  # though the worker has not ended what was before it
    gate.touch()
    assert somebody.result()


def test_kill_restarts_the_worker_where_a_nanny_is(pool: DaskPool) -> None:
    before = pool.submit(3, os.getpid).result()
    future = pool.submit(3, time.sleep, 60.0)
    time.sleep(0.3)
    assert pool.stop(3, "kill") == "kill"
    assert future.cancelled()
    await_states(pool, "starting", "dead", workers=[3])
    await_states(pool, "idle", workers=[3])
    assert pool.submit(3, os.getpid).result() != before


def test_ten_jobs_in_a_row_end_before_the_slow_worker(pool: DaskPool) -> None:
    x, y = RNG.standard_normal((30, 20)), RNG.standard_normal((20, 10))
    straggling = kofn.Straggling(pool, kofn.Slowdown(kofn.Constant(0.3), {0: 10.0}))
    for job in range(10):
        answer = kofn.matmul(x, y, workers=straggling, code="mds", blocks=(3, 1), rows=4, rng=job)
        assert answer.exact
        np.testing.assert_allclose(answer.value, x @ y, atol=1e-9)
        assert {attempt.worker for attempt in answer.report.of("arrived")} <= {1, 2, 3}


@pytest.mark.parametrize(("code", "chunk_rows"), [("mds", 3), ("kronecker", 4), ("uncoded", 100)])
def test_a_product_can_stay_on_the_cluster(client: Any, pool: DaskPool, code: str, chunk_rows: int) -> None:
    x, y = RNG.standard_normal((10, 6)), RNG.standard_normal((6, 7))
    out = kofn.ClusterArray(client, (10, 7), chunk_rows=chunk_rows)
    answer = kofn.matmul(x, y, workers=pool, code=code, out=out, rng=0)
    assert answer.exact and answer.value is out
    held = out.to_dask()
    assert held.chunks == (tuple(min(chunk_rows, 10 - start) for start in range(0, 10, chunk_rows)), (7,))
    np.testing.assert_allclose(client.compute(held).result(), x @ y, atol=1e-10)
    with client.as_current():
        np.testing.assert_allclose(kofn.matmul(held, np.eye(7), workers=pool).value, x @ y, atol=1e-10)


def test_a_cluster_array_says_what_it_lacks(client: Any) -> None:
    out = kofn.ClusterArray(client, (10, 7))
    with pytest.raises(ArgumentError, match=r"'to_dask' must be written whole first, but got 0 of 1 chunks"):
        out.to_dask()
    for _ in range(10):
        out[0] = 1.0  # ten times the same row are not ten rows
    with pytest.raises(ArgumentError, match=r"'to_dask' must be written whole first"):
        out.to_dask()
    with pytest.raises(ArgumentError, match=r"'shape' must be a pair \(m, n\), but got 5"):
        kofn.ClusterArray(client, 5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"'out' must be an array of shape \(10, 7\) and dtype float32"):
        kofn.matmul(np.ones((10, 2), "f4"), np.ones((2, 7), "f4"), workers=2, out=out)
    with pytest.raises(ArgumentError, match=r"'client' must be a connected distributed\.Client, but got a str"):
        kofn.ClusterArray("tcp://somewhere", (2, 2))  # type: ignore[arg-type]


# -- deaths -------------------------------------------------------------------------------------------


def test_a_killed_worker_costs_nothing_but_its_rows(client: Any, pool: DaskPool) -> None:
    victim = pool.submit(1, os.getpid).result()
    job = kofn.start(slow_product(0.6), workers=pool)
    time.sleep(0.3)
    os.kill(victim, signal.SIGKILL)
    answer = job.result(timeout=30)
    assert answer.exact
    np.testing.assert_allclose(answer.value, A @ B, atol=1e-9)
    assert [attempt.worker for attempt in answer.report.of("lost")] == [1]


@pytest.mark.slow
def test_a_restart_in_the_middle_ends_in_the_answer_or_a_clear_error(client: Any, pool: DaskPool) -> None:
    job = kofn.start(slow_product(1.0), workers=pool)
    time.sleep(0.5)
    threading.Thread(target=client.restart, kwargs={"wait_for_workers": False}).start()
    try:
        answer = job.result(timeout=40)
    except NotDecodable as error:
        assert "gone" in str(error)
    else:
        np.testing.assert_allclose(answer.value, A @ B, atol=1e-9)
    eventually(4, lambda: len(client.nthreads()), seconds=60)


@pytest.mark.parametrize("signal_name", slow_but(["SIGKILL", "SIGTERM"], {"SIGKILL"}))
def test_a_scheduler_that_goes_away_is_a_clear_error(own: tuple[Processes, Any], signal_name: str) -> None:
    cluster, client = own
    with DaskPool(client) as pool:
        job = kofn.start(slow_product(20.0), workers=pool)
        await_states(pool, "busy")
        cluster.running["scheduler"].send_signal(getattr(signal, signal_name))
        with pytest.raises(KofnError, match=r"scheduler at tcp://.* cannot be reached any more"):
            job.result(timeout=10)
        assert [pool.state(worker) for worker in range(2)] == ["dead"] * 2
        with pytest.raises(PoolClosed, match="cannot be reached"):
            pool.submit(0, int)
        assert pool.stop(0, "kill") == "nothing"
    with pytest.raises(ArgumentError, match="'client' must be a connected"):
        DaskPool(client)


def test_a_client_that_is_closed_under_a_job_is_a_clear_error(client: Any) -> None:
    with Client(client.scheduler.address, set_as_default=False) as mine:
        job = kofn.start(slow_product(3.0), workers=mine)
        time.sleep(0.7)
        mine.close()
        with pytest.raises(KofnError, match="cannot be reached any more"):
            job.result(timeout=5)


def test_all_workers_gone_is_a_clear_error(own: tuple[Processes, Any]) -> None:
    cluster, client = own
    with DaskPool(client) as pool:
        job = kofn.start(slow_product(20.0), workers=pool)
        await_states(pool, "busy")
        for name in ("w0", "w1"):
            cluster.kill(name)
        with pytest.raises(NotDecodable, match="all 2 workers are gone"):
            job.result(timeout=10)


@pytest.mark.slow
def test_a_slot_comes_back_under_its_name_and_a_dead_one_is_taken_over(own: tuple[Processes, Any]) -> None:
    cluster, client = own
    with DaskPool(client) as pool:
        pool.put(0, "x", np.arange(10.0))
        assert pool.submit(0, np.sum, keys=("x",)).result() == 45
        future = pool.submit(0, time.sleep, 60.0)
        time.sleep(0.5)
        cluster.kill("w0")
        assert isinstance(future.exception(timeout=5), WorkerLost)
        assert pool.state(0) == "dead"
        with pytest.raises(WorkerLost, match="worker 0 is dead"):
            pool.submit(0, int)
        cluster.worker("w0", "--no-nanny")
        await_states(pool, "idle", workers=[0])
        assert pool.submit(0, np.sum, keys=("x",)).result() == 45  # put again by the pool, not by us
        cluster.worker("new", "--no-nanny")
        eventually(3, lambda: len(client.nthreads()), seconds=30)
        assert pool.n == 2
        cluster.kill("w0")
        eventually("new", lambda: pool._slots[0].name)
        assert pool.submit(0, np.sum, keys=("x",)).result() == 45
    with DaskPool(client) as later:
        assert later.n == 2


# -- what is accepted ---------------------------------------------------------------------------------


def test_a_client_is_accepted_and_left_open(client: Any) -> None:
    made, owned = as_pool(client)
    assert isinstance(made, DaskPool)
    assert owned
    made.close()
    assert client.status == "running"


def test_what_is_not_a_connected_client_is_refused() -> None:
    async def refuse() -> None:
        async with (
            distributed.LocalCluster(
                processes=False, n_workers=0, dashboard_address=":0", asynchronous=True
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            with pytest.raises(ArgumentError, match="not an asynchronous one"):
                DaskPool(client)

    asyncio.run(refuse())
    with pytest.raises(ArgumentError, match="'client' must be a connected"):
        DaskPool(object())  # type: ignore[arg-type]
    with (
        processes() as cluster,
        Client(cluster.address, set_as_default=False) as client,
        pytest.raises(ArgumentError, match="must have at least one worker"),
    ):
        DaskPool(client)


def test_importing_kofn_does_not_import_dask() -> None:
    code = "import sys, kofn; kofn.DaskPool; print('dask' in sys.modules, 'distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("False False", "")


def test_local_processes_give_the_same_answer(client: Any) -> None:
    with LocalPool(4) as local:
        here = kofn.matmul(A, B, workers=local, code="uncoded", rng=1)
    there = kofn.matmul(A, B, workers=client, code="uncoded", rng=1)
    assert np.array_equal(here.value, there.value)


def test_a_simulated_straggler_wakes_up_once_nobody_waits_for_it(pool: DaskPool) -> None:
    """Or it would hold a worker that belongs to others for an hour."""
    straggling = kofn.Straggling(pool, kofn.Slowdown(kofn.Constant(0.01), {2: 1e6}))
    straggling.submit(2, int)
    time.sleep(0.5)
    straggling.stop(2, "abandon")
    await_states(pool, "idle", workers=[2], seconds=5)
    straggling.submit(2, int)
    time.sleep(0.5)
    pool.close()
    with DaskPool(pool._slots[2].client) as other:
        await_states(other, "idle", workers=[2], seconds=5)
