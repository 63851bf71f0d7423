"""Every answer tells which of its parts are exact, in their own shape, and where those parts lie."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import kofn
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.schemes import PRODUCTS, SUMS, SumScheme, Terms
from kofn.simulation._virtual import VirtualPool
from kofn.testing._schemes import results_of

RNG = np.random.default_rng(11)
A, B = RNG.standard_normal((13, 7)) * RNG.permutation(13)[:, None], RNG.standard_normal((7, 11)) * RNG.permutation(11)

CODES = {
    **{name: (PRODUCTS[name], (3, 1) if name.startswith("mds") else (2, 2)) for name in PRODUCTS},
    "cxr": (partial(PRODUCTS["now-uep"], partition="cxr"), (2, 2)),
    "cxr, apart": (partial(PRODUCTS["now-uep"], partition="cxr", separate=True, realisation="window"), (3, 3)),
    "rxc, windows": (partial(PRODUCTS["ew-uep"], realisation="window"), (2, 2)),
}


def after(scheme, rows, estimator):
    """The answer once some rows have arrived, and no others ever will."""
    delays = [[0.1] if row in rows else [np.inf] for row in range(scheme.code.rows)]
    pool = VirtualPool(delays)
    collector = Collector(scheme.code, scheme.prior, estimator, kofn.Deadline(1.0), scheme.epsilon)
    return RunLoop(scheme, pool, collector, Placement(pool)).run()


@pytest.mark.parametrize("estimator", ["lmmse", "exact"])
@pytest.mark.parametrize("name", CODES)
def test_recovered_blocks_are_those_that_are_right_wherever_they_lie(name, estimator):
    build, blocks = CODES[name]
    summed = name in ("matdot", "matdot-approximate", "cxr", "cxr, apart")
    scheme, rng = build(A, B, blocks=blocks, rows=8, rng=1), np.random.default_rng(12)
    truth, size = A @ B, np.linalg.norm(A) * np.linalg.norm(B)
    shape, seen = (1, 1) if summed else blocks, set()
    for count in range(1, (rows := scheme.code.rows) + 1):
        answer = after(scheme, rng.permutation(rows)[:count].tolist(), estimator)
        assert answer.recovered.shape == shape and answer.recovered.dtype == bool
        assert answer.exact == answer.recovered.all()
        covered = np.zeros(truth.shape, dtype=int)
        for block in np.ndindex(shape):
            place = answer.where(*block)
            covered[place] += 1
            off = np.linalg.norm(answer.value[place] - truth[place]) / size
            rounding = 16 * np.finfo(float).eps * max(1.0, answer.amplification)
            assert off < rounding if answer.recovered[block] else off > 1e-10
            seen.add(bool(answer.recovered[block]))
        assert (covered == 1).all()
    assert seen == {True, False}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_is_recovered_or_not(name):
    code = SUMS[name](12, workers=6, rng=0)
    scheme = SumScheme(code, Terms.of(lambda i, x: i + 1.0, size=12), None)
    pool = VirtualPool([[1.0]] * code.workers)
    told = []

    def watch(run):
        estimate = run.estimate()
        told.append((bool(estimate.recovered), estimate.exact, np.shape(estimate.recovered), estimate.where()))

    collector = Collector(code, scheme.prior, "exact", None)
    answer = RunLoop(scheme, pool, collector, Placement(pool)).run(watch)
    assert all(entry == (entry[1], entry[1], (), ()) for entry in told)
    assert answer.recovered and answer.value == pytest.approx(78.0)


def test_every_face_tells_what_is_recovered():
    with kofn.ThreadPool(3) as pool:
        product = kofn.matmul(A, B, workers=pool, code="uncoded", blocks=(2, 3))
        assert product.recovered.tolist() == [[True] * 3] * 2
        empty = kofn.matmul(A[:0], B, workers=pool)
        assert empty.recovered.tolist() == [[True]] and empty.value[empty.where(0, 0)].shape == (0, 11)
        assert kofn.sum([abs, abs], -1.0, workers=pool).recovered
        with kofn.CodedSum([abs, abs], workers=pool) as total:
            assert total(-1.0).recovered
        polynomial = kofn.map(np.square, [1.0, 2.0], workers=pool, degree=2)
        assert polynomial.recovered.tolist() == [True, True] and polynomial.value[polynomial.where(1)] > 3.9
        with kofn.operator(A, workers=pool, blocks=2, rng=0) as op:
            assert op.product(B[:, :1]).recovered.tolist() == [True, True]
            assert op.product(np.ones((13, 2)), adjoint=True).recovered.tolist() == [True, True]
        scheme = PRODUCTS["uncoded"](A, B, blocks=(3, 1))
        job = kofn.start(scheme, workers=pool)
        for estimate in job:
            assert estimate.recovered.shape == (3, 1)
            assert estimate.exact == estimate.recovered.all()


def test_an_estimate_in_an_error_tells_what_is_recovered():
    scheme = PRODUCTS["uncoded"](A, B, blocks=(4, 1))
    pool = VirtualPool([[0.1], [0.1], [5.0], [5.0]], deaths={2: 1.0, 3: 1.0, 0: 1.0, 1: 1.0})
    run = RunLoop(scheme, pool, Collector(scheme.code, scheme.prior), Placement(pool))
    with pytest.raises(kofn.NotDecodable) as caught:
        run.run()
    estimate = caught.value.estimate
    assert estimate.recovered.tolist() == [[True], [True], [False], [False]]
    assert "2 of 4 parts exact" in repr(estimate)
    assert "parts" not in repr(after(scheme, range(4), "lmmse"))


def test_a_scheme_of_ones_own_tells_target_by_target():
    code = kofn.LinearCode("own", np.eye(2), np.eye(2), worker=[0, 1])
    scheme = kofn.schemes.CustomScheme(code, [kofn.Task(abs, (1.0,))] * 2)
    assert len(results_of(scheme)) == 2
    assert after(scheme, [1], "exact").recovered.tolist() == [False, True]
