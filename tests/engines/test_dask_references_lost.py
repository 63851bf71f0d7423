"""Values at the workers of a real Dask cluster of which some stop, die or are told to go."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from dask_processes import Processes, address, keys_at, processes, tidy_pool
from kofn.engines import DaskPool, RemoteMatrix
from kofn.engines.dask import _travel
from kofn.engines.dask._hold import Hold
from kofn.engines.dask._keeping import pull
from kofn.engines.dask._travel import Travel
from kofn.errors import ReferenceLost, WorkerLost
from processes import opens, until

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
Client = distributed.Client


@pytest.fixture
def pool(client: Any) -> Iterator[DaskPool]:
    with tidy_pool(client) as pool:
        yield pool


@pytest.fixture
def own() -> Iterator[tuple[Processes, Any]]:
    """A cluster without nannies, for the tests that take it apart."""
    with processes("w0", "w1", "w2") as cluster, Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(3, 60)
        yield cluster, client


@contextmanager
def stopped(client: Any, worker: str) -> Iterator[None]:
    """A worker that looks alive and does nothing."""
    pid = client.run(os.getpid, workers=[worker])[worker]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_what_lies_at_a_stopped_worker_holds_up_nothing_else(client: Any, pool: DaskPool) -> None:
    there, here = pool.keep(1, np.ones, 100_000).result(), pool.keep(0, np.ones, 1000).result()
    pool.send(there, 2).result()
    with stopped(client, address(pool, 1)):
        late, coming = pool.send(there, 0), pool.fetch(there)
        waiting = pool.submit(2, np.sum, there)  # which has to travel first
        into = pool.send(here, 1)
        copy = pool.send(here, 3).result(timeout=30)
        assert pool.submit(3, np.sum, [copy, here]).result(timeout=30) == 2000
        assert pool.fetch(here).result(timeout=30).sum() == 1000
        assert not any(future.done() for future in (late, coming, waiting, into))
        for future in (late, coming, into):
            assert future.cancel()
        pool.stop(2, "abandon")
        until(lambda: pool.state(2) == "idle")
        assert waiting.cancelled()
    with pytest.raises(CancelledError):
        late.result()
    assert pool.submit(1, np.sum, there).result(timeout=30) == 100_000


def test_who_is_there_says_so_beside_what_he_computes_and_who_has_stopped_does_not(
    client: Any, pool: DaskPool, tmp_path: Path
) -> None:
    busy = pool.submit(0, opens(tmp_path / "gate"))
    until(lambda: pool.state(0) == "busy")
    assert pool.ping(0).result(timeout=30) is pool.ping(2).result(timeout=30) is None
    with stopped(client, address(pool, 1)):
        asked, later = pool.ping(1), pool.ping(0)
        later.result(timeout=30)
        assert not asked.done()
    assert asked.result(timeout=30) is None
    (tmp_path / "gate").touch()
    assert busy.result(timeout=30)


def test_a_copy_whose_client_is_gone_before_the_scheduler_knows_of_it_is_let_go(client: Any, pool: DaskPool) -> None:
    def look_after(seconds: float) -> None:
        import kofn.engines.dask._keeping

        kofn.engines.dask._keeping.ORPHAN = seconds

    ref = pool.keep(0, np.ones, 1000).result()
    client.run(look_after, 0.2)
    try:
        there = address(pool, 1)
        assert client.run(pull, ref.key, "kofn-orphan", address(pool, 0), workers=[there])[there][0] == "held"
        copy = pool.send(ref, 1).result()
        until(lambda: keys_at(client)[there] == [copy.key])
        assert pool.submit(1, np.sum, copy).result() == 1000
    finally:
        client.run(look_after, 30.0)


def test_what_is_lost_with_its_worker_is_told_and_what_has_a_copy_is_there(client: Any, pool: DaskPool) -> None:
    only, both = pool.keep(0, np.ones, 1000).result(), pool.keep(0, np.ones, 10).result()
    copy = pool.send(both, 1).result()
    whole = pool.export(RemoteMatrix(np.array([[only]]), (1000,), (1,), np.dtype(float)))
    gone = address(pool, 0)
    coming = [pool.submit(2, lambda value: value.sum(), only).exception() for _ in range(2)]
    assert coming == [None, None]
    os.kill(client.run(os.getpid, workers=[gone])[gone], signal.SIGKILL)
    until(lambda: pool.state(0) != "idle")
    for future in (pool.fetch(only), pool.send(only, 1), pool.submit(1, np.sum, only), pool.keep(2, np.sum, [only])):
        assert isinstance(future.exception(timeout=30), ReferenceLost)
    assert pool.state(1) == "idle" and pool.submit(1, np.sum, copy).result(timeout=30) == 10
    total = client.compute(whole.sum())
    until(lambda: total.cancelled())  # which is Dask's own word, and holds nobody up
    until(lambda: pool.state(0) == "idle", 60)


@pytest.mark.slow
def test_a_lazy_chunk_that_is_lost_is_made_again_and_a_scattered_one_is_not(own: tuple[Processes, Any]) -> None:
    cluster, client = own
    with DaskPool(client) as pool:
        lazy = da.ones((6, 2), chunks=(2, 2)).persist(scheduler=client, workers=["w1"], allow_other_workers=True)
        scattered = client.scatter(np.ones((2, 2)), workers=["w1"])
        held = da.from_delayed(scattered, (2, 2), float)
        made, given = pool.adopt(lazy), pool.adopt(held.persist(scheduler=client, workers=["w1"]))
        assert made is not None and given is not None
        assert {ref.worker for ref in given.blocks.ravel()} == {1}
        cluster.kill("w1")
        until(lambda: pool.state(1) == "dead")
        assert [pool.submit(0, np.sum, ref).result(timeout=60) for ref in made.blocks.ravel()] == [4.0] * 3
        for future in (pool.submit(0, np.sum, given.blocks[0, 0]), pool.fetch(given.blocks[0, 0])):
            assert isinstance(future.exception(timeout=30), ReferenceLost)


@pytest.mark.slow
def test_a_reference_follows_what_a_retired_worker_held(own: tuple[Processes, Any], tmp_path: Path) -> None:
    _, client = own
    with DaskPool(client) as pool:
        ref = pool.keep(1, np.ones, 1000).result()
        running = pool.submit(1, opens(tmp_path / "gate"))
        until(lambda: pool.state(1) == "busy")
        time.sleep(0.5)
        client.sync(client.scheduler.retire_workers, workers=[address(pool, 1)], close_workers=False, remove=False)
        error = running.exception(timeout=30)
        assert isinstance(error, WorkerLost) and "about to leave the cluster" in str(error)
        assert pool.state(1) == "dead"
        (tmp_path / "gate").touch()
        assert pool.submit(0, np.sum, ref).result(timeout=30) == 1000
        assert pool.submit(2, np.sum, ref).result(timeout=30) == 1000
        client.retire_workers([address(pool, 1)])
        until(lambda: len(client.nthreads()) == 2)
        assert pool.fetch(ref).result(timeout=30).sum() == 1000


@pytest.mark.slow
@pytest.mark.parametrize("nanny", [False, True])
def test_a_worker_that_is_sent_sigterm_gives_its_row_back_while_it_runs(nanny: bool, tmp_path: Path) -> None:
    options = ["--nanny"] if nanny else ["--no-nanny"]
    with (
        processes("w0", "w1", options=options) as cluster,
        Client(cluster.address, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, 60)
        with DaskPool(client) as pool:
            running = pool.submit(1, opens(tmp_path / "gate"))
            time.sleep(0.5)
            cluster.running["w1"].send_signal(signal.SIGTERM)
            error = running.exception(timeout=5)
            assert isinstance(error, WorkerLost)
            (tmp_path / "gate").touch()
            assert pool.submit(0, int, "3").result(timeout=30) == 3


@pytest.mark.slow
def test_a_worker_with_notice_hands_over_what_it_holds(tmp_path: Path) -> None:
    options = ["--nanny", "--preload-nanny", "kofn.engines.dask.handover"]
    with (
        processes("w0", "w1", options=options) as cluster,
        Client(cluster.address, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, 60)
        with DaskPool(client) as pool:
            ref = pool.keep(1, np.ones, 1_000_000).result()
            running = pool.submit(1, opens(tmp_path / "gate"))
            time.sleep(0.5)
            cluster.running["w1"].send_signal(signal.SIGTERM)
            assert isinstance(running.exception(timeout=20), WorkerLost)
            until(lambda: len(client.nthreads()) == 1, 60)
            assert cluster.running["w1"].wait(60) is not None
            assert pool.submit(0, np.sum, ref).result(timeout=30) == 1_000_000
            assert "without having handed over" not in cluster.log("w1")


class Wanted:
    """In place of a future of Dask's."""


def test_a_copy_to_a_worker_that_has_left_fails_soon_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask tries to reach one that has died for half a minute; the value would stay at others all the time."""
    monkeypatch.setattr(_travel, "LOOKING", 0.01)
    members = {"there": None, "gone": None}

    async def run(*_: Any, **__: Any) -> None:
        members.pop("gone", None)
        await asyncio.Event().wait()

    async def copied() -> weakref.ref[Wanted]:
        loop = SimpleNamespace(asyncio_loop=asyncio.get_running_loop())
        cluster: Any = SimpleNamespace(members=members, leaving=set(), is_reachable=True)
        client: Any = SimpleNamespace(run=run, loop=loop)
        travel, future = Travel(client, cluster), Wanted()
        journey = travel.start(partial(travel.copy, Hold("key", cast(Any, future), "there"), "gone"))
        await asyncio.wait([journey], timeout=20)
        assert isinstance(journey.exception(), OSError)
        return weakref.ref(future)

    gc.disable()
    try:
        assert asyncio.run(copied())() is None
    finally:
        gc.enable()
