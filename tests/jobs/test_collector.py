"""The collector: what it says at each arrival, whatever the order, and when it is done."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from draws import examples
from kofn.codes import decode
from kofn.codes._linear import LinearCode
from kofn.codes._prior import Prior
from kofn.errors import CodeError
from kofn.jobs._collector import Collector
from kofn.jobs._stop import Count, Deadline, Decodable, Tolerance
from kofn.schemes import PRODUCTS
from kofn.testing._schemes import results_of
from oracles import code_verdict

seeds = st.integers(0, 2**32 - 1)
A = np.random.default_rng(0).standard_normal((8, 6))
B = np.random.default_rng(1).standard_normal((6, 8))


@examples(15)
@given(seeds)
@pytest.mark.parametrize("name", PRODUCTS)
def test_exact_from_the_first_decodable_row_on_and_right(name, seed):
    rng = np.random.default_rng(seed)
    blocks = (3, 3) if name.startswith("matdot") else (4, 1) if name.startswith("mds") else (2, 2)
    scheme = PRODUCTS[name](A, B, blocks=blocks, rows=8, rng=rng)
    results = results_of(scheme)
    collector = Collector(scheme.code, scheme.prior)
    for count, row in enumerate(rng.permutation(scheme.code.rows), start=1):
        collector.add(int(row), float(count))
        decodable = code_verdict(scheme.code, collector.received, blocks).all()
        assert collector.exact == decodable == collector.done
        assert (collector.error == 0.0) == decodable
        value = scheme.assemble(collector.decoding.matrix, [results[r] for r in collector.received])
        true = np.linalg.norm(value - A @ B) / np.linalg.norm(A @ B)
        assert true <= (1e-10 if decodable else 4 * collector.error)
        if scheme.code.threshold is not None and count >= scheme.code.threshold:
            assert collector.exact


@given(seeds)
def test_order_and_duplicates_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    code = LinearCode("any", rng.integers(-2, 3, (6, 4)).astype(float), np.eye(4), np.arange(6))
    rows = rng.permutation(6)[: rng.integers(0, 7)]
    one, other = Collector(code), Collector(code)
    for row in rows:
        one.add(int(row), 1.0)
    for row in [*rng.permutation(rows), *rows, *rows]:
        other.add(int(row), 1.0)
    assert (one.count, one.rank, one.exact) == (other.count, other.rank, other.exact)
    assert one.error == pytest.approx(other.error, rel=1e-9, abs=1e-12)
    assert sorted(one.received) == sorted(other.received)


def test_nothing_is_computed_from_the_prior_until_it_is_needed():
    def refuse():
        raise AssertionError("asked for the prior")

    code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), [0, 1, 2])
    collector = Collector(code, refuse)
    for row in (1, 2):
        collector.add(row, 0.0)
        assert collector.done == (row == 2)
    assert collector.progress.exact
    assert collector.progress.error == 0.0


def test_progress_says_where_the_job_stands():
    code = LinearCode("parity", [[1, 0], [2, 0], [1, 1]], np.eye(2), [0, 1, 2])
    collector = Collector(code, lambda: Prior.independent([3.0, 1.0]))
    assert collector.progress.error == 1.0
    collector.add(0, 0.5)
    collector.add(1, 0.7)
    now = collector.progress
    assert (now.count, now.rows, now.rank, now.unknowns, now.exact, now.time) == (2, 3, 1, 2, False, 0.7)
    assert now.error == pytest.approx(0.5)


def test_stop_rules_see_arrivals_time_and_error():
    code = LinearCode("two", np.eye(2), np.eye(2), [0, 1])
    prior = lambda: Prior.independent([99.0, 1.0])  # noqa: E731
    collector = Collector(code, prior, stop=Count(2) | Deadline(2.0))
    collector.add(0, 0.5)
    assert not collector.done
    collector.advance(2.0)
    assert collector.done
    collector.advance(1.0)
    assert collector.time == 2.0
    tolerant = Collector(code, prior, stop=Tolerance(0.1))
    tolerant.add(0, 0.5)
    assert tolerant.done
    assert tolerant.error == pytest.approx(0.1)
    assert not Collector(code, prior, stop=Decodable()).done


def test_zero_fill_is_an_explicit_choice():
    code = LinearCode("two", [[1.0, 1.0]], np.eye(2), [0])
    zero, best = Collector(code, estimator="exact"), Collector(code)
    for collector in (zero, best):
        collector.add(0, 0.0)
    assert zero.decoding.matrix.tolist() == [[0.0], [0.0]]
    assert zero.error == 1.0
    assert np.allclose(best.decoding.matrix, 0.5)
    assert best.error == pytest.approx(0.5**0.5)


@pytest.mark.parametrize("row", [-1, 2, 99, 0.5, "0"])
def test_rows_that_the_code_does_not_have_are_refused(row):
    collector = Collector(LinearCode("two", np.eye(2), np.eye(2), [0, 1]))
    with pytest.raises(CodeError, match=rf"row must be an int in \[0, 1\], got {row!r}"):
        collector.add(row, 0.0)
    assert collector.count == 0


def test_a_target_near_the_span_is_decided_by_the_certificate():
    close = LinearCode("close", [[1.0, 1e-6]], [[1.0, 0.0]], [0])
    collector = Collector(close)
    collector.add(0, 0.0)
    assert not collector.exact
    assert not decode(close, [0]).exact
