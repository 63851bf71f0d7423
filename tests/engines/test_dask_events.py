"""What a scheduler tells a client that has pools: of workers, and of small outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dask_processes import scheduler_time, told
from kofn.engines import DaskPool
from kofn.engines.dask import _outcomes
from processes import until

distributed = pytest.importorskip("distributed")
Client = distributed.Client


@pytest.fixture
def another(client: Any) -> Iterator[Any]:
    """A client of the same workers, that no pool was made for."""
    with Client(client.scheduler.address, set_as_default=False) as another:
        yield another


def eventually(wanted: Any, call: Any, seconds: float = 10) -> None:
    until(lambda: call() == wanted, seconds)


def test_the_users_own_listener_is_still_called(another: Any) -> None:
    heard: list[Any] = []
    another.subscribe_topic(another.id, heard.append)

    def counted() -> int:
        return sum(isinstance(event, dict) and event.get("action") == "update-graph" for _, event in heard)

    with DaskPool(another) as pool:
        assert pool.submit(0, int, "3").result() == 3
    eventually(True, lambda: counted() > 0)
    heard.clear()
    another.submit(int, "4", pure=False).result()
    eventually(1, counted)


def test_what_is_broadcast_meanwhile_costs_no_client_its_scheduler(client: Any, another: Any) -> None:
    """Dask then tells all who listen to everything what cannot be sent, and drops them."""
    connections = another.scheduler_comm, client.scheduler_comm
    with DaskPool(another) as pool, DaskPool(client) as bystander:
        there = another.scatter(np.arange(5.0), broadcast=True)
        assert len(another.who_has([there])[there.key]) == 4
        another.rebalance()
        assert another.submit(np.sum, there).result() == 10.0
        for one in (pool, bystander):
            assert one.submit(1, np.sum, [1.0, 2.0]).result() == 3.0
    assert (another.scheduler_comm, client.scheduler_comm) == connections


def test_a_small_outcome_is_told_and_needs_not_be_fetched(another: Any) -> None:
    with DaskPool(another) as pool:
        before = scheduler_time(another)
        assert pool.submit(0, divmod, 17, 5).result() == (3, 2)
        with pytest.raises(ZeroDivisionError):
            pool.submit(1, divmod, 17, 0).result()
        ref = pool.keep(2, np.ones, (300, 2)).result()
        assert (ref.spec.shape, ref.spec.dtype, ref.size) == ((300, 2), np.dtype(float), 4800)
        assert told(another, "gather", before) == 0
        assert pool.submit(3, np.ones, 1000).result().sum() == 1000
        assert told(another, "gather", before) == 1


def test_an_outcome_that_was_not_told_is_fetched(another: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with DaskPool(another) as pool:
        monkeypatch.setitem(another._event_handlers, another.id, lambda event: None)
        before = scheduler_time(another)
        assert pool.submit(0, divmod, 17, 5).result() == (3, 2)
        assert pool.keep(1, np.ones, 3).result().spec.shape == (3,)
        assert told(another, "gather", before) == 2


def test_a_scheduler_tells_a_client_whose_pools_are_closed_nothing_of_its_own_end(another: Any) -> None:
    def listening() -> bool:
        topic = another.id
        listeners = another.run_on_scheduler(lambda dask_scheduler: dask_scheduler._broker._topics[topic].subscribers)
        return topic in listeners

    with DaskPool(another), DaskPool(another):
        eventually(True, listening)  # a client sends what it subscribes to at its next tick
    eventually(False, listening)
    another.sync(another._handle_event, another.id, (0.0, {}))  # was under way when the last pool was closed
    with DaskPool(another):
        eventually(True, listening)


def test_a_pool_has_all_workers_that_are_there_when_it_is_made() -> None:
    """Also one that joined after the last look of an older pool."""
    quiet = {"dashboard_address": None, "set_as_default": False}
    with Client(processes=False, n_workers=1, threads_per_worker=1, **quiet) as client, DaskPool(client) as first:
        client.cluster.scale(2)
        client.wait_for_workers(2, 60)
        with DaskPool(client) as second:
            assert (first.n, second.n) == (1, 2)


def test_what_is_large_is_neither_told_nor_pickled_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    packed: list[Any] = []
    worker = SimpleNamespace(log_event=lambda client, event: told.append(event[_outcomes.TASK]))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    monkeypatch.setattr(_outcomes, "pickle", SimpleNamespace(dumps=packed.append))
    outcomes: list[tuple[str, Any]] = [
        ("value", (bytes(2000), [])),
        ("value", (b"", [np.zeros(2000, np.uint8)])),
        ("failed", bytes(2000)),
        ("value", (bytes(900), [np.zeros(100, np.uint8)])),
        ("failed", bytes(1000)),
        ("refused", None),
    ]
    for number, outcome in enumerate(outcomes):
        _outcomes.tell("client", str(number), outcome)
    assert told == ["3", "4", "5"] and packed == outcomes[3:]
