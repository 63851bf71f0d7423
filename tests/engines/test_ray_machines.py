"""A Ray of several machines, each of which is played by a process of Ray's own on this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kofn.engines import RayPool
from kofn.errors import ReferenceLost, WorkerLost
from processes import until

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.slow

ROOM = {"num_cpus": 1, "object_store_memory": 100_000_000}


@pytest.fixture
def machines() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Ray's cluster, and the two machines that have room for a worker by their names."""
    from ray.cluster_utils import Cluster

    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
    cluster = Cluster(initialize_head=True, head_node_args={**ROOM, "num_cpus": 0, "_system_config": soon})
    nodes = [cluster.add_node(**ROOM) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster, {node.node_id: node for node in nodes}
    ray.shutdown()
    cluster.shutdown()


def test_what_lay_at_a_lost_machine_is_lost_and_copies_elsewhere_are_not(machines: Any) -> None:
    cluster, nodes = machines
    with RayPool(2, options={"num_cpus": 1}) as pool:
        homes = [slot.node for slot in pool._slots]
        assert set(homes) == set(nodes)
        only, value = (pool.keep(0, np.arange, 100_000.0).result() for _ in range(2))
        small = pool.keep(0, np.arange, 10.0).result()
        copy = pool.send(value, 1).result()
        assert (copy.handle.home, pool.moved()) == (homes[1], {(0, 1): value.size})
        assert pool.submit(1, np.sum, value).result() == np.arange(100_000.0).sum()
        assert pool.moved() == {(0, 1): value.size}  # it is there already
        theirs = [pool.keep(worker, np.ones, (3, 100_000)).result().handle.reference for worker in (1, 0)]
        adopted = pool.adopt([theirs])
        assert adopted is not None
        assert [ref.worker for ref in adopted.blocks[0]] == [1, 0]
        cluster.remove_node(nodes[homes[0]], allow_graceful=False)
        for begin in (lambda: pool.submit(1, np.sum, [only]), lambda: pool.fetch(only), lambda: pool.send(only, 1)):
            with pytest.raises(ReferenceLost, match="no machine of the cluster has it any more"):
                begin().result(60)
            until(lambda: pool.state(1) == "idle")
        for ref, total in ((copy, np.arange(100_000.0).sum()), (small, 45.0)):
            assert pool.submit(1, np.sum, ref).result() == total
            assert pool.fetch(ref).result().sum() == total
        with pytest.raises(WorkerLost):
            pool.submit(0, int).result(60)
        with pytest.raises(WorkerLost, match="worker 0 is starting"):
            pool.send(copy, 0).result()
