"""Data at Dask workers that Dask itself moves: rebalanced, or handed over by a worker that retires."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import kofn
from dask_processes import processes
from processes import until

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

RNG = np.random.default_rng(33)
A, B = RNG.standard_normal((600, 90)), RNG.standard_normal((90, 160))
SHARDS = RNG.standard_normal((6, 40, 3))
X, Y = RNG.standard_normal(90), RNG.standard_normal(600)

pytestmark = pytest.mark.slow


@pytest.fixture
def client() -> Iterator[Any]:
    """Of a cluster of four without nannies, for tests that send workers away."""
    with processes("w0", "w1", "w2", "w3") as cluster, distributed.Client(cluster.address) as client:
        client.wait_for_workers(4, 60)
        yield client


def at(client: Any, array: Any, chunks: Any, worker: str) -> Any:
    """A Dask array all of whose chunks lie at one worker."""
    made = client.persist(da.from_array(array, chunks=chunks), workers=[worker], allow_other_workers=True)
    distributed.wait(made)
    return made


def retire(client: Any, name: str) -> None:
    """Send a worker away, with what it holds handed over."""
    client.retire_workers(names=[name])
    until(lambda: name not in {about["name"] for about in client.scheduler_info()["workers"].values()}, 30)


def require_nothing_left(client: Any, *theirs: Any) -> None:
    """Wait until no worker has anything but what is the user's."""
    gc.collect()
    own = {future.key for future in distributed.futures_of(list(theirs), client)}
    until(lambda: {key for keys in client.has_what().values() for key in keys} <= own, 30)


def test_an_operator_goes_on_when_its_blocks_are_rebalanced_and_a_worker_retires(client: Any) -> None:
    a = at(client, A, (50, 45), "w0")
    with kofn.operator(a, workers=client, redundancy=1) as op:
        assert np.allclose(op @ X, A @ X)
        client.rebalance()
        assert np.allclose(op @ X, A @ X) and np.allclose(op.H @ Y, A.T @ Y)
        for name in ("w0", "w2"):
            retire(client, name)
            assert np.allclose(op @ X, A @ X) and np.allclose(op.H @ Y, A.T @ Y)
    del op
    require_nothing_left(client, a)


def test_a_product_that_was_dealt_is_right_wherever_its_blocks_have_gone(client: Any) -> None:
    a, b = at(client, A, (50, 90), "w1"), at(client, B, (90, 80), "w1")
    with kofn.DaskPool(client) as pool:
        before = kofn.remote_product(a, b, workers=pool, redundancy=1, rng=0)
        client.rebalance()
        answer = kofn.run(before, workers=pool)
        assert answer.exact and np.allclose(client.compute(answer.value).result(), A @ B)
        del answer
        retire(client, "w1")
        answer = kofn.run(before, workers=pool)
        assert answer.exact and np.allclose(client.compute(answer.value).result(), A @ B)
    del before, answer
    require_nothing_left(client, a, b)


@pytest.mark.parametrize("redundancy", [0, 1])
def test_a_worker_may_retire_while_a_product_is_computed(client: Any, redundancy: int) -> None:
    numbers = da.random.default_rng(0)
    a = client.persist(numbers.standard_normal((3200, 1200), chunks=(200, 1200)))
    b = client.persist(numbers.standard_normal((1200, 1600), chunks=(1200, 400)))
    distributed.wait([a, b])
    here = a.compute() @ b.compute()
    usual = kofn.matmul(a, b, workers=client, redundancy=redundancy).report.seconds
    timer = threading.Timer(0.4 * usual, retire, (client, "w3"))
    timer.start()
    answer = kofn.matmul(a, b, workers=client, redundancy=redundancy)
    timer.join()
    assert answer.exact and np.allclose(client.compute(answer.value).result(timeout=60), here)
    del answer
    require_nothing_left(client, a, b)


def test_inputs_and_terms_are_found_where_a_worker_that_retired_has_left_them(client: Any) -> None:
    futures = [client.scatter(shard, workers=[f"w{k % 2}"], hash=False) for k, shard in enumerate(SHARDS)]
    norms, total = np.linalg.norm(SHARDS, axis=(1, 2)), np.einsum("kij,kil,l->j", SHARDS, SHARDS, np.ones(3))

    def slope(shard: Any, x: Any) -> Any:
        return shard.T @ (shard @ x)

    with kofn.CodedSum(slope, data=futures, workers=client, code="cyclic") as coded:
        assert np.allclose(coded(np.ones(3)).value, total)
        client.rebalance(futures)
        assert np.allclose(coded(np.ones(3)).value, total)
        retire(client, "w0")
        assert np.allclose(coded(np.ones(3)).value, total)
        assert np.allclose(kofn.map(np.linalg.norm, futures, workers=client).value, norms)
        assert np.allclose(kofn.sum(futures, workers=client).value, SHARDS.sum(axis=0))
    del coded
    require_nothing_left(client, *futures)
