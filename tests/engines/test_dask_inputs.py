"""Futures, delayed objects and references of a Dask cluster as inputs and terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kofn
from kofn.errors import ArgumentError
from processes import until

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

RNG = np.random.default_rng(15)
SHARDS = RNG.standard_normal((8, 40, 3))


@pytest.fixture
def client(dask_cluster):
    with distributed.Client(dask_cluster.address, set_as_default=False) as client:
        client.wait_for_workers(4)
        yield client


@pytest.fixture
def futures(client):
    return [client.scatter(shard, workers=[f"w{k % 4}"], hash=False) for k, shard in enumerate(SHARDS)]


gram = eval("lambda shard: shard.T @ shard")  # of no module that workers would look for


def test_futures_are_evaluated_where_they_lie(client, futures):
    answer = kofn.map(gram, futures, workers=client)
    assert answer.exact and np.allclose(answer.value, [gram(shard) for shard in SHARDS])
    first = {x.row: x.worker for x in reversed(answer.report.attempts) if x.row < 4}  # one that is late is tried again
    # A worker may still be busy with what an earlier test gave up; under virtual time none is, and all stay at home.
    assert sum(first[k] == k for k in range(4)) >= 3
    assert answer.report.sent_bytes == 0 < answer.report.received_bytes


def test_delayed_objects_are_computed_there_first(client):
    shared = dask.delayed(np.full)(3, 2.0)
    lazy = [dask.delayed(np.multiply)(shared, k) for k in range(6)]
    answer = kofn.map(np.sum, lazy, workers=client)
    assert [float(x) for x in answer.value] == [6.0 * k for k in range(6)]
    blocks = da.from_array(SHARDS[0], chunks=(10, 3)).to_delayed().ravel()
    assert np.allclose(kofn.map(np.sum, blocks, workers=client).value, SHARDS[0].reshape(4, -1).sum(axis=1))


def test_inputs_may_be_of_any_kind_and_are_not_changed(client):
    futures = [client.submit(dict, name=name, pure=False) for name in ("a", "b")]

    def renamed(about: Any) -> Any:
        about["name"] = about["name"].upper()
        return about

    for _ in range(2):
        with kofn.imap(renamed, iter(futures), workers=client) as results:
            assert list(results) == [{"name": "A"}, {"name": "B"}]
    assert client.gather(futures) == [{"name": "a"}, {"name": "b"}]


def test_nothing_is_left_but_what_was_there(client):
    futures = client.scatter(list(SHARDS), hash=False)
    ours = {future.key for future in futures}
    assert kofn.map(gram, futures, workers=client).exact
    assert kofn.map(np.sum, [dask.delayed(abs)(future) for future in futures], workers=client).exact
    until(lambda: {key for keys in client.has_what().values() for key in keys} == ours)


def test_what_cannot_be_had_is_refused_before_anything_starts(client, dask_cluster, tmp_path):
    def touch(x: Any) -> None:
        (tmp_path / str(x)).touch()

    def fails(text: str) -> Any:
        raise LookupError(text)

    gone = client.submit(int, 1, pure=False)
    gone.cancel()
    broken = client.submit(fails, "no such table", pure=False)
    with distributed.Client(dask_cluster.address, set_as_default=False) as other:
        theirs = other.submit(int, 3, pure=False)
        for future, said in (
            (gone, "'inputs' must be there, but got a future that is cancelled"),
            (broken, "'inputs' must be there, but got a future that ended with LookupError: no such table"),
            (theirs, "'inputs' must be of the pool's own client, but got a future of another client"),
            (dask.delayed(int)(broken), "'inputs' must be there, but got a future that ended with LookupError"),
            (da.ones(4), "'inputs' must be single values.* got a dask Array.*to_delayed"),
        ):
            with pytest.raises(ArgumentError, match=f"kofn.map: {said}"):
                kofn.map(touch, [1, future], workers=client)
        with pytest.raises(ArgumentError, match=r"kofn.imap: 'inputs' must be there"):
            kofn.imap(touch, [gone], workers=client)
    with pytest.raises(ArgumentError, match="'inputs' must be single values"):
        kofn.map(touch, da.ones(4), workers=client)
    assert not list(tmp_path.iterdir())


def test_a_pool_without_the_client_says_what_to_give(client, local_pool):
    for value in (client.submit(int, 5), dask.delayed(int)(5)):
        with pytest.raises(ArgumentError, match=r"'inputs' must lie where the workers are, but got .*with a LocalPool"):
            kofn.map(abs, [value], workers=local_pool)
    with pytest.raises(ArgumentError, match=r"with processes of this machine; give workers=client"):
        kofn.map(abs, [dask.delayed(int)(5)], workers=2)


def test_terms_are_added_up_where_they_lie(client, futures):
    def loss(shard: Any, x: Any) -> Any:
        return shard.T @ (shard @ x)

    x, expected = np.ones(3), SHARDS.reshape(-1, 3).T @ (SHARDS.reshape(-1, 3) @ np.ones(3))
    with kofn.CodedSum(loss, data=futures, workers=client, code="cyclic") as total:
        for scale in (1.0, 3.0):
            answer = total(scale * x)
            assert answer.exact and np.allclose(answer.value, scale * expected)
    answer = kofn.sum(futures, workers=client)
    assert answer.exact and np.allclose(answer.value, SHARDS.sum(axis=0))
    assert answer.report.sent_bytes < SHARDS[0].nbytes
    lazy = [dask.delayed(np.linalg.norm)(future) for future in futures]
    assert np.isclose(kofn.sum(lazy, workers=client).value, sum(map(np.linalg.norm, SHARDS)))
    moved = kofn.sum(np.multiply, client.scatter(2.0), data=futures, workers=client)
    assert np.allclose(moved.value, 2 * SHARDS.sum(axis=0))


def test_what_cannot_be_a_term_is_refused(client, local_pool):
    broken = client.submit(lambda: 1 / 0, pure=False)
    with pytest.raises(ArgumentError, match=r"kofn.sum: 'data' must be there, but got a future that ended with Zero"):
        kofn.sum(abs, data=[broken], workers=client)
    with pytest.raises(ArgumentError, match=r"kofn.sum: 'terms' must be single values.* got a dask Array"):
        kofn.sum(da.ones(4), workers=client)
    with pytest.raises(ArgumentError, match=r"kofn.sum: 'terms' must be a sequence"):
        kofn.sum(dask.delayed(abs)(3), workers=client)
    with pytest.raises(ArgumentError, match=r"kofn.sum: 'terms' must lie where the workers are"):
        kofn.sum([dask.delayed(abs)(3)], workers=local_pool)
