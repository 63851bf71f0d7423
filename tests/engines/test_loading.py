"""What jobs import: all of it before their time begins, and nothing of it with kofn itself."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from processes import slow_but

JOBS = {
    "sum": "kofn.sum([late] * 6, 2.0, **wanted)",
    "sum, exact": "kofn.sum([abs] * 6, 2.0, workers=pool)",
    "sum, peeling": "kofn.sum([abs] * 40, 2.0, workers=pool, code='lt', estimator='peeling', rng=0)",
    "map": "kofn.map(late, range(6), **wanted)",
    "map, exact": "kofn.map(str, range(6), workers=pool)",
    "map, estimated": "kofn.map(late, [float(k) for k in range(6)], estimator='lmmse', **wanted)",
    "map, lagrange": "kofn.map(late, [1.0, 2.0, 3.0], degree=2, **wanted)",
    "map, berrut": "kofn.map(late, [1.0, 2.0, 3.0], code='berrut', **wanted)",
    "map, kriging": "kofn.map(late, [1.0, 2.0, 3.0], code='kriging', **wanted)",
    "matmul": "kofn.matmul(A, A, code='kronecker', blocks=(2, 3), **wanted)",
    "matmul, mds": "kofn.matmul(A, A, **wanted)",
    "matmul, exact": "kofn.matmul(A, A, workers=pool, code='matdot')",
    "start": "kofn.start(kofn.schemes.uncoded(A, A, workers=8), workers=slow, stop=kofn.Count(1)).result()",
}

PROGRAM = """
import sys, time
import numpy as np
import kofn
from kofn.jobs._loop import RunLoop
from kofn.jobs.calls._loop import CallLoop

A = np.random.default_rng(0).standard_normal((64, 64))
calls = iter(range(1000))

def late(x):
    if next(calls) == 4:
        time.sleep(5.0)
    return x

pool = kofn.ThreadPool(8)
slow = kofn.Straggling(pool, kofn.Slowdown(kofn.Constant(0.0005), {{2: 1e4}}))
wanted = {{"workers": slow, "deadline": 0.1}}

first = []
def noting(begin):
    def noted(self, *arguments):
        first.extend(sys.modules)
        return begin(self, *arguments)
    return noted

RunLoop.run, CallLoop.begin = noting(RunLoop.run), noting(CallLoop.begin)
try:
    {job}
except kofn.NotDecodable:
    pass
print(sorted(name for name in set(sys.modules) - set(first) if name != "resource"))
"""


@pytest.mark.parametrize("job", slow_but(JOBS, {"sum, peeling", "map, berrut", "matmul", "start"}))
def test_a_job_imports_nothing_once_its_time_has_begun(job):
    program = textwrap.dedent(PROGRAM).format(job=JOBS[job])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_a_pool_loads_what_its_jobs_need():
    program = """
    import sys, kofn
    before = "scipy.sparse" in sys.modules
    pool = kofn.LocalPool(1)
    print(before, all(name in sys.modules for name in ("scipy.sparse", "cloudpickle", "kofn.codes.decoding._sparse")))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "False True", "")
