"""Codes for function values: the battery over each of them, exactness of Lagrange coding, honest refusals."""

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

import kofn
from kofn.codes import chebyshev_nodes, chebyshev_rows, decode
from kofn.codes._linear import LinearCode
from kofn.codes._prior import Prior
from kofn.errors import ArgumentError
from kofn.schemes import FUNCTIONS, FunctionScheme, KnownPrior, leakage_bits
from kofn.schemes.functions._berrut import Berrut, alternating, berrut_rows, workers_nodes
from kofn.schemes.functions._calls import GivenArguments
from kofn.schemes.functions._letcc import spline_rows
from kofn.schemes.functions._parity import parity_weights
from kofn.schemes.functions._scheme import center
from kofn.simulation._simulate import errors_by_count
from kofn.testing._schemes import check_scheme

RNG = np.random.default_rng(5)
MATRICES = RNG.standard_normal((3, 4, 4))
WEIGHTS = RNG.standard_normal((6, 3)) / 3


def bent(x):
    return np.tanh(x @ WEIGHTS)


def cubic(x):
    return x @ x @ x - 2 * x + np.trace(x) * x + np.eye(len(x))


def evaluations(name, f, X, rows, **more):
    if name == "lagrange":
        more = {"degree": 2, **more}
    if name != "uncoded":
        more["rows"] = rows
    return FUNCTIONS[name](f, X, workers=4, rng=0, **more)


# -- the battery ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_code_conforms(name, dtype):
    X = MATRICES.astype(dtype) * (1 + 1j if dtype == "complex128" else 1)
    square = lambda x: np.asarray(x @ x, np.result_type(x, np.float64))  # noqa: E731
    scheme = evaluations(name, square, X, 9).estimating()
    answer = np.array([square(x) for x in X])
    scale = float(np.linalg.norm(X)) ** 2
    check_scheme(scheme, answer, unknowns_of_functions(name, scheme.code, square, X), scale=scale, subsets=12)


def unknowns_of_functions(name, code, f, X):
    """The right unknowns where they have a name: outputs, or coefficients of v found by another interpolation."""
    if name in ("uncoded", "repetition"):
        return [f(x) for x in X]
    if name == "lagrange":
        # v through more points than it needs, by least squares in another basis, evaluated where it is sampled anew
        beta = chebyshev_nodes(9)[[1, 4, 7]]
        points = np.linspace(-1, 1, 12)
        curve = [sum(x * basis(point, beta, k) for k, x in enumerate(X.astype(complex))) for point in points]
        values = np.array([(e @ e).ravel() for e in curve])
        found = np.linalg.lstsq(chebyshev_rows(points, code.unknowns), values, rcond=None)[0]
        found = found if X.dtype.kind == "c" else found.real
        return list(found.reshape(code.unknowns, *X.shape[1:]))
    return None


def basis(point, nodes, k):
    """ℓ_k by its definition."""
    others = np.delete(nodes, k)
    return np.prod((point - others) / (nodes[k] - others))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_number_and_one_input_are_enough(name):
    scheme = evaluations(name, np.square, [3.0], 1, **({"degree": 1} if name == "lagrange" else {})).estimating()
    if name in ("berrut",):
        with kofn.ThreadPool(1) as pool:
            assert kofn.run(scheme, workers=pool, stop=kofn.Count(1), estimator=Berrut((0.0, 0.5))).value == [9.0]
        return
    check_scheme(scheme, np.array([9.0]))


# -- Lagrange coding --------------------------------------------------------------------------------


@pytest.mark.parametrize(("K", "d"), [(2, 1), (3, 3), (8, 2), (16, 1), (16, 2), (16, 3)])
def test_lagrange_is_exact_from_any_r(K, d):
    rng = np.random.default_rng(K + 100 * d)
    X = rng.standard_normal((K, 3, 3))
    f = [lambda x: 2 * x - np.trace(x), lambda x: x @ x + x.T, cubic][d - 1]
    truth = np.array([f(x) for x in X])
    recover = (K - 1) * d + 1
    for rows in (recover, recover + 1, recover + 4):
        made = FUNCTIONS["lagrange"](f, X, degree=d, workers=rows)
        assert made.code.threshold == recover
        results = np.array([f(mixture) for (mixture,) in made.arguments.of_rows()])
        for _ in range(12):
            received = rng.permutation(rows)[:recover]
            decoding = decode(made.code, received)
            value = made.estimating().assemble(decoding.matrix, list(results[received]))
            error = np.linalg.norm(value - truth) / np.linalg.norm(truth)
            assert decoding.exact
            assert error <= 1e-9


def test_lagrange_beyond_its_bound_is_not_called_exact():
    X = np.random.default_rng(1).standard_normal((16, 2, 2))
    made = FUNCTIONS["lagrange"](cubic, X, degree=3, workers=70)
    results = np.array([cubic(mixture) for (mixture,) in made.arguments.of_rows()])
    truth = np.array([cubic(x) for x in X])
    neighbours = np.arange(46)  # 24 neighbours are missing
    decoding = decode(made.code, neighbours, estimator="exact")
    assert not decoding.exact
    assert decoding.error > 0.1
    value = made.estimating().assemble(decoding.matrix, list(results[neighbours]))
    off = np.linalg.norm((value - truth)[decoding.recovered]) / np.linalg.norm(truth)
    assert off < 1e-7  # half of the digits, as promised
    assert decode(made.code, np.arange(70)).exact
    few = decode(FUNCTIONS["lagrange"](cubic, X, degree=3, workers=50).code, np.delete(np.arange(50), [9, 20, 31, 42]))
    assert few.exact
    assert few.amplification > 1


def test_fewer_results_than_r_give_an_estimate_and_its_error_bar():
    """The prior's ensemble: random quadratic forms of Gaussian inputs; promised and true losses agree on average."""
    rng = np.random.default_rng(3)
    promised = lost = 0.0
    for _ in range(150):
        X = rng.standard_normal((3, 5))
        Q, q = rng.standard_normal((5, 5)) / 5, rng.standard_normal(5) * np.sqrt(2 / 5)
        c = rng.standard_normal()
        f = lambda x: x @ Q @ x + x @ q + c  # noqa: B023, E731
        made = FUNCTIONS["lagrange"](f, X, degree=2, workers=8)
        results = np.array([f(mixture) for (mixture,) in made.arguments.of_rows()])
        rows = rng.permutation(8)[:3]
        prior = made.prior()
        decoding = decode(made.code, rows, prior)
        truth = np.array([f(x) for x in X])
        lost += float(np.sum((decoding.matrix @ results[rows] - truth) ** 2))
        promised += float(decoding.error) ** 2 * float(prior.energy(made.code.targets))
    assert 0.7 < promised / lost < 1.4


@pytest.mark.parametrize(("T", "degree"), [(1, 2), (2, 1), (3, 3)])
def test_masks_hide_inputs_and_cost_digits_only(T, degree):
    f = {1: lambda x: 2 * x, 2: lambda x: x @ x, 3: cubic}[degree]
    made = FUNCTIONS["lagrange"](f, MATRICES, degree=degree, private=T, workers=20, rng=1)
    assert made.code.threshold == (3 + T - 1) * degree + 1
    mixtures = np.array([mixture for (mixture,) in made.arguments.of_rows()])
    results = np.array([f(mixture) for mixture in mixtures])
    rows = np.random.default_rng(0).permutation(20)[: made.code.threshold + 2]
    decoding = decode(made.code, rows)
    value = made.estimating().assemble(decoding.matrix, list(results[rows]))
    truth = np.array([f(x) for x in MATRICES])
    assert decoding.exact
    assert np.linalg.norm(value - truth) < 1e-7 * np.linalg.norm(truth)
    again = FUNCTIONS["lagrange"](f, MATRICES, degree=degree, private=T, workers=20, rng=2)
    fresh = np.array([mixture for (mixture,) in again.arguments.of_rows()])
    assert np.abs(mixtures - fresh).min(axis=(1, 2)).min() > 0  # every worker sees other numbers in every call


def test_leakage_is_that_of_a_gaussian_channel():
    """One colluder: ½ log₂(1 + Σ ℓ_k² / σ² ℓ_m²), with the Lagrange polynomials by their definition."""
    rows, K, size = 7, 2, 5.0
    alpha = np.cos((2 * np.arange(rows) + 1) * np.pi / (2 * rows))
    every = np.cos(np.arange(rows + 1) * np.pi / rows)
    nodes = every[[1, 4, 6]]  # inputs at the first and last, the mask between them
    ratio = [(basis(a, nodes, 0) ** 2 + basis(a, nodes, 2) ** 2) / (size * basis(a, nodes, 1)) ** 2 for a in alpha]
    wanted = np.log2(1 + max(ratio)) / 2
    assert np.isclose(leakage_bits(rows, K, 1, size), wanted, rtol=1e-9)
    assert leakage_bits(rows, K, 1, size, colluding=2) == np.inf
    assert leakage_bits(9, 3, 2, 100.0, colluding=2) < leakage_bits(9, 3, 2, 10.0, colluding=2)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("workers", [11, 14, 20])
def test_what_is_called_exact_has_half_of_the_digits_of_what_f_returns(kind, workers):
    X = np.random.default_rng(1).standard_normal((6, 5))
    for seed in range(4):
        latency = kofn.Exponential(0.002)
        with kofn.Straggling(kofn.ThreadPool(workers), latency, seed=seed) as pool:
            answer = kofn.map(lambda x: (x * x).astype(kind), X, workers=pool, degree=2)
        assert answer.exact and answer.value.dtype == np.float64
        assert np.linalg.norm(answer.value - X * X) <= 4 * np.sqrt(np.finfo(kind).eps) * np.linalg.norm(X * X)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 3, 1, 1.0), "'rows' must be an int of at least 1"),
        (("a", 3, 1, 1.0), "'rows' must be an int of at least 1"),
        ((4, 3, -1, 1.0), "'private' must be an int of at least 0"),
        ((4, 3, 1, np.nan), "'size' must be a finite number"),
        ((4, 3, 1, 1.0, 0), "'colluding' must be an int of at least 1"),
        ((4, 3, 1, 1.0, 5), "'colluding' must be at most rows = 4"),
    ],
)
def test_bad_arguments_of_leakage_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        leakage_bits(*arguments)


# -- Berrut, splines, parities ----------------------------------------------------------------------


@pytest.mark.parametrize("K", range(1, 13))
def test_nodes_of_berrut_never_meet(K):
    for rows in range(1, 40):
        gaps = np.abs(workers_nodes(rows)[:, None] - chebyshev_nodes(K))
        assert gaps.min() > 1e-5
        assert len(np.unique(workers_nodes(rows).round(12))) == rows


def test_berrut_alternates_over_the_survivors():
    """With the signs of all workers two neighbours can have one sign, and a pole lies between them."""
    nodes = workers_nodes(8)[[0, 2, 3, 6]]
    assert alternating(nodes).tolist() in ([1, -1, 1, -1], [-1, 1, -1, 1])
    between = np.linspace(nodes.min(), nodes.max(), 1001)
    assert np.abs(berrut_rows(between, nodes)).sum(axis=1).max() < 2 + np.log(4)
    order = [2, 0, 3, 1]
    assert np.allclose(berrut_rows(between, nodes[order]), berrut_rows(between, nodes)[:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["berrut", "letcc", "kriging"])
def test_curves_go_through_the_inputs_and_reproduce_constants(name):
    X = np.random.default_rng(2).standard_normal((5, 6))
    made = evaluations(name, bent, X, 12)
    constant = evaluations(name, lambda x: np.ones(2), X, 12)
    rows = np.array([1, 4, 5, 8, 11])
    prior = constant.learner().prior({int(row): np.ones(2) for row in rows})
    V = decode(constant.code, rows, prior, constant.estimator).matrix
    assert np.allclose(V.sum(axis=1), 1.0, rtol=0, atol=1e-9)
    at_inputs = (made.code.generator[:, None] == made.code.targets).all(axis=-1)
    encoded = np.array([mixture for (mixture,) in made.arguments.of_rows()])
    for row, k in np.argwhere(at_inputs):
        assert np.allclose(encoded[row], X[k], rtol=0, atol=1e-10)
    assert at_inputs.any() == (name != "berrut")


@pytest.mark.parametrize("smoothing", [0.0, 1e-4, 1e-2, 1.0])
def test_splines_are_those_of_scipy(smoothing):
    rng = np.random.default_rng(7)
    nodes = np.sort(rng.uniform(-1, 1, 9))
    values = np.sin(5 * nodes)
    points = np.linspace(nodes[0], nodes[-1], 30)
    theirs = make_smoothing_spline(nodes, values, lam=smoothing)(points)
    assert np.allclose(spline_rows(points, nodes, smoothing) @ values, theirs, rtol=0, atol=1e-9)


def test_subtraction_gives_the_missing_output_of_a_right_parity():
    """ParM with a parity function that is right for the mixtures: whatever f, one missing output is recovered."""
    X = np.random.default_rng(4).standard_normal((4, 6))
    outputs = np.array([bent(x) for x in X])
    right = lambda mixture: parity_weights(4, 1)[0] @ outputs  # noqa: E731
    made = FUNCTIONS["parity"](bent, X, parities=[right], parity_error=0.01, workers=5)
    results = [
        function(*arguments) for function, arguments in zip(made.functions, made.arguments.of_rows(), strict=True)
    ]
    rows = [0, 2, 3, 4]
    prior = made.learner().prior({row: results[row] for row in rows})
    decoding = decode(made.code, rows, prior, made.estimator)
    assert np.allclose(decoding.matrix @ np.array([results[row] for row in rows]), outputs, rtol=0, atol=1e-12)
    assert decoding.recovered.tolist() == [True, False, True, True]
    assert 0 < decoding.error < 0.1  # δ is of 1 %, and subtraction multiplies it by 4 for one output of 4


def test_two_missing_outputs_need_two_parities():
    X = np.random.default_rng(4).standard_normal((3, 6))
    linear = lambda x: x @ WEIGHTS  # noqa: E731
    made = FUNCTIONS["parity"](linear, X, workers=5)
    results = np.array([linear(mixture) for (mixture,) in made.arguments.of_rows()])
    rows = np.array([1, 3, 4])
    decoding = decode(made.code, rows, made.learner().prior({int(row): results[row] for row in rows}), made.estimator)
    assert np.allclose(decoding.matrix @ results[rows], X @ WEIGHTS, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("K", "parities"), [(1, 2), (2, 3), (3, 1), (3, 2), (4, 2), (4, 3), (5, 2), (6, 3)])
def test_any_k_rows_of_a_parity_code_give_an_affine_function(K, parities):
    """In rational arithmetic: rows of the identity and of integer powers, each divided by its sum."""
    powers = [[Fraction(k**j) for k in range(1, K + 1)] for j in range(parities)]
    exact = [[Fraction(int(k == row)) for k in range(K)] for row in range(K)]
    exact += [[entry / sum(row) for entry in row] for row in powers]
    assert np.allclose(parity_weights(K, parities), np.array(exact[K:], float), rtol=1e-15)
    X = np.random.default_rng(K).standard_normal((K, 6))
    affine = lambda x: x @ WEIGHTS + 1.0  # noqa: E731
    made = FUNCTIONS["parity"](affine, X, workers=K + parities)
    results = np.array([affine(mixture) for (mixture,) in made.arguments.of_rows()])
    for rows in combinations(range(K + parities), K):
        assert determinant([exact[row] for row in rows]) != 0
        decoding = decode(made.code, rows, made.learner().prior({row: results[row] for row in rows}), made.estimator)
        assert np.allclose(decoding.matrix @ results[list(rows)], affine(X), rtol=0, atol=1e-9)


def determinant(matrix):
    if not matrix:
        return Fraction(1)
    pivot = next((row for row in matrix if row[0] != 0), None)
    if pivot is None:
        return Fraction(0)
    others = [row for row in matrix if row is not pivot]
    reduced = [[x - row[0] / pivot[0] * y for x, y in zip(row[1:], pivot[1:], strict=True)] for row in others]
    return pivot[0] * determinant(reduced)


@pytest.mark.parametrize(("K", "parities", "most"), [(4, 1, 19**0.5), (4, 2, 19.2), (6, 2, 42.3)])
def test_parities_amplify_as_stated(K, parities, most):
    mix = np.vstack([np.eye(K), parity_weights(K, parities)])
    sets = [list(rows) for rows in combinations(range(K + parities), K)]
    worst = max(np.linalg.norm(np.linalg.inv(mix[rows]), axis=1).max() for rows in sets)
    assert np.isclose(worst, most, rtol=2e-3)


@pytest.mark.parametrize("rows", [6, 7, 8, 9, 10])
def test_berrut_amplifies_little_while_most_rows_are_there(rows):
    """Over all sets of rows that are missing, and two or more inputs."""
    alpha = workers_nodes(rows)
    for missing in range(rows // 2 + 1):
        found = [
            np.linalg.norm(berrut_rows(chebyshev_nodes(K), np.delete(alpha, gone)), axis=-1).max()
            for K in range(2, rows + 1)
            for gone in combinations(range(rows), missing)
        ]
        assert max(found) < (2 + np.log(rows - missing) if 6 * missing <= rows else 11)


# -- estimates around a mean ------------------------------------------------------------------------


def test_estimates_around_a_known_mean_are_the_conditional_mean():
    """Gaussian unknowns with a mean that differs number by number: the textbook conditional expectation."""
    rng = np.random.default_rng(8)
    mean, factor = rng.standard_normal((3, 4)), rng.standard_normal((3, 3))
    draws = mean + np.einsum("ij,djn->din", factor, rng.standard_normal((4000, 3, 4)))
    found, prior = center(draws)
    assert np.allclose(found, mean, atol=0.15)
    code = LinearCode("two of three", np.eye(3)[:2], np.eye(3), worker=[0, 1])
    made = FunctionScheme(code, [abs, abs], GivenArguments([(), ()]), KnownPrior(prior), mean=found)
    scheme = made.estimating()
    u = draws[0]
    payloads = [scheme.check(row, u[row]) for row in (0, 1)]
    decoding = decode(code, [0, 1], prior)
    S = prior.factor @ prior.factor.T
    wanted = found[2] + S[2, :2] @ np.linalg.solve(S[:2, :2], u[:2] - found[:2])
    assert np.allclose(scheme.assemble(decoding.matrix, payloads), [u[0], u[1], wanted], rtol=0, atol=1e-9)
    energy = np.mean(np.sum(draws**2, axis=(1, 2)))
    loss = 4 * (S[2, 2] - S[2, :2] @ np.linalg.solve(S[:2, :2], S[:2, 2])) / 4
    assert np.isclose(decoding.error, np.sqrt(loss / energy), rtol=1e-6)


# -- whatever is given --------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", ["any", "equal", "zero", "one", "empty", "far"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_degenerate_inputs_and_functions_have_finite_estimates(name, inputs):
    rng = np.random.default_rng(11)
    X = {"equal": np.ones((3, 4)), "zero": np.zeros((3, 4)), "one": np.ones((1, 4)), "empty": np.ones((3, 0))}.get(
        inputs, rng.standard_normal((3, 4)) + 1e8 * (inputs == "far")
    )
    for f in (np.square, lambda x: 0 * x, lambda x: np.ones((0, 2)), lambda x: 1e-120 * x, lambda x: 1e120j * x):
        made = evaluations(name, f, X, 8)
        scheme, arguments = made.estimating(), made.arguments.of_rows()
        results = {row: scheme.check(row, made.functions[row](*arguments[row])) for row in range(made.code.rows)}
        for count in (1, 2, made.code.rows):
            some = {int(row): results[int(row)] for row in rng.permutation(made.code.rows)[:count]}
            for estimator in (made.estimator, "lmmse"):
                decoding = decode(made.code, list(some), scheme.learner().prior(some), estimator)
                assert np.isfinite(scheme.assemble(decoding.matrix, list(some.values()))).all()
                assert 0 <= decoding.error < np.inf


def test_a_code_is_simulated_with_the_estimator_that_it_has():
    """Errors by count of Berrut's formula are those of its V, worked out by hand for one set of rows."""
    made = FUNCTIONS["berrut"](bent, RNG.standard_normal((3, 6)), workers=6)
    errors = errors_by_count(made.estimating(), trials=40, rng=0, estimator=made.estimator)
    best = errors_by_count(made.estimating(), trials=40, rng=0)
    assert np.all(best <= errors * (1 + 1e-9) + 1e-12)
    assert np.any(best[:, 4] < 0.9 * errors[:, 4])
    V, prior = made.estimator(None, made.code.generator, made.code.targets, None, 0.0), made.prior()
    loss = prior.loss(made.code.targets - V @ made.code.generator)
    assert np.allclose(errors[:, 6], np.sqrt(loss / prior.energy(made.code.targets)), rtol=1e-9)


def test_a_prior_of_other_unknowns_is_refused():
    made = FUNCTIONS["uncoded"](abs, [1.0, 2.0])
    broken = replace(made.estimating(), model=KnownPrior(Prior(np.ones(3))))
    with pytest.raises(kofn.CodeError, match="2 unknowns, got 3"):
        broken.learner().prior({})
