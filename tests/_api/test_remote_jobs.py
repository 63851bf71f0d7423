"""Products of matrices that lie at workers as jobs: estimates on the way, plans, what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kofn
from kofn.simulation import VirtualPool
from remote_pool import RemotePool, Tiled

RNG = np.random.default_rng(15)
A, B = RNG.standard_normal((60, 31)), RNG.standard_normal((31, 40))
EXACT = A @ B
WORKERS = 3


def tiles():
    """Six rows of blocks and two columns, dealt round."""
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % WORKERS)
    return a, Tiled(B, (), (20,), lambda n, p: p)


def virtual(delays=((1.0,),) * WORKERS, deaths=None, **options):
    return RemotePool(VirtualPool(delays, deaths), **options)


def off(value):
    return np.linalg.norm(value - EXACT) / np.linalg.norm(EXACT)


def test_each_estimate_is_what_had_come_with_zeros_and_says_how_far_it_is_off():
    with RemotePool(kofn.ThreadPool(WORKERS)) as pool:
        scheme = kofn.remote_product(*tiles(), workers=pool, rng=0)
        with kofn.start(scheme, workers=pool) as job:
            estimates = list(job)
    assert estimates[-1].exact and np.allclose(estimates[-1].value, EXACT)
    for estimate in estimates:
        for n, p in itertools.product(range(6), range(2)):
            block, expected = estimate.value[estimate.where(n, p)], EXACT[estimate.where(n, p)]
            assert np.allclose(block, expected) if estimate.recovered[n, p] else not block.any()
        assert estimate.error == pytest.approx(off(estimate.value), abs=0.25)


@pytest.mark.parametrize("options", [{"deadline": 2.5}, {"tolerance": 0.8}, {"stop": kofn.Count(5)}])
def test_stop_rules_end_it_with_an_error_that_holds(options):
    pool = virtual([[1.0], [1.0], [30.0]])
    scheme = kofn.remote_product(*tiles(), workers=pool, rng=0)
    answer = kofn.run(scheme, workers=pool, **options)
    assert not answer.exact and 0 < answer.recovered.sum() < 12
    assert answer.error == pytest.approx(off(answer.value), abs=0.15)


def test_it_is_prepared_once_and_run_often_and_left_to_who_has_the_data():
    pool = virtual()
    with kofn.prepare(kofn.remote_product(*tiles(), workers=pool, redundancy=1), workers=pool) as plan:
        for _ in range(2):
            answer = plan.run()
            assert answer.exact and np.allclose(answer.value, EXACT)
            assert (
                answer.report.sent_bytes == answer.report.received_bytes == 0 < sum(answer.report.moved_bytes.values())
            )
            assert answer.report.seconds - answer.report.attempts[0].submitted == pytest.approx(4.0)


def test_a_job_does_without_a_worker_that_dies_where_blocks_have_copies():
    pool = virtual(deaths={1: 6.5})  # the sketches took four seconds
    answer = kofn.run(kofn.remote_product(*tiles(), workers=pool, redundancy=1), workers=pool)
    assert answer.exact and np.allclose(answer.value, EXACT)


def test_estimates_cost_no_worker_anything():
    """Zeros are not made by tasks: a worker that is busy keeps nobody from looking at an estimate."""
    pool = virtual([[1.0], [1.0], [30.0]])
    answer = kofn.matmul(*tiles(), workers=pool, deadline=3.5, rng=0)
    assert not answer.exact and answer.report.seconds == pytest.approx(3.5)
    assert not answer.value[answer.where(*np.argwhere(~answer.recovered)[0])].any()


def test_references_follow_what_the_engine_moves():
    pool = virtual()
    scheme = kofn.remote_product(*tiles(), workers=pool)
    pool.move(0, 2)
    answer = kofn.run(scheme, workers=pool)
    assert answer.exact and np.allclose(answer.value, EXACT)
    assert not any(pair[0] == 0 and size > A[:10].nbytes for pair, size in answer.report.moved_bytes.items())
    with kofn.operator(tiles()[0], workers=pool, redundancy=0) as op:
        pool.move(0, 1)
        assert np.allclose(op @ np.ones(31), A @ np.ones(31))
        assert op.answer.report.moved_bytes.keys() <= {(1, 0)}  # to whom the rows were dealt, from where they lie


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"workers": 3}, "'workers' must be there already, but got 3"),
        ({"workers": None}, "'workers' must be there already, but got None"),
        ({"redundancy": 3}, "'redundancy' must be less than the number of workers, 3"),
        ({"redundancy": -1}, "'redundancy' must be an int of at least 0"),
        ({"A": A}, "'A' must lie at the workers, or else 'B'"),
        ({"A": Tiled(A.astype(object), (), (), lambda n, p: 0)}, "'A' must be a matrix of numbers"),
        ({"workers": VirtualPool([[1.0]])}, "'A' must lie at the workers, or else 'B', but got .* with a VirtualPool"),
    ],
)
def test_what_cannot_be_one_gets_a_sentence(arguments, said):
    a, _ = tiles()
    with pytest.raises(kofn.ArgumentError, match=f"kofn.remote_product: {said}"):
        kofn.remote_product(**{"A": a, "B": B, "workers": virtual(), **arguments})
