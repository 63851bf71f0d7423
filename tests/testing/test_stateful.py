"""The machine for engines holds for kofn's own, and finds what is wrong with others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import kofn
from kofn.simulation import VirtualPool
from kofn.testing import EngineMachine
from processes import linux


def play(make_pool: Any, examples: int, steps: int = 30) -> None:
    machine = type("Machine", (EngineMachine,), {"make_pool": staticmethod(make_pool)})
    machine.TestCase  # noqa: B018  what engine authors write is there
    chosen = settings(settings.default, max_examples=examples, stateful_step_count=steps, phases=[Phase.generate])
    run_state_machine_as_test(machine, settings=chosen)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("examples", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_threads(examples: int) -> None:
    play(lambda: kofn.ThreadPool(3), examples)


@pytest.mark.parametrize("examples", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_virtual_time(examples: int) -> None:
    play(lambda: VirtualPool([[1.0], [2.0, 0.1], [0.5]]), examples)


@linux
@pytest.mark.slow
def test_local_processes() -> None:
    play(lambda: kofn.LocalPool(3), 15)


@pytest.mark.slow
def test_dask(dask_cluster: Any) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(dask_cluster.address, set_as_default=False) as client:
        client.wait_for_workers(4, 60)

        class ThreeOfFour(kofn.DaskPool):
            n = property(lambda self: 3)  # the machine wants three

        play(lambda: ThreeOfFour(client), 5)


@pytest.mark.slow
def test_ray() -> None:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=12, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        play(lambda: kofn.RayPool(3, grace_seconds=0.1), 3)
    finally:
        ray.shutdown()


class Wrong(kofn.ThreadPool):
    """Wrong in one way."""

    def __init__(self, fault: str) -> None:
        super().__init__(3)
        self.fault = fault

    def drop(self, key: Any) -> None:
        if self.fault != "drops nothing":
            super().drop(key)

    def put(self, worker: int, key: Any, value: Any) -> None:
        super().put(worker, key, value if self.fault != "puts something else" else value + 1)

    def stop(self, worker: int, how: Any) -> Any:
        stopped = super().stop(worker, how)
        return kofn.engines.Stop.ABANDON if self.fault == "always stops something" else stopped

    def state(self, worker: int) -> Any:
        state = super().state(worker)
        return "idle" if self.fault == "is idle when closed" and state == "dead" else state


@pytest.mark.parametrize(
    "fault", ["drops nothing", "puts something else", "always stops something", "is idle when closed"]
)
def test_what_is_wrong_is_found(fault: str) -> None:
    with pytest.raises(AssertionError, match=r"must be|nothing to stop|as it was put"):
        play(lambda: Wrong(fault), 30)


def test_a_closed_virtual_pool_ends_what_runs() -> None:
    pool = VirtualPool([[1.0]])
    future = pool.submit(0, int, 1)
    pool.close()
    pool.close()
    assert isinstance(future.exception(timeout=0), kofn.PoolClosed)
