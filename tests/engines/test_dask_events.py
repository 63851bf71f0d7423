"""What a scheduler tells a client that has pools: of workers, and of small outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kofn.engines import DaskPool
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
    another.subscribe_topic("all", heard.append)
    with DaskPool(another) as pool:
        assert len(pool.submit(0, bytes, 10_000).result()) == 10_000
    eventually(True, lambda: any(event.get("action") == "gather" for _, event in heard))
    heard.clear()
    another.gather(another.submit(int, "4"))
    eventually(True, lambda: any(event.get("action") == "gather" for _, event in heard))


def gathers(client: Any) -> int:
    """How many results clients have fetched."""
    return sum(event.get("action") == "gather" for _, event in client.get_events("all"))


def test_a_small_outcome_is_told_and_needs_not_be_fetched(another: Any) -> None:
    with DaskPool(another) as pool:
        before = gathers(another)
        assert pool.submit(0, divmod, 17, 5).result() == (3, 2)
        with pytest.raises(ZeroDivisionError):
            pool.submit(1, divmod, 17, 0).result()
        ref = pool.keep(2, np.ones, (300, 2)).result()
        assert (ref.spec.shape, ref.spec.dtype, ref.size) == ((300, 2), np.dtype(float), 4800)
        assert gathers(another) == before
        assert pool.submit(3, np.ones, 1000).result().sum() == 1000
        assert gathers(another) == before + 1


def test_an_outcome_that_was_not_told_is_fetched(another: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with DaskPool(another) as pool:
        monkeypatch.setitem(another._event_handlers, another.id, lambda event: None)
        before = gathers(another)
        assert pool.submit(0, divmod, 17, 5).result() == (3, 2)
        assert pool.keep(1, np.ones, 3).result().spec.shape == (3,)
        assert gathers(another) == before + 2


def test_a_scheduler_has_nothing_to_tell_a_client_whose_pools_are_closed(another: Any) -> None:
    def listening() -> list[bool]:
        def subscribers(topic: str) -> Any:
            return another.run_on_scheduler(lambda dask_scheduler: dask_scheduler._broker._topics[topic].subscribers)

        return [another.id in subscribers(topic) for topic in ("all", another.id)]

    with DaskPool(another), DaskPool(another):
        eventually([True, True], listening)  # a client sends what it subscribes to at its next tick
    eventually([False, False], listening)
    for topic in ("all", another.id):
        another.sync(another._handle_event, topic, (0.0, {}))  # was under way when the last pool was closed
    with DaskPool(another):
        eventually([True, True], listening)
