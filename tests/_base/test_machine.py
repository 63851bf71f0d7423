"""How many processors and how much memory there are to use: bound, shared and limited processes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

import kofn
from kofn._base import _machine as machine
from kofn.engines import as_pool, processes
from kofn.jobs import _memory as budget
from kofn.simulation._latency import Constant, Delayed, Dying, Slowdown, Trace

affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are bound to no processors")


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")
    return folder


@pytest.fixture
def groups(monkeypatch):
    """Make the given folders the control groups of this process."""

    def these(*folders):
        monkeypatch.setattr(machine, "groups", lambda _: list(folders))
        machine._allowed.cache_clear()

    yield these
    machine._allowed.cache_clear()


@pytest.mark.parametrize(
    ("files", "right"),
    [
        ({"cpu__max": "max 100000"}, 64),
        ({"cpu__max": "50000 100000"}, 1),
        ({"cpu__max": "100000 100000"}, 1),
        ({"cpu__max": "150000 100000"}, 2),
        ({"cpu__max": "400000 100000"}, 4),
        ({"cpu__max": "9900000 100000"}, 64),
        ({"cpu__max": "nonsense"}, 64),
        ({"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, 64),
        ({"cpu__cfs_quota_us": "250000", "cpu__cfs_period_us": "100000"}, 3),
        ({"cpu__cfs_quota_us": "5000", "cpu__cfs_period_us": "0"}, 64),
        ({}, 64),
    ],
)
def test_a_share_of_time_is_rounded_up_and_never_more_than_there_is(groups, monkeypatch, tmp_path, files, right):
    monkeypatch.setattr(machine, "_bound_to", lambda: 64)
    groups(write(tmp_path, **files))
    assert machine.processors() == right


def test_the_smallest_share_of_nested_groups_counts(groups, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_bound_to", lambda: 64)
    inner = write(tmp_path / "a" / "b", cpu__max="max 100000")
    middle = write(tmp_path / "a", cpu__max="300000 100000")
    groups(inner, middle, write(tmp_path, cpu__max="800000 100000"))
    assert machine.processors() == 3


PROGRAM = """
import os, numpy as np, kofn
from kofn._base._machine import processors
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
with kofn.LocalPool(1) as pool:
    threads = pool.submit(0, os.getenv, "OMP_NUM_THREADS").result()
print(processors(), kofn.matmul(np.eye(4), np.eye(4)).report.workers, kofn.CodedSum([abs]).plan._lease.n, threads)
"""


@affinity
def test_a_bound_process_has_as_many_as_it_is_bound_to():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"] * 4


def test_every_default_asks_the_same_function(groups, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_bound_to", lambda: 64)
    groups(write(tmp_path, cpu__max="200000 100000"))
    assert processes(None, "f") == 2
    pool, owned = as_pool(None)
    with pool:
        assert (pool.n, owned) == (2, True)


STAT = "anon 1000\nfile 900\nshmem 500\ninactive_file 150\nactive_file 250\nslab_reclaimable 100"
"""Of a group that holds 2000 bytes, 500 of which go when the room is needed."""

OLD_STAT = "cache 900\ninactive_file 1\nactive_file 1\ntotal_inactive_file 150\ntotal_active_file 350"


@pytest.mark.parametrize(
    ("files", "right"),
    [
        ({"memory__max": "5000", "memory__current": "2000", "memory__stat": STAT}, 3500),
        ({"memory__max": "max", "memory__current": "2000", "memory__stat": STAT}, None),
        ({"memory__max": "max", "memory__high": "4000", "memory__current": "2000", "memory__stat": STAT}, 2500),
        ({"memory__max": "5000", "memory__high": "4000", "memory__current": "2000", "memory__stat": STAT}, 2500),
        ({"memory__max": "5000", "memory__high": "max", "memory__current": "2000", "memory__stat": STAT}, 3500),
        ({"memory__max": "1000", "memory__current": "2000", "memory__stat": STAT}, 0),
        ({"memory__max": "5000", "memory__current": "2000"}, 5000),
        ({"memory__limit_in_bytes": "5000", "memory__usage_in_bytes": "2000", "memory__stat": OLD_STAT}, 3500),
        ({"memory__limit_in_bytes": str(0x7FFFFFFFFFFFF000), "memory__usage_in_bytes": "2000"}, None),
        ({}, None),
    ],
)
def test_a_limit_of_memory_means_what_is_left(groups, tmp_path, files, right):
    groups(write(tmp_path, **files))
    assert machine.memory_in_groups() == right


def test_the_tightest_of_nested_groups_counts(groups, tmp_path):
    inner = write(tmp_path / "a" / "b", memory__max="9000", memory__current="100", memory__stat="anon 100")
    full = write(tmp_path / "a", memory__max="9000", memory__current="8500", memory__stat="anon 8500")
    groups(inner, full, tmp_path)
    assert machine.memory_in_groups() == 500  # the neighbours have taken the rest


def test_memory_that_others_took_is_not_there(groups, monkeypatch, tmp_path):
    groups()
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:    100 kB\n")
    monkeypatch.setattr(machine, "MEMORY", file)
    assert budget.available_bytes() == (100 * 1024, "this machine's memory")
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "none")
    assert machine.memory_in_machine() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("code", ["repetition", "mds", "uncoded"])
@pytest.mark.parametrize("direction", ["forward", "adjoint"])
def test_a_sparse_operator_stays_within_its_limit_of_memory(code, direction):
    A = sparse.random_array((400, 300), density=0.2, rng=np.random.default_rng(0), format="csr")
    with kofn.ThreadPool(4) as pool:
        with kofn.operator(A, workers=pool, code=code, rng=0) as op:
            held = {id(block): block for block in op._plan(op.dtype, adjoint=False)._asked.encoded}.values()
            size = sum(b.data.nbytes + b.indices.nbytes + b.indptr.nbytes for b in held)
        with kofn.operator(A, workers=pool, code=code, rng=0, memory_limit_bytes=2 * size) as op:
            assert op.product(np.ones((300, 1))).exact
        with pytest.raises(kofn.ArgumentError, match="'memory_limit_bytes' must be at least"):
            if direction == "forward":
                kofn.operator(A, workers=pool, code=code, rng=0, memory_limit_bytes=size - 1)
            else:
                wide = sparse.csr_array(A[:1])
                with kofn.operator(wide, workers=pool, code=code, blocks=1, rng=0, memory_limit_bytes=700) as op:
                    op.H @ np.ones(1)


TRACE = Trace([[1.0, 4.0], [2.0, 5.0], [3.0, np.inf]])


@pytest.mark.parametrize(
    ("model", "right"),
    [
        (TRACE, [1.0, 2.0, 3.0, 1.0]),
        (Delayed(TRACE, 0.5), [1.5, 2.5, 3.5, 1.5]),
        (Slowdown(TRACE, {0: 10.0}), [10.0, 20.0, 30.0, 10.0]),
        (Dying(Slowdown(Delayed(TRACE, 1.0), {0: 2.0}), {1: 1.0}), [4.0, 6.0, 8.0, 4.0]),
        (Constant(2.0), [2.0, 2.0, 2.0, 2.0]),
    ],
)
def test_the_tasks_of_a_worker_take_the_records_in_order(model, right):
    with kofn.Straggling(kofn.ThreadPool(2), model) as pool:
        assert [pool.delay(task, 0) for task in range(4)] == right
