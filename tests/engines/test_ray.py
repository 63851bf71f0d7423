"""A real Ray of this machine, its workers processes of their own."""

from __future__ import annotations

import colorsys
import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kofn
from kofn.engines import Capabilities, RayPool, as_pool, references_of
from kofn.errors import ArgumentError, PoolClosed, WorkerLost
from kofn.testing import REFERENCE_CHECKS
from kofn.testing._engines import check_engine
from kofn.testing._reference_checks import SHARED, ReferenceSettings
from processes import alive, crossed, linux, opens, slow_but, until

ray = pytest.importorskip("ray")

RNG = np.random.default_rng(7)
A, B = RNG.standard_normal((60, 30)), RNG.standard_normal((30, 40))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for all tests here that leave it as they found it: it takes seconds to start.

    Its processors are numbers: room for the workers of several pools at once.
    """
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=12, object_store_memory=300_000_000, **options)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def shared(cluster: None) -> Iterator[RayPool]:
    with RayPool(3, grace_seconds=0.1) as pool:
        yield pool


@pytest.fixture
def pool(shared: RayPool) -> Iterator[RayPool]:
    yield shared
    until(lambda: [shared.state(worker) for worker in range(3)] == ["idle"] * 3, 60)


def gone(pid: int | None) -> bool:
    return pid is not None and not alive(pid)


# -- the seam -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("payload", [10_000_000, 100_000_000])
def test_the_battery(cluster: None, payload: int) -> None:
    held = check_engine(lambda: RayPool(3), payload_bytes=payload, straggler_seconds=10.0, patience_seconds=60.0)
    assert set(held.values()) == {"held"}


def test_part_of_the_battery(pool: RayPool) -> None:
    """What leaves a pool as it found it, and starts none."""
    from kofn.testing._battery import BatterySettings
    from kofn.testing._engines import _ALONE, ENGINE_CHECKS, _straggler

    settings = BatterySettings(lambda: pool, 10_000_000, 3.0, 60.0)
    for check in ENGINE_CHECKS.values():
        if check not in _ALONE and check is not _straggler:
            check(pool, settings)


def test_part_of_the_battery_for_references(pool: RayPool) -> None:
    """What leaves a pool as it found it, and waits for no new actor."""
    settings = ReferenceSettings(lambda: pool, 1_000_000, 1.0, 60.0, None)
    for name, check in REFERENCE_CHECKS.items():
        if check in SHARED and name not in {"cancel", "while busy", "matrix"}:
            check(pool, settings)


@pytest.mark.parametrize(("name", "dtype"), crossed(["mds", "kronecker", "uncoded"], ["float64", "complex128"]))
def test_products_equal_numpy(pool: RayPool, name: str, dtype: str) -> None:
    left, right = A.astype(dtype), B.astype(dtype)
    if dtype == "complex128":
        left, right = left + 1j * A[::-1], right - 2j * B[:, ::-1]
    answer = kofn.matmul(left, right, workers=pool, code=name, rng=3)
    assert answer.exact
    off = np.linalg.norm(answer.value - left @ right) / np.linalg.norm(left) / np.linalg.norm(right)
    assert off <= 50 * answer.amplification * np.finfo(dtype).eps


def test_blocks_in_rays_store_are_multiplied_where_they_are(pool: RayPool) -> None:
    edges = [0, 25, 60], [0, 10, 30], [0, 40]
    a, b = ([[ray.put(M[i:j, k:n]) for k, n in pairwise(edges[q + 1])] for i, j in pairwise(edges[q])]
            for q, M in enumerate((A, B)))  # fmt: skip
    for left, right in ((a, b), (a, B), (A, b)):
        answer = kofn.matmul(left, right, workers=pool)
        blocks = [[ray.get(block) for block in row] for row in answer.value]
        assert answer.exact and np.allclose(np.block(blocks), A @ B, rtol=1e-12, atol=1e-12)
    with pytest.raises(ArgumentError, match="'B' must have 30 rows, as A has columns"):
        kofn.matmul(a, a, workers=pool)
    with pytest.raises(ArgumentError, match="'A' must be a matrix of numbers"):
        kofn.matmul([[ray.put(np.array([["x"]]))]], [[ray.put(np.ones((1, 1)))]], workers=pool)
    for blocks, workers in (([[object()]], pool), (a, "threads:2")):
        with pytest.raises(
            ArgumentError, match="'A' must be a matrix, or blocks of one that the engine has, but got a l"
        ):
            kofn.matmul(blocks, B, workers=workers)


def test_sums_maps_and_operators(pool: RayPool) -> None:
    assert np.isclose(kofn.sum([abs, np.square], -3.0, workers=pool).value, 12.0)
    assert list(kofn.map(lambda x: x + 1, [1, 2, 3], workers=pool).value) == [2, 3, 4]
    with kofn.operator(A, workers=pool) as operator:
        assert np.allclose(operator @ B[:, 0], A @ B[:, 0])
        assert np.allclose(operator @ B[:, 1], A @ B[:, 1])


def test_it_says_what_it_can_do(pool: RayPool) -> None:
    assert pool.capabilities == Capabilities(kills=True, revives=True, references=True, outlast=True)
    assert references_of(pool) is pool


# -- what is resident ---------------------------------------------------------------------------------


def test_a_large_value_is_stored_once_for_all_workers(pool: RayPool, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[Any] = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: stored.append(1) or put(value))
    x, small = np.ones(200_000), np.ones(10)
    for worker in range(3):
        pool.put(worker, "x", x)
        pool.put(worker, "small", small)
    for worker in range(3):
        for _ in range(2):
            assert pool.submit(worker, lambda x, small: x.sum() + small.sum(), keys=("x", "small")).result() == 200_010
    assert len(stored) == 1
    pool.drop("x")
    pool.drop("small")


@linux
def test_what_is_large_is_rays_own_memory_and_what_is_written_there_is_undone(pool: RayPool) -> None:
    """Of a mapped array few pages are this process's own: those that were written to."""

    def own_pages(x: Any, mark: float) -> tuple[float, int, int]:
        x[:1000] = mark
        place, pages = x.ctypes.data // 4096, x.nbytes // 4096
        with Path("/proc/self/pagemap").open("rb") as file:
            file.seek(8 * place)
            entries = np.frombuffer(file.read(8 * pages), np.uint64)
        total = float(x.sum())
        mapped = (entries >> np.uint64(61)) & np.uint64(1)
        there = entries >> np.uint64(63)
        return total, pages, int(((there == 1) & (mapped == 0)).sum())

    x = np.ones(1_000_000)
    for worker in range(2):
        pool.put(worker, "x", x)
    for worker in range(2):
        for mark in (3.0, 5.0):
            total, pages, own = pool.submit(worker, own_pages, mark, keys=("x",)).result()
            assert total == 1_000_000 + 1000 * (mark - 1) and pages == 1953 and own <= 4
    pool.drop("x")


@linux
def test_an_array_that_a_task_keeps_stays_when_its_value_is_dropped(pool: RayPool) -> None:
    def keep(x: Any) -> None:
        sys.kept = x  # type: ignore[attr-defined]

    def kept() -> float:
        return float(sys.__dict__.pop("kept").sum())

    pool.put(0, "x", np.ones(1_000_000))
    pool.submit(0, keep, keys=("x",)).result()
    pool.drop("x")
    for _ in range(3):  # with the first of which the actor hears of it; others fill the place again
        pool.put(0, "y", np.zeros(1_000_000))
        assert pool.submit(0, np.sum, keys=("y",)).result() == 0
        pool.drop("y")
    assert pool.submit(0, kept).result() == 1_000_000


def test_what_was_changed_after_it_was_dropped_is_sent_anew(pool: RayPool) -> None:
    x = np.ones(200_000)
    pool.put(0, "x", x)
    assert pool.submit(0, np.sum, keys=("x",)).result() == 200_000
    pool.drop("x")
    x[:] = 2.0
    pool.put(0, "x", x)
    assert pool.submit(0, np.sum, keys=("x",)).result() == 400_000
    pool.drop("x")


def test_a_value_under_two_keys_stays_until_both_are_dropped(pool: RayPool) -> None:
    x = np.ones(200_000)
    pool.put(1, "a", x)
    pool.put(1, "b", x)
    assert pool.submit(1, lambda a, b: a.sum() + b.sum(), keys=("a", "b")).result() == 400_000
    pool.drop("a")
    assert pool.submit(1, np.sum, keys=("b",)).result() == 200_000
    pool.drop("b")


def test_what_is_dropped_leaves_rays_store(pool: RayPool) -> None:
    x = np.ones(2_000_000)
    pool.put(0, "x", x)
    pool.submit(0, np.sum, keys=("x",)).result()
    stored = weakref.ref(pool._slots[0].residents["x"])
    pool.drop("x")
    assert pool.submit(0, int).result() == 0  # with which the actor hears of it
    gc.collect()
    assert stored() is None


# -- stragglers and deaths ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", slow_but(["abandon", "interrupt", "kill"], {"kill"}))
def test_what_goes_on_after_the_grace_is_ended_and_its_data_come_back(pool: RayPool, how: str, tmp_path: Path) -> None:
    pool.put(0, "x", np.arange(100_000.0))
    assert pool.submit(0, np.sum, keys=("x",)).result() == 4999950000  # not the first task, which has longer
    before = pool.pids()[0]
    future = pool.submit(0, opens(tmp_path / "never"))
    assert pool.stop(0, how) == ("kill" if how == "kill" else "abandon")
    assert future.cancelled()
    until(lambda: pool.state(0) == "idle" and pool.pids()[0] not in (before, None), 60)
    until(lambda: gone(before), 60)
    assert pool.submit(0, np.sum, keys=("x",)).result() == 4999950000
    pool.drop("x")


def test_a_task_that_ends_within_the_grace_keeps_its_worker(pool: RayPool) -> None:
    pool.submit(0, int).result()
    before = pool.pids()[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool._slots[0], "grace", 30.0)
        pool.submit(0, time.sleep, 0.05).cancel()
        until(lambda: pool.state(0) == "idle", 20)
    assert pool.submit(0, os.getpid).result() == before


def test_a_task_with_code_that_is_new_to_its_actor_has_longer(pool: RayPool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(pool._slots[0].clerk, "later", lambda seconds, *_: asked.append(seconds))
    for function, seconds in ((colorsys.rgb_to_hsv, 10.0), (colorsys.rgb_to_hsv, 0.1), (abs, 0.1)):
        pool.submit(0, lambda function: time.sleep(0.01), function).cancel()
        until(lambda: pool.state(0) == "idle")
        assert asked.pop() == seconds


@pytest.mark.parametrize("sign", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)])
def test_a_job_with_a_worker_that_dies_or_hangs_is_exact(pool: RayPool, sign: int, tmp_path: Path) -> None:
    """Uncoded: every row is needed, that of the lost worker too."""
    me = os.getpid()
    pool.warm()

    def f(x: int) -> int:
        if x == 1 and not (flag := tmp_path / "once").exists():
            flag.touch()
            assert os.getpid() != me
            os.kill(os.getpid(), sign)
        return x * x

    answer = kofn.map(f, list(range(8)), workers=pool, scheduler="speculative")
    assert answer.exact and list(answer.value) == [x * x for x in range(8)]


def test_a_product_with_an_actor_killed_between_its_rows_is_exact(pool: RayPool) -> None:
    scheme = kofn.schemes.uncoded(A, B, workers=3)
    with kofn.prepare(scheme, pool) as plan:
        assert plan.run().exact
        os.kill(pool.pids()[1] or 0, signal.SIGKILL)
        answer = plan.run()
        assert answer.exact and np.allclose(answer.value, A @ B)


def test_a_value_outlives_the_actor_that_made_it(pool: RayPool) -> None:
    process = pool.pids()[0]
    assert process is not None
    ref = pool.keep(0, np.arange, 100_000.0).result()
    small = pool.keep(0, np.arange, 10.0).result()
    os.kill(process, signal.SIGKILL)
    until(lambda: not alive(process))
    for each, total in ((ref, np.arange(100_000.0).sum()), (small, 45.0)):
        assert pool.submit(1, np.sum, each).result() == total
        assert pool.fetch(each).result().sum() == total
    with pytest.raises(kofn.WorkerLost):
        pool.submit(0, int).result()


def test_a_lost_worker_says_why(pool: RayPool) -> None:
    error = pool.submit(2, os._exit, 1).exception(60)
    assert isinstance(error, WorkerLost) and str(error).startswith("worker 2 is lost: ") and "\n" not in str(error)


def test_a_task_that_cannot_be_opened_says_what_to_install(pool: RayPool) -> None:
    class Unknown:
        def __reduce__(self) -> Any:
            return eval, ("__import__('no_such_module')",)

    error = pool.submit(0, id, Unknown()).exception(60)
    assert isinstance(error, ModuleNotFoundError) and "no_such_module" in str(error)
    assert pool.submit(0, int).result() == 0


# -- pools --------------------------------------------------------------------------------------------


def test_a_name_joins_the_ray_that_is_there_and_leaves_it_running(cluster: None) -> None:
    pool, owned = as_pool("ray:2")
    with pool:
        assert owned and isinstance(pool, RayPool) and pool.n == 2
        pids = pool.pids()
        assert pool.submit(1, int, "7").result() == 7
    until(lambda: all(map(gone, pids)), 60)
    assert ray.is_initialized()
    with pytest.raises(PoolClosed):
        pool.submit(0, int)


@pytest.mark.slow
def test_a_pool_that_nobody_holds_ends_its_actors(cluster: None) -> None:
    pool = RayPool(1)
    pids = pool.pids()
    del pool
    gc.collect()
    until(lambda: all(map(gone, pids)), 60)
    until(lambda: sum(thread.name == "kofn-ray" for thread in threading.enumerate()) <= 1)


@pytest.mark.slow
def test_workers_beyond_the_room_there_is_come_later(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kofn.engines.ray._pool.ENOUGH_SECONDS", 0.1)
    with RayPool(2, options={"num_cpus": 7}) as pool:
        states = [pool.state(0), pool.state(1)]
        assert sorted(states) == ["idle", "starting"] and pool.pids()[states.index("starting")] is None
        assert list(kofn.map(abs, [-1, -2], workers=pool).value) == [1, 2]


@pytest.mark.slow
def test_a_cluster_without_room_is_told(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kofn.engines.ray._pool.START_SECONDS", 0.5)
    with pytest.raises(
        WorkerLost, match=r"none has come in 0\.5 seconds; the cluster has no room .*\([0-9.]+ of 12 CPU free\)$"
    ):
        RayPool(1, options={"num_cpus": 13})


@pytest.mark.slow
def test_another_version_at_the_workers_is_told(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kofn.engines.ray._slot.version", lambda name: "0.0.7")
    with pytest.raises(WorkerLost, match=r"it has kofn \S+, and this process 0\.0\.7; install one version on all"):
        RayPool(1)


@pytest.mark.slow
def test_an_actor_that_cannot_start_is_given_up(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise LookupError("no licence")

    monkeypatch.setattr("kofn.engines.ray._worker.RayWorker.__init__", refuse)
    monkeypatch.setattr("kofn.engines.ray._worker.RayWorker.__module__", "__main__")  # so that it travels by value
    with pytest.raises(WorkerLost, match=r"no worker could be started: .*no licence"):
        RayPool(1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n": 0}, "'n' must be an int of at least 1"),
        ({"grace_seconds": -1}, "'grace_seconds' must be a finite number >= 0"),
        ({"options": {"max_restarts": 3}}, "'options' must leave .* to kofn, but got max_restarts; leave them out"),
        ({"options": {"number_of_gpus": 3}}, "'options' must be what Ray knows, but got ValueError"),
    ],
)
def test_bad_arguments_get_one_sentence(cluster: None, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArgumentError, match=f"kofn.RayPool: {sentence}"):
        RayPool(**{"n": 1, **arguments})
