"""`redundancy=` of every call: so many workers may be lost, whichever they are, or a sentence says why not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import kofn
from kofn.simulation import VirtualPool

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((20, 9)), RNG.standard_normal((9, 7))


def lost_pools(workers, redundancy):
    for lost in itertools.combinations(range(workers), redundancy):
        yield VirtualPool([[math.inf] if worker in lost else [1.0] for worker in range(workers)])


@pytest.mark.parametrize("code", ["auto", "mds", "mds-dense", "mds-chebyshev"])
@pytest.mark.parametrize("redundancy", [0, 1, 2, 4])
def test_a_product_does_without_any_so_many_workers(redundancy, code):
    for pool in lost_pools(5, redundancy):
        answer = kofn.matmul(A, B, workers=pool, code=code, redundancy=redundancy, rng=0)
        np.testing.assert_allclose(answer.value, A @ B, atol=1e-11)
        assert answer.exact and answer.report.seconds == 1.0 and len(answer.recovered) == 5 - redundancy


def test_a_product_with_fewer_rows_than_workers_has_as_many_blocks():
    for pool in lost_pools(6, 2):
        answer = kofn.matmul(A[:2], B, workers=pool, redundancy=2, rng=0)
        np.testing.assert_allclose(answer.value, A[:2] @ B, atol=1e-12)


def test_products_of_integers_move_to_whoever_is_there():
    whole = np.arange(24).reshape(8, 3)
    pool = VirtualPool([[1.0]] * 3, {0: 0.5, 2: 0.5})
    assert np.array_equal(kofn.matmul(whole, whole.T, workers=pool, redundancy=2).value, whole @ whole.T)


@pytest.mark.parametrize("terms", [3, 5, 18, 200])
@pytest.mark.parametrize("redundancy", [0, 1, 2, 4])
def test_a_sum_does_without_any_so_many_workers_and_holds_so_many_copies(redundancy, terms):
    powers = lambda k, x: x ** np.asarray(k)  # noqa: E731
    for pool in lost_pools(5, redundancy):
        with kofn.CodedSum(powers, count=terms, workers=pool, redundancy=redundancy) as total:
            answer = total(0.5)
            copies = total.code.generator.sum(axis=0)
        assert answer.exact and answer.value == pytest.approx(2 - 0.5 ** (terms - 1))
        assert copies.min() >= redundancy + 1 and copies.max() <= redundancy + 2 + 5 // terms
        assert kofn.sum(powers, 0.5, count=terms, workers=pool, redundancy=redundancy).exact


def test_a_map_evaluates_again_what_is_lost():
    with kofn.Straggling(kofn.ThreadPool(3), kofn.Dying(kofn.Constant(0.0), {0: 0.0, 2: 0.0})) as pool:
        assert kofn.map(len, ["a", "bb", "ccc"], workers=pool, redundancy=2).value == [1, 2, 3]


CALLS = {
    "kofn.matmul": lambda **options: kofn.matmul(A, B, **options),
    "kofn.sum": lambda **options: kofn.sum([abs, abs], 1.0, **options),
    "kofn.CodedSum": lambda **options: kofn.CodedSum([abs, abs], **options),
    "kofn.map": lambda **options: kofn.map(abs, [1.0], **options),
    "kofn.operator": lambda **options: kofn.operator(A, **options),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_fewer_workers_may_be_left_than_one(call):
    with kofn.ThreadPool(3) as pool:
        said = rf"{call}: 'redundancy' must be less than the number of workers, 3, but got 3; lose fewer"
        with pytest.raises(kofn.ArgumentError, match=said):
            CALLS[call](workers=pool, redundancy=3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda **o: kofn.matmul(A, B, rows=4, **o), "kofn.matmul: 'redundancy' must say alone .* 1 beside rows=4"),
        (lambda **o: kofn.matmul(A, B, blocks=(2, 1), **o), "'redundancy' must say alone"),
        (lambda **o: kofn.matmul(A, B, code="kronecker", **o), "got 1 beside code='kronecker'"),
        (lambda **o: kofn.sum([abs], 1.0, code="uncoded", **o), "kofn.sum: 'redundancy' must say alone"),
        (lambda **o: kofn.map(abs, [1.0], degree=1, **o), "kofn.map: 'redundancy' must be left out"),
        (lambda **o: kofn.CodedMap(abs, **o), "kofn.CodedMap: 'redundancy' must be left out"),
        (lambda **o: kofn.run(kofn.schemes.mds(A, B, workers=3), **o), "kofn.run: 'redundancy' must be left out"),
        (lambda **o: kofn.prepare(kofn.schemes.mds(A, B, workers=3), **o), "kofn.prepare: 'redundancy' must be left"),
    ],
)
def test_where_it_cannot_be_a_sentence_says_so(call, said):
    with kofn.ThreadPool(3) as pool, pytest.raises(kofn.ArgumentError, match=said):
        call(workers=pool, redundancy=1)
