"""Estimators against textbook formulas and Monte-Carlo."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from draws import examples
from kofn.codes import decodable, decode
from kofn.codes._linear import LinearCode
from kofn.codes._prior import Prior
from kofn.codes.decoding._dense import decode_dense
from kofn.errors import ArgumentError

seeds = st.integers(0, 2**32 - 1)
EPS = 2.0**-52


def problem(seed, most=7):
    rng = np.random.default_rng(seed)
    unknowns = int(rng.integers(1, most))
    rows = int(rng.integers(1, most))
    generator = rng.standard_normal((rows, unknowns))
    targets = rng.standard_normal((int(rng.integers(1, 4)), unknowns))
    if rng.random() < 0.5:
        prior = Prior.independent(10.0 ** rng.uniform(-2, 2, unknowns))
    else:
        prior = Prior(rng.standard_normal((unknowns, unknowns)) + 2 * np.eye(unknowns))
    return rng, LinearCode("any", generator, targets, np.arange(rows)), prior


def covariance(prior):
    return np.diag(prior.energies) if prior.factor.ndim == 1 else prior.factor @ prior.factor.T


def loss(code, V, S):
    rest = code.targets - V @ code.generator
    return float(np.trace(rest @ S @ rest.T))


@given(seeds)
def test_lmmse_is_the_textbook_formula(seed):
    _, code, prior = problem(seed)
    G, T, S = code.generator, code.targets, covariance(prior)
    if code.rows >= code.unknowns or np.linalg.cond(G @ S @ G.T) > 1e6:
        return
    textbook = T @ S @ G.T @ np.linalg.inv(G @ S @ G.T)
    decoding = decode(code, np.arange(code.rows), prior)
    assert np.allclose(decoding.matrix, textbook, rtol=1e-7, atol=1e-8 * np.abs(textbook).max())
    expected = np.trace(T @ S @ T.T - textbook @ G @ S @ T.T) / np.trace(T @ S @ T.T)
    assert float(decoding.error) ** 2 == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(seeds, st.floats(1e-6, 10))
def test_no_other_matrix_expects_less(seed, step):
    rng, code, prior = problem(seed)
    S = covariance(prior)
    decoding = decode(code, np.arange(code.rows), prior)
    best = loss(code, decoding.matrix, S)
    other = decoding.matrix + step * rng.standard_normal(decoding.matrix.shape)
    energy = float(np.trace(code.targets @ S @ code.targets.T))
    assert best <= loss(code, other, S) + 1e-14 * energy
    assert loss(code, decode(code, np.arange(code.rows), prior, "exact").matrix, S) >= best - 1e-14 * energy
    if not decoding.exact:
        assert float(decoding.error) ** 2 == pytest.approx(best / energy, rel=1e-6, abs=1e-12)


@given(seeds)
def test_more_rows_never_expect_more_loss(seed):
    rng, code, prior = problem(seed)
    order = rng.permutation(code.rows)
    errors = [float(decode(code, order[:count], prior).error) for count in range(code.rows + 1)]
    assert errors[0] == pytest.approx(1.0)
    assert np.all(np.diff(errors) <= 1e-9)


@examples(25)
@given(seeds)
def test_the_expected_error_is_what_monte_carlo_finds(seed):
    rng, code, prior = problem(seed)
    factor = np.diag(prior.factor) if prior.factor.ndim == 1 else prior.factor
    unknowns = factor @ rng.standard_normal((factor.shape[1], 20_000))
    decoding = decode(code, np.arange(code.rows), prior)
    off = decoding.matrix @ (code.generator @ unknowns) - code.targets @ unknowns
    found = np.sum(off**2) / np.sum((code.targets @ unknowns) ** 2)
    # The standard deviation of a ratio of χ² sums of 20 000 draws is about 1.5 %.
    assert found == pytest.approx(float(decoding.error) ** 2, rel=0.08, abs=1e-20)


@given(seeds)
def test_trials_in_a_stack_are_decoded_as_alone(seed):
    rng, code, prior = problem(seed)
    size = int(rng.integers(0, code.rows + 1))
    rows = np.array([rng.permutation(code.rows)[:size] for _ in range(6)]).reshape(2, 3, size)
    together = decode(code, rows, prior)
    assert together.matrix.shape == (2, 3, len(code.targets), size)
    assert np.array_equal(decodable(code, rows), together.recovered.all(axis=-1))
    for index in np.ndindex(2, 3):
        alone = decode(code, rows[index], prior)
        assert np.array_equal(together.recovered[index], alone.recovered)
        assert np.allclose(together.matrix[index], alone.matrix, rtol=1e-8, atol=1e-10)
        assert together.error[index] == pytest.approx(float(alone.error), rel=1e-8, abs=1e-12)


@given(seeds)
def test_the_order_of_rows_only_reorders_the_matrix(seed):
    rng, code, prior = problem(seed)
    order = rng.permutation(code.rows)
    one, other = decode(code, np.arange(code.rows), prior), decode(code, order, prior)
    assert np.allclose(one.matrix[:, order], other.matrix, rtol=1e-8, atol=1e-10)
    assert np.array_equal(one.recovered, other.recovered)


@examples(200)
@given(seeds)
def test_dependent_rows_do_not_amplify_rounding(seed):
    rng = np.random.default_rng(seed)
    independent = rng.integers(-2, 3, (3, 6)).astype(float)
    generator = np.concatenate([independent, rng.integers(-2, 3, (3, 3)) @ independent])
    prior = Prior.independent(10.0 ** rng.uniform(-2, 2, 6))
    code = LinearCode("dependent", generator, np.eye(6), np.arange(6))
    fewer, more = (decode(code, np.arange(count), prior) for count in (3, 6))
    assert float(more.error) == pytest.approx(float(fewer.error), rel=1e-9)
    assert float(more.amplification) <= 1e3
    assert np.allclose(more.matrix @ generator, fewer.matrix @ independent, rtol=0, atol=1e-9)


@pytest.mark.parametrize("decades", [12, 24])
def test_energies_over_many_decades_and_zeros_leave_the_error_bar_honest(decades):
    rng = np.random.default_rng(decades)
    energies = 10.0 ** np.linspace(0, -decades, 8)
    energies[3] = 0.0
    prior = Prior.independent(energies)
    code = LinearCode("wide", rng.standard_normal((6, 8)), np.eye(8), np.arange(6))
    decoding = decode(code, np.arange(6), prior)
    unknowns = np.sqrt(energies)[:, None] * rng.standard_normal((8, 5000))
    off = decoding.matrix @ (code.generator @ unknowns) - unknowns
    true = np.sqrt(np.sum(off**2) / np.sum(unknowns**2))
    assert true <= 1.1 * float(decoding.error)
    assert decode(code, np.arange(6), Prior.independent(np.zeros(8))).matrix.shape == (8, 6)


@pytest.mark.parametrize("decades", [8, 16, 20])
def test_what_is_small_is_still_heard_above_rounding(decades):
    """Against the same formula in rationals, which has no rounding to be heard above."""
    G, S = sympy.Matrix([[1, 1, 0, 1], [1, 2, 1, -1]]), sympy.diag(1, *[sympy.Rational(1, 10**decades)] * 3)
    rest = S - S * G.T * (G * S * G.T).inv() * G * S
    wanted = float(sympy.sqrt(rest.trace() / S.trace()).evalf(30))
    code = LinearCode("small", np.array(G, float), np.eye(4), [0, 1])
    found = decode(code, [0, 1], Prior.independent(np.diag(np.array(S, float)))).error
    assert float(found) == pytest.approx(wanted, rel=1e-3)


def test_full_covariance_beats_its_own_diagonal():
    factor = np.outer(np.ones(4), [1.0, 0, 0, 0]) + 0.1 * np.eye(4)
    full = Prior(factor)
    code = LinearCode("few", np.eye(4)[:1], np.eye(4), [0])
    S = factor @ factor.T
    alone = decode(code, [0], Prior.independent(full.energies))
    assert loss(code, decode(code, [0], full).matrix, S) < 0.05 * loss(code, alone.matrix, S)


@pytest.mark.parametrize("ask", [decode, decodable])
@pytest.mark.parametrize("rows", [[-1], [0, 3], [0.0, 0.7], [True, False, True], ["0"], 1])
def test_rows_that_are_none_are_refused(ask, rows):
    code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2])
    with pytest.raises(ArgumentError, match="'rows' must hold ints from 0 to 2"):
        ask(code, rows)
    assert ask(code, []) is not None


@pytest.mark.parametrize("prior", [Prior.independent([1.0]), Prior.independent(np.ones(3)), [1.0, 1.0]])
def test_a_prior_of_other_unknowns_is_refused(prior):
    code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2])
    with pytest.raises(ArgumentError, match="'prior' must be a Prior of 2 unknowns"):
        decode(code, [2], prior)


def test_an_unknown_estimator_is_refused():
    with pytest.raises(ArgumentError, match="'lmmse', 'exact'"):
        decode(LinearCode("one", [[1.0]], [[1.0]], [0]), [0], estimator="best")


def test_rows_of_no_code_are_decoded_as_those_of_one():
    generator = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    code = LinearCode("rows", generator, np.eye(3), worker=[0, 1])
    prior = Prior.independent([1.0, 4.0, 9.0])
    alone, of_code = decode_dense(generator, np.eye(3), prior, "lmmse", 2.0**-52), decode(code, [0, 1], prior)
    assert np.allclose(alone.matrix, of_code.matrix, rtol=1e-12, atol=0) and not alone.recovered.any()
    assert float(alone.error) == pytest.approx(float(of_code.error), rel=1e-12)
