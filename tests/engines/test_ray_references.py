"""Values that stay in Ray's object store, on a real Ray of this machine."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import kofn
from kofn.engines import RayPool, Ref, RemoteMatrix
from kofn.engines.ray import _keeping as ray_keeping
from kofn.errors import ArgumentError, PoolClosed, ReferenceLost
from kofn.testing import check_references
from processes import until

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.slow
"""Another Ray takes seconds to start; what is fast is in `test_ray`."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=12, object_store_memory=300_000_000, **options)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def shared(cluster: None) -> Iterator[RayPool]:
    with RayPool(3, grace_seconds=0.1) as pool:
        until(lambda: [pool.state(worker) for worker in range(3)] == ["idle"] * 3, 60)
        yield pool


@pytest.fixture
def pool(shared: RayPool) -> Iterator[RayPool]:
    yield shared
    until(lambda: [shared.state(worker) for worker in range(3)] == ["idle"] * 3, 60)


def stored(_: Any = None) -> int:
    """Bytes in Ray's store, as Ray tells, about once a second."""
    gc.collect()
    return int(ray.cluster_resources()["object_store_memory"] - ray.available_resources()["object_store_memory"])


def test_the_battery(cluster: None) -> None:
    options: Any = {"straggler_seconds": 10.0, "patience_seconds": 60.0, "held_bytes": stored}
    assert set(check_references(lambda: RayPool(3), **options).values()) == {"held"}


def test_what_is_kept_does_not_come_here(pool: RayPool) -> None:
    ref = pool.keep(0, np.ones, 1_000_000).result()
    nodes = {node["NodeID"] for node in ray.nodes()}
    location = ray.experimental.get_object_locations([ref.handle.reference])[ref.handle.reference]
    assert set(location["node_ids"]) == nodes == {ref.handle.home}
    assert pool.submit(1, np.sum, ref).result() == 1e6
    assert pool.moved() == {}  # all workers are at this machine


def test_small_values_are_not_copied_by_tasks_for_which_ray_would_start_processes(
    pool: RayPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie with this process, and go to an actor with its task."""
    monkeypatch.setattr(ray_keeping, "copied", None)
    A, B = np.arange(48.0).reshape(12, 4), np.arange(20.0).reshape(4, 5)
    blocks = [[ray.put(A[at : at + 3])] for at in range(0, 12, 3)]
    answer = kofn.matmul(blocks, [[ray.put(B)]], workers=pool, redundancy=1)
    assert np.array_equal(np.vstack(ray.get([row[0] for row in answer.value])), A @ B)
    (ref,) = pool.refer([ray.put(1.5)])
    assert ref is not None and pool.submit(2, abs, pool.send(ref, 2).result()).result() == 1.5


def test_what_a_task_needed_goes_with_its_reference(cluster: None) -> None:
    """Neither the pool nor the actor holds on to it until the next task."""
    with RayPool(2) as pool:
        until(lambda: pool.state(1) == "idle", 60)
        until(lambda: stored() == 0, 60)
        ref = pool.keep(0, np.ones, 1_000_000).result()
        assert pool.submit(1, np.sum, ref).result() == 1e6
        until(lambda: stored() >= ref.size, 60)
        pool.release(ref)
        until(lambda: stored() == 0, 60)


def test_what_is_fetched_is_ones_own(pool: RayPool) -> None:
    ref = pool.keep(0, np.ones, 100_000).result()
    mine = pool.fetch(ref).result()
    mine += 1.0
    assert pool.fetch(ref).result().sum() == 100_000


def test_a_result_that_cannot_be_kept_says_its_type(pool: RayPool) -> None:
    import threading

    error = pool.keep(0, threading.Lock).exception()
    assert error is not None and "a _thread.lock, cannot be sent back" in str(error)
    assert pool.keep(0, np.ones, 2).result().size == 16


def test_a_reference_of_another_engine_is_lost_here(pool: RayPool) -> None:
    with kofn.ThreadPool(1) as threads:
        theirs = kofn.engines.references_of(threads).keep(0, np.ones, 3).result()
        for future in (pool.submit(0, np.sum, theirs), pool.fetch(theirs), pool.send(theirs, 1)):
            with pytest.raises(ReferenceLost):
                future.result()
    pool.release(theirs)
    assert pool.state(0) == "idle"


# -- matrices of Ray's own ----------------------------------------------------------------------------


def test_lists_of_object_refs_are_taken_where_they_are(pool: RayPool) -> None:
    heights, widths = (3, 2), (4, 300_000, 1)
    value: Any = [[ray.put(np.full((h, w), 10.0 * i + j)) for j, w in enumerate(widths)] for i, h in enumerate(heights)]
    matrix = pool.adopt(value)
    assert matrix is not None
    assert (matrix.heights, matrix.widths, matrix.dtype) == (heights, widths, np.dtype(float))
    for (i, j), ref in np.ndenumerate(matrix.blocks):
        assert isinstance(ref, Ref) and ref.spec is not None
        assert ref.spec.shape == (heights[i], widths[j])
        assert ref.handle.reference == value[i][j]  # nothing has moved
        assert pool.submit(2, np.mean, ref).result() == 10.0 * i + j
    pool.release(matrix.blocks[0, 0])
    assert ray.get(value[0][0]).shape == (3, 4)  # it stays whoever's it was


def test_blocks_that_do_not_fit_are_refused(pool: RayPool) -> None:
    square, line, long = (ray.put(np.ones(shape)) for shape in ((2, 2), (2,), (3, 2)))
    for value in (3, [square], [[square], [square, square]], [[np.ones((2, 2))]], [], [[]]):
        assert pool.adopt(value) is None
    with pytest.raises(ArgumentError, match="blocks that are matrices"):
        pool.adopt([[square, line]])
    with pytest.raises(ArgumentError, match=r"blocks that are matrices.*a str"):
        pool.adopt([[square, ray.put("text")]])
    with pytest.raises(ArgumentError, match="one height in each row"):
        pool.adopt([[square, long]])

    def fails() -> None:
        raise LookupError("no such block")

    with pytest.raises(ArgumentError, match=r"could be computed.*no such block"):
        pool.adopt([[square, ray.remote(fails).remote()]])


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_blocks_of_a_worker_that_dies_or_stops_are_there_without_copies(pool: RayPool, sign: signal.Signals) -> None:
    blocks = [[pool.keep(0, np.full, (100, 80), float(i)).result().handle.reference] for i in range(3)]
    process = pool.pids()[0]
    assert process is not None
    os.kill(process, sign)
    answer = kofn.matmul(blocks, [[ray.put(np.ones((80, 50)))]], workers=pool)
    expected = np.repeat([0.0, 80.0, 160.0], 100)[:, None] * np.ones(50)
    assert answer.exact and np.array_equal(
        np.block([[ray.get(block) for block in row] for row in answer.value]), expected
    )


def test_an_exported_matrix_outlives_the_pool(cluster: None) -> None:
    with RayPool(1) as pool:
        blocks = np.empty((1, 2), object)
        blocks[0, 0] = pool.keep(0, np.ones, (100, 1000)).result()
        blocks[0, 1] = pool.keep(0, np.zeros, (100, 1)).result()
        exported = pool.export(RemoteMatrix(blocks, (100,), (1000, 1), np.dtype(float)))
        outstanding = pool.keep(0, np.ones, (100, 1000)).result()
    assert [[ray.get(block).sum() for block in row] for row in exported] == [[100_000.0, 0.0]]
    assert outstanding.handle.reference is None
    with pytest.raises(PoolClosed):
        pool.fetch(outstanding)


def test_object_refs_are_inputs_and_terms(pool: RayPool) -> None:
    shards = [np.full(50_000, float(k)) for k in range(6)]
    given = [ray.put(shard) for shard in shards[:3]] + [ray.remote(np.full).remote(50_000, float(k)) for k in (3, 4, 5)]
    answer = kofn.map(np.sum, given, workers=pool)
    assert answer.exact and answer.value == [50_000.0 * k for k in range(6)] and answer.report.sent_bytes == 0
    total = kofn.sum(np.multiply, 2.0, data=given, workers=pool, code="cyclic")
    assert total.exact and np.array_equal(total.value, 2 * sum(shards))
    with kofn.imap(len, iter([ray.put("text"), ray.put([1, 2])]), workers=pool) as lengths:
        assert list(lengths) == [4, 2]


def test_object_refs_that_cannot_be_had_are_refused(pool: RayPool) -> None:
    def fails() -> None:
        raise LookupError("no such table")

    broken = ray.remote(max_retries=0)(fails).remote()
    with pytest.raises(
        ArgumentError, match=r"kofn.map: 'inputs' must have values that could be computed.*no such table"
    ):
        kofn.map(abs, [ray.put(1), broken], workers=pool)
    with (
        kofn.ThreadPool(2) as threads,
        pytest.raises(ArgumentError, match=r"an ObjectRef of Ray, with a ThreadPool; give"),
    ):
        kofn.sum([ray.put(1.0)], workers=threads)


def test_a_job_gives_estimates_that_lie_in_the_store(pool: RayPool) -> None:
    A, B = np.arange(48.0).reshape(12, 4), np.ones((4, 6))
    blocks = [[ray.put(A[start : start + 3])] for start in range(0, 12, 3)]
    with kofn.start(kofn.remote_product(blocks, B, workers=pool, rng=0), workers=pool) as job:
        estimates = list(job)
    assert estimates[-1].exact
    for estimate in estimates:
        value = np.block([ray.get(row) for row in estimate.value])
        for n, p in np.ndindex(*estimate.recovered.shape):
            where = estimate.where(n, p)
            assert np.allclose(value[where], (A @ B)[where]) if estimate.recovered[n, p] else not value[where].any()
