"""Values that stay at the workers of a real Dask cluster: kept, sent, adopted, exported, lost."""

from __future__ import annotations

import asyncio
import os
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil
import pytest

from dask_processes import address, keys_at, processes, tidy_pool
from kofn.engines import DaskPool, RemoteMatrix
from kofn.engines.dask._travel import Travel
from kofn.errors import ArgumentError, PoolClosed, ReferenceLost, WorkerLost
from kofn.testing import check_references
from processes import opens, until

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
Client = distributed.Client

RNG = np.random.default_rng(11)


@pytest.fixture
def pool(client: Any) -> Iterator[DaskPool]:
    with tidy_pool(client) as pool:
        yield pool


# -- the seam -----------------------------------------------------------------------------------------


def held_bytes(pool: DaskPool) -> int:
    """Bytes at the workers, as they count them."""
    client = pool._travel.client
    return sum(
        client.run(lambda dask_worker: sum(task.nbytes or 0 for task in dask_worker.state.tasks.values())).values()
    )


@pytest.mark.parametrize("payload", [10_000_000, pytest.param(200_000_000, marks=pytest.mark.slow)])
def test_the_battery(client: Any, payload: int) -> None:
    options = {"payload_bytes": payload, "straggler_seconds": 3.0, "patience_seconds": 60.0}
    held = check_references(lambda: DaskPool(client), held_bytes=held_bytes, **options)
    assert set(held.values()) == {"held"}


# -- kept ---------------------------------------------------------------------------------------------


def test_a_kept_array_is_in_the_memory_of_its_worker_alone(client: Any, pool: DaskPool) -> None:
    ref = pool.keep(2, np.ones, 300_000).result()
    assert (ref.worker, ref.size, ref.spec and ref.spec.shape) == (2, 2_400_000, (300_000,))
    where = {worker: keys for worker, keys in keys_at(client).items() if ref.key in keys}
    assert list(where) == [address(pool, 2)]
    assert pool.fetch(ref).result().sum() == 300_000
    pool.release(ref)
    until(lambda: not any(keys_at(client).values()))
    error = pool.submit(2, np.sum, ref).exception()
    assert isinstance(error, ReferenceLost) and pool.state(2) == "idle"


def resident_bytes(client: Any, worker: str) -> int:
    """What the operating system says of a worker's memory."""
    found: int = client.run(lambda: psutil.Process().memory_info().rss, workers=[worker])[worker]
    return found


def test_the_memory_of_a_worker_is_given_back(client: Any, pool: DaskPool) -> None:
    worker = address(pool, 1)
    pool.keep(1, np.ones, 1000).result()
    before = resident_bytes(client, worker)
    kept, copied = pool.keep(1, np.ones, 10_000_000).result(), pool.keep(0, np.ones, 10_000_000).result()
    here = pool.send(copied, 1).result()
    assert resident_bytes(client, worker) > before + 150_000_000
    pool.release(kept)
    pool.release(here)
    until(lambda: resident_bytes(client, worker) < before + 30_000_000)


@pytest.mark.slow
def test_what_does_not_fit_is_spilled_to_disk_and_comes_back() -> None:
    options = ["--nanny", "--memory-limit", "800MB"]
    with (
        processes("w0", "w1", options=options) as cluster,
        Client(cluster.address, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, 60)
        with DaskPool(client) as pool:
            refs = [pool.keep(0, np.full, 5_000_000, float(k)).result(timeout=60) for k in range(30)]  # 1.2 GB
            spilled = client.run(lambda dask_worker: len(dask_worker.data.slow), workers=[address(pool, 0)])
            assert next(iter(spilled.values())) >= 5
            assert [pool.submit(0, np.max, ref).result(timeout=60) for ref in refs] == list(range(30))
            assert pool.submit(1, np.max, refs[0]).result(timeout=60) == 0
            for ref in refs:
                pool.release(ref)
            until(lambda: not any(keys_at(client).values()))


def test_a_part_of_a_large_array_does_not_keep_all_of_it(client: Any, pool: DaskPool) -> None:
    whole = pool.keep(0, np.ones, 100_000).result()
    part = pool.keep(0, lambda array: array[:10], whole).result()
    key = part.key
    assert client.run(lambda dask_worker: dask_worker.data[key].base is None, workers=[address(pool, 0)]).popitem()[1]


def test_a_reference_that_nobody_has_any_more_lets_go_of_its_value(client: Any, pool: DaskPool) -> None:
    pool.keep(0, np.ones, 10).result()
    until(lambda: not any(keys_at(client).values()))
    future = pool.keep(0, time.sleep, 0.2)
    pool.stop(0, "abandon")
    assert future.cancelled()  # its value would have nobody to let go of it
    until(lambda: pool.state(0) == "idle" and not any(keys_at(client).values()))


def test_no_replica_is_made_under_a_key_that_the_memory_manager_might_drop(client: Any, pool: DaskPool) -> None:
    ref = pool.keep(0, np.ones, 1000).result()
    copy = pool.send(ref, 1).result()
    assert pool.submit(3, np.sum, [ref, copy]).result() == 2000
    holders = client.run_on_scheduler(
        lambda dask_scheduler: {key: len(task.who_has or ()) for key, task in dask_scheduler.tasks.items()}
    )
    assert (holders[ref.key], holders[copy.key]) == (1, 1)


def test_what_travels_is_counted_by_pair(client: Any, pool: DaskPool) -> None:
    ref = pool.keep(0, np.ones, 1000).result()
    assert pool.moved() == {}
    pool.send(ref, 0).result()
    pool.send(ref, 2).result()
    pool.submit(2, np.sum, ref).result()
    pool.submit(0, np.sum, ref).result()
    assert pool.moved() == {(0, 2): 16_000}


def test_who_is_gone_does_not_say_that_he_is_there() -> None:
    async def nobody(**_: Any) -> dict[str, Any]:
        return {}

    loop, scheduler = SimpleNamespace(asyncio_loop=None), SimpleNamespace(broadcast=nobody)
    travel = Travel(cast(Any, SimpleNamespace(loop=loop, scheduler=scheduler)), cast(Any, None))
    travel.index["tcp://gone"] = 3
    with pytest.raises(WorkerLost, match="worker 3 is not there any more"):
        asyncio.run(travel.ping("tcp://gone"))


def test_a_copy_arrives_while_both_workers_compute(pool: DaskPool, tmp_path: Path) -> None:
    ref = pool.keep(0, np.arange, 1000).result()
    late = [pool.submit(worker, opens(tmp_path / "gate")) for worker in (0, 1)]
    copy = pool.send(ref, 1).result(timeout=30)
    assert pool.fetch(copy).result(timeout=30).sum() == 499_500
    assert not any(future.done() for future in late)
    (tmp_path / "gate").touch()
    assert all(future.result(timeout=30) for future in late)


# -- arrays of Dask -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [((3, 4, 1), (5, 2)), ((8,), (7,)), ((0, 8), (7, 0))])
@pytest.mark.parametrize("persisted", [True, False])
def test_an_array_is_adopted_as_it_is_chunked(client: Any, pool: DaskPool, chunks: Any, persisted: bool) -> None:
    array = RNG.standard_normal((8, 7))
    lazy = da.from_array(array, chunks=chunks) + 1.0
    value = client.persist(lazy) if persisted else lazy
    matrix = pool.adopt(value)
    assert matrix is not None
    assert (matrix.heights, matrix.widths, matrix.dtype) == (*chunks, np.dtype(float))
    found = np.block([[pool.fetch(ref).result() for ref in row] for row in matrix.blocks.tolist()])
    assert np.array_equal(found, array + 1.0)
    assert all(ref.spec is not None and ref.spec.nbytes == ref.size for ref in matrix.blocks.ravel())
    here = [ref for ref in matrix.blocks.ravel() if ref.worker == matrix.blocks[0, 0].worker]
    assert pool.submit(here[0].worker, lambda parts: len(parts), here).result() == len(here)
    assert pool.moved() == {}  # each is where its reference says


@pytest.fixture
def no_manager(client: Any) -> Iterator[None]:
    """Dask's memory manager does nothing by itself meanwhile."""
    client.amm.stop()
    yield
    client.amm.start()


def spread(client: Any, futures: list[Any]) -> None:
    """Have each worker hold these values."""

    def acquire(dask_scheduler: Any) -> None:
        for worker in dask_scheduler.workers:
            dask_scheduler.request_acquire_replicas(worker, [future.key for future in futures], stimulus_id="test")

    client.run_on_scheduler(acquire)
    until(lambda: all(len(holders) == 4 for holders in client.who_has(futures).values()))


def leave_one(client: Any, futures: list[Any], stays: str) -> None:
    """What the memory manager does with values that lie at several workers; who keeps them is chosen here."""

    def drop(dask_scheduler: Any) -> None:
        for future in futures:
            for worker in {state.address for state in dask_scheduler.tasks[future.key].who_has} - {stays}:
                dask_scheduler.request_remove_replicas(worker, [future.key], stimulus_id="test")

    client.run_on_scheduler(drop)
    until(lambda: all(list(holders) == [stays] for holders in client.who_has(futures).values()))


def persisted(client: Any) -> tuple[Any, list[Any]]:
    """An array of two chunks, and their futures."""
    value = client.persist(da.from_array(np.ones((4, 400)), chunks=(2, 400)) + 1.0)
    futures = distributed.futures_of(value, client)
    until(lambda: all(future.done() for future in futures))
    return value, futures


@pytest.mark.parametrize("several", ["before", "later"])
def test_a_chunk_is_counted_on_where_it_was_once_though_dask_drops_it_there(
    client: Any, pool: DaskPool, no_manager: None, several: str
) -> None:
    value, futures = persisted(client)
    if several == "before":
        spread(client, futures)
    matrix = pool.adopt(value)
    assert matrix is not None
    first = matrix.blocks[0, 0]
    if several == "before":
        until(lambda: all(ref.handle.pin is not None for ref in matrix.blocks.ravel()))
    else:
        spread(client, futures)
    leave_one(client, futures, address(pool, (first.worker + 1) % pool.n))
    for _ in range(3):
        assert pool.submit(first.worker, np.sum, first).result() == 1600
    assert sum(pool.moved().values()) == (0 if several == "before" else first.size)


def test_what_is_counted_on_is_let_go_with_its_reference(client: Any, pool: DaskPool, no_manager: None) -> None:
    value, futures = persisted(client)
    spread(client, futures)
    refs: list[Any] = []
    refs.extend(pool.adopt(value).blocks.ravel())
    until(lambda: refs[0].handle.pin is not None)
    copy = refs[0].handle.pin.key
    assert any(copy in keys for keys in keys_at(client).values())
    refs.clear()
    until(lambda: not any(copy in keys for keys in keys_at(client).values()))


def test_what_was_lazy_is_computed_once(client: Any, pool: DaskPool, tmp_path: Path) -> None:
    def counted(block: Any) -> Any:
        (tmp_path / f"{time.monotonic_ns()}-{os.getpid()}").touch()
        return block + 1

    matrix = pool.adopt(da.zeros((4, 4), chunks=(2, 2)).map_blocks(counted, dtype=float, meta=np.empty((0, 0))))
    assert matrix is not None
    for ref in matrix.blocks.ravel():
        for worker in range(2):
            assert pool.submit(worker, np.sum, ref).result() == 4
    assert len(list(tmp_path.iterdir())) == 4


def test_an_adopted_chunk_stays_its_owners(client: Any, pool: DaskPool) -> None:
    mine = client.persist(da.ones((4, 4), chunks=2))
    matrix = pool.adopt(mine)
    assert matrix is not None
    for ref in matrix.blocks.ravel():
        pool.release(ref)
    assert client.compute(mine.sum()).result() == 16
    again = pool.adopt(mine)
    del mine
    assert again is not None
    assert sum(pool.submit(0, np.sum, ref).result() for ref in again.blocks.ravel()) == 16


def test_what_is_no_matrix_of_dask_is_not_adopted(client: Any, pool: DaskPool) -> None:
    for value in (np.ones((2, 2)), 3, [1.0], "text", None, client.submit(int)):
        assert pool.adopt(value) is None


def test_what_cannot_be_adopted_is_refused_in_a_sentence(client: Any, pool: DaskPool, dask_cluster: Any) -> None:
    lazy = da.ones((6, 2), chunks=(2, 2))
    with pytest.raises(ArgumentError, match=r"'value' must have chunks of known sizes, but got .*compute_chunk_sizes"):
        pool.adopt(lazy[lazy[:, 0] > 0])
    with pytest.raises(ArgumentError, match=r"'value' must have two dimensions, but got one of 1"):
        pool.adopt(da.ones(3))
    with Client(dask_cluster.address, set_as_default=False) as other:
        theirs = other.persist(lazy)
        with pytest.raises(ArgumentError, match=r"'value' must be an array of the pool's own client"):
            pool.adopt(theirs)
        with DaskPool(other) as second:
            kept = second.keep(0, int).result()
            other.close()
            for call in (lambda: second.adopt(theirs), lambda: second.fetch(kept), lambda: second.send(kept, 1)):
                with pytest.raises(PoolClosed, match="cannot be reached any more"):
                    call()


def test_a_chunk_that_fails_says_why(client: Any, pool: DaskPool) -> None:
    def fail(block: Any) -> Any:
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        pool.adopt(da.ones((4, 4), chunks=2).map_blocks(fail, dtype=float, meta=np.empty((0, 0))))


def kept_matrix(pool: DaskPool, heights: Any, widths: Any) -> tuple[RemoteMatrix, Any]:
    blocks = np.empty((len(heights), len(widths)), object)
    parts = [[RNG.standard_normal((height, width)) for width in widths] for height in heights]
    for i, j in np.ndindex(blocks.shape):
        blocks[i, j] = pool.keep((i + j) % pool.n, np.array, parts[i][j]).result()
    return RemoteMatrix(blocks, tuple(heights), tuple(widths), np.dtype(float)), np.block(parts)


def test_an_exported_array_outlives_pool_and_references(client: Any) -> None:
    with DaskPool(client) as pool:
        matrix, expected = kept_matrix(pool, [3, 1], [2, 5])
        whole = pool.export(matrix)
        for ref in matrix.blocks.ravel():
            pool.release(ref)
        del matrix, ref
    assert whole.chunks == ((3, 1), (2, 5)) and whole.dtype == float
    assert np.array_equal(client.compute(whole).result(), expected)
    np.testing.assert_allclose(client.compute(whole.T @ whole).result(), expected.T @ expected)
    with DaskPool(client) as pool:
        matrix = pool.adopt(whole)
        assert matrix is not None and pool.submit(0, np.sum, matrix.blocks[1, 1]).result()
        assert pool.moved().keys() <= {(matrix.blocks[1, 1].worker, 0)}
    del whole, matrix
    until(lambda: not any(keys_at(client).values()))


def test_what_was_released_cannot_be_exported(pool: DaskPool) -> None:
    matrix, _ = kept_matrix(pool, [2], [2])
    pool.release(matrix.blocks[0, 0])
    with pytest.raises(ReferenceLost):
        pool.export(matrix)


def test_a_worker_with_another_version_is_refused_by_name(
    client: Any, dask_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kofn.engines.dask._versions.version", PretendedVersion("0.0.7", "importlib.metadata", "version")
    )
    with Client(dask_cluster.address, set_as_default=False) as other:
        sentence = r"'client' must have workers with kofn 0\.0\.7, as this process, but got worker 'w\d' with kofn \d"
        for _ in range(2):
            with pytest.raises(ArgumentError, match=sentence):
                DaskPool(other)
    monkeypatch.setattr("kofn.engines.dask._versions.version", PretendedVersion("0.0.7", "builtins", "int"))
    with (
        Client(dask_cluster.address, set_as_default=False) as other,
        pytest.raises(ArgumentError, match=r"but got worker 'w\d' with none"),
    ):
        DaskPool(other)


class PretendedVersion:
    """Says here that a package has some version, and calls another function at a worker."""

    def __init__(self, here: str, module: str, name: str) -> None:
        self.here, self.there = here, (module, name)

    def __call__(self, package: str) -> str:
        return self.here

    def __reduce__(self) -> Any:
        return pkgutil.resolve_name, (":".join(self.there),)
