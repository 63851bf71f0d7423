"""The machine for engines holds for kofn's own, and finds what is wrong with others."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import kofn
from broken_pools import HANGING, SmallPool
from kofn.simulation import VirtualPool
from kofn.testing import EngineMachine
from processes import linux, slow_but, until


def play(make_pool: Any, examples: int, steps: int = 30, **members: Any) -> None:
    machine = type("Machine", (EngineMachine,), {"make_pool": staticmethod(make_pool), **members})
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
def test_dask() -> None:
    """A worker that leaves has no nanny; another one, under a new name, takes its place."""
    distributed = pytest.importorskip("distributed")
    from dask_processes import processes

    numbers = count(3)
    with processes("w0", "w1", "w2") as cluster:
        client = distributed.Client(cluster.address, set_as_default=False)

        def make_pool() -> Any:
            for _ in range(4 - len(cluster.running)):  # the scheduler is one of them
                cluster.worker(f"w{next(numbers)}")
            until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 3, 60)
            return kofn.DaskPool(client)

        def leave(machine: Any, worker: int) -> bool:
            if len(cluster.running) < 4 or worker in machine.running:  # one at a time: without any the pool is over
                return False
            cluster.kill(machine.pool.submit(worker, name_of_worker).result(60))
            return True

        def join(machine: Any) -> bool:
            cluster.worker(f"w{next(numbers)}")
            return True

        with client:
            play(make_pool, 4, leave=leave, join=join)


def name_of_worker() -> str:
    from distributed import get_worker

    return str(get_worker().name)


@pytest.mark.slow
def test_ray() -> None:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=12, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        play(lambda: kofn.RayPool(3, grace_seconds=0.1), 3)
    finally:
        ray.shutdown()


# -- what is planted is found -------------------------------------------------------------------------

SMALL = {
    "kill": lambda machine, worker: machine.pool.kill(worker) is None,
    "leave": lambda machine, worker: machine.pool.leave(worker) is None,
    "join": lambda machine: machine.pool.join() is None,
}
"""How a worker of a small pool is killed, leaves and joins."""


@pytest.mark.parametrize("examples", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_a_small_engine_without_a_fault(examples: int) -> None:
    play(SmallPool, examples, **SMALL)


FAULTS = {
    "loses a result": "must have a result|must end",
    "delivers a result twice": "ends once, and not 2 times",
    "gives a result to the next task": "returns its result|must return|as it was put",
    "says that it stopped nothing": "can be stopped, or abandoned|must have a result",
    "says that it stopped what runs on": "is cancelled",
    "says that it killed what runs on": "must become idle",
    "is never idle after a death": "must become idle|must be neither",
    "is never idle after a failure": "must become idle",
    "forgets values with a death": "a|not resident|no value",
    "who joins has no values": "a|not resident|no value",
    "calls who left idle": "must be",
    "takes two tasks": "WorkerError must be raised|one of four",
    "tasks outlive it": "must end",
    "a close that hangs": "may hang",
}

PATIENCE = 1.0
"""Seconds; on a busy machine all that is right must have happened by then."""


FOUND_SOON = ["loses a result", "is never idle after a failure", "takes two tasks"]


def found(make_pool: Any, examples: int, **members: Any) -> str:
    """What a machine finds; where threads race it may not find it a second time."""
    try:
        play(make_pool, examples, **members)
    except BaseExceptionGroup as group:
        return str(group.exceptions[0])
    except (AssertionError, kofn.ArgumentError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("fault", slow_but(FAULTS, FOUND_SOON))
def test_what_is_planted_is_found(fault: str) -> None:
    HANGING.clear()
    try:
        assert re.search(FAULTS[fault], found(lambda: SmallPool(fault), 100, patience_seconds=PATIENCE, **SMALL))
    finally:
        HANGING.set()


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
    says = r"must be|nothing to stop|as it was put|must return|is cancelled"
    assert re.search(says, found(lambda: Wrong(fault), 30))


def test_a_closed_virtual_pool_ends_what_runs() -> None:
    pool = VirtualPool([[1.0]])
    future = pool.submit(0, int, 1)
    pool.close()
    pool.close()
    assert isinstance(future.exception(timeout=0), kofn.PoolClosed)
