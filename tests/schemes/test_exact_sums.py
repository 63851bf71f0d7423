"""`exact` of sums: right to rounding beside the sum of the terms' magnitudes; integers to the last digit or refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kofn
from draws import examples
from kofn.codes import decode
from kofn.schemes import SUMS, SumScheme, Terms, gradient
from kofn.testing._schemes import results_of

EPS = 2.0**-52


class Constant:
    def __init__(self, value):
        self.value = value

    def __call__(self, x):
        return self.value


@st.composite
def drawn(draw):
    name = draw(st.sampled_from(sorted(SUMS)))
    m, workers, seed = draw(st.integers(1, 24)), draw(st.integers(1, 10)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    size = draw(st.sampled_from([0, 3, 150]))
    values = rng.standard_normal(m) * 10.0 ** rng.uniform(-size, size, m)
    if m > 1 and draw(st.booleans()):  # parts that all but cancel
        values[m // 2 : 2 * (m // 2)] = -values[: m // 2] * (1 + 1e-9 * rng.standard_normal(m // 2))
    options = {}
    if name == "gradient":
        options["stragglers"] = draw(st.integers(0, min(m, workers) - 1))
    code = kofn._api._sum.build_code(lambda *a, **k: SUMS[name](*a, **options, **k), m, workers, rng)
    rows = rng.permutation(code.rows)[: draw(st.integers(1, code.rows))]
    return code, values, rows, draw(st.sampled_from(["lmmse", "exact", "peeling"]))


def right_if_exact(case):
    code, values, rows, estimator = case
    decoding = decode(code, rows, estimator=estimator)
    if not decoding.exact:
        return False
    scheme = SumScheme(code, Terms.of([Constant(value) for value in values]), None)
    results = results_of(scheme)
    found = float(scheme.assemble(decoding.matrix, [results[row] for row in rows]))
    true, size = sum(map(Fraction, values)), sum(map(abs, map(Fraction, values)))
    bound = (50 * Fraction(float(decoding.amplification)) + len(values)) * Fraction(EPS) * size
    assert abs(Fraction(found) - true) <= bound + Fraction(2.0**-1074)
    return True


@examples(120)
@given(drawn())
def test_what_is_called_exact_is_right(case):
    right_if_exact(case)


@pytest.mark.slow
@settings(max_examples=6_000)
@given(drawn())
def test_what_is_called_exact_is_right_in_many_draws(case):
    right_if_exact(case)


@pytest.mark.parametrize(("n", "s"), [(5, 2), (8, 4), (9, 3), (10, 5)])
def test_every_set_that_suffices_makes_a_gradient_code_exact(n, s):
    for seed in range(3):
        code = gradient(n, stragglers=s, workers=n, rng=seed)
        sets = np.array(list(itertools.combinations(range(n), n - s)))
        decoding = [decode(code, rows) for rows in sets[:: max(1, len(sets) // 60)]]
        assert all(one.exact or float(one.amplification) > EPS**-0.5 for one in decoding)
    assert decode(gradient(8, stragglers=4, workers=8, rng=2), [0, 1, 2, 3]).exact


def test_gradient_coefficients_are_the_nearest_floats():
    """Rows orthogonal to H whose own rows sum to zero, against elimination in rational numbers."""
    sympy = pytest.importorskip("sympy")
    n, s = 6, 3
    code = gradient(n, stragglers=s, workers=n, rng=4).generator.toarray()
    h = np.random.default_rng(4).standard_normal((s, n))
    exact = sympy.Matrix(s, n, lambda i, j: sympy.Rational(*float(h[i, j]).as_integer_ratio()))
    for i in range(s):
        exact[i, n - 1] = -sum(exact[i, : n - 1])
    for row in range(n):
        first, *others = (row + np.arange(s + 1)) % n
        solution = exact[:, others].LUsolve(-exact[:, int(first)])
        for place, number in zip(others, solution, strict=True):
            assert code[row, place] == int(number.p) / int(number.q)


BIG = 2**53
REFUSED = {
    "one above": ([BIG + 1, 0], 0),
    "one below": ([0, -BIG - 1], 1),
    "python integers of any length": ([2**70, 1], 0),
    "unsigned": ([np.uint64(2**63), 1], 0),
    "in an array": ([np.array([1, BIG + 1]), np.array([1, 2])], 0),
    "in a list": ([[1, 2], [1, 2**64]], 1),
    "among floats": ([[0.5, 2], [0.5, BIG + 1]], 1),
    "that cancel": ([BIG, -BIG + 1], None),
    "that add up": ([BIG - 1, 2], None),
    "whose parts cancel": ([BIG - 1, BIG - 2, -BIG + 2], None),
}


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as threads:
        yield threads


@pytest.mark.parametrize("code", sorted(SUMS))
@pytest.mark.parametrize("name", REFUSED)
def test_integers_that_float64_cannot_hold_are_refused_by_the_term(pool, name, code):
    values, term = REFUSED[name]
    with pytest.raises(kofn.TermError, match=r"float64 (may|does) not hold") as caught:
        kofn.sum([Constant(value) for value in values], workers=pool, code=code, rng=0)
    assert caught.value.term == term or term is None


@pytest.mark.parametrize("code", ["uncoded", "cyclic", "one"])
def test_one_callable_over_indices_is_held_to_the_same(pool, code):
    for many in (lambda i, x: np.array([BIG + 1, 0])[i], lambda i, x: [[BIG + 1, 0.5][j] for j in i]):
        with pytest.raises(kofn.TermError, match=r"float64 may not hold"):
            kofn.sum(many, count=2, workers=pool, code=code)


@pytest.mark.parametrize("code", sorted(SUMS))
def test_integers_that_it_can_hold_are_exact(pool, code):
    values = [BIG // 64 - 1, 3, -(BIG // 128), 0]
    answer = kofn.sum([Constant(value) for value in values], workers=pool, code=code, rng=0)
    assert answer.exact
    if code != "gradient":  # its weights are no integers
        assert int(answer.value) == sum(values)


@pytest.mark.parametrize("code", sorted(set(SUMS) - {"gradient"}))
def test_integers_are_exact_from_any_rows_that_decode(code):
    values = [BIG // 64 - 1, 3, -(BIG // 128), 0]
    built = SUMS[code](4, workers=4, rng=0)
    scheme = SumScheme(built, Terms.of([Constant(value) for value in values]), 0.0)
    results, decoded = built.generator.astype(np.int64) @ np.array(values), 0
    for size in range(1, min(built.rows, 12) + 1):
        for rows in itertools.islice(itertools.combinations(range(built.rows), size), 10):
            if (decoding := decode(built, rows)).exact:
                learner = scheme.learner()
                try:
                    payloads = [learner.take(row, results[row]) for row in rows]
                except kofn.TermError:  # of so many rows none knows that it adds up to less
                    continue
                value = learner.settle(scheme.answer(decoding, rows, payloads), decoding, payloads)
                assert int(value) == value == sum(values)
                decoded += 1
    assert decoded


@pytest.mark.parametrize(("off", "value"), [(2.0**-52, 10**9), (2.0**-30, 10**9 * (1 + 2.0**-30))])
def test_nothing_is_rounded_to_an_integer_by_weights_that_may_be_off_by_as_much(off, value):
    """Weights from an iteration are right to its tolerance: half a unit of a sum of 1e9 is 5e-10 of it."""
    built = SUMS["uncoded"](1, workers=1)
    learner = SumScheme(built, Terms.of([Constant(10**9)]), 0.0).learner()
    payloads = [learner.take(0, 10**9)]
    decoding = replace(decode(built, [0]), matrix=np.array([[1.0 + off]]), backward_error=np.array(off))
    assert learner.settle((1.0 + off) * 1e9, decoding, payloads) == value


def test_integers_that_pass_what_float64_holds_across_rows_of_real_weights_are_within_the_bound():
    """Rows of a gradient code are floats: their sum is one too, and as right as a sum of floats."""
    values, answered = [BIG // 20 + i for i in range(24)], 0
    with kofn.ThreadPool(12) as dozen:
        for seed in range(8):
            try:
                answer = kofn.sum([Constant(value) for value in values], workers=dozen, code="gradient", rng=seed)
            except kofn.TermError:  # a row alone may have passed it: its weights are of any size
                continue
            answered += 1
            assert answer.exact and np.asarray(answer.value).dtype == np.float64
            bound = (50 * Fraction(answer.amplification) + 24) * Fraction(EPS) * sum(values)
            assert abs(Fraction(float(answer.value)) - sum(values)) <= bound
    assert answered


def test_a_single_term_and_floats_of_any_size_are_sums(pool):
    assert int(kofn.sum([Constant(BIG)], workers=pool).value) == BIG
    assert kofn.sum([Constant(1e30), Constant(2.0**60)], workers=pool).value == 1e30 + 2.0**60
    assert kofn.sum([Constant(1.5), Constant(BIG)], workers=pool).value == BIG + 1.5
