"""Learned codes: eqs. (1) to (5) of Agrawal et al. 2022, closed forms against independent ones, real workers, files."""

import pickle
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

import kofn
from kofn.codes import decode
from kofn.errors import ArgumentError
from kofn.testing import decode_rows
from kofn.testing._schemes import check_scheme
from kofn.tuning.learned import Computation, Nodes, Term, structured_code
from kofn.tuning.learned._features import FEATURES, Powers
from kofn.tuning.learned._least_squares import Moments
from kofn.tuning.learned._selection import ROUNDING, Samples, select
from kofn_studies.aicc.measure import errors, interpolated, nrmse
from kofn_studies.aicc.problems import PROBLEMS
from processes import slow_but


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(name, sets, size, inputs=3, seed=0):
    X = PROBLEMS[name].sample(rng(seed), (sets, inputs), size)
    return X, PROBLEMS[name].function(X)


ORACLES = {
    "trace": lambda Y: [np.trace(Y)],
    "total": lambda Y: [Y.sum()],
    "rows": lambda Y: Y @ np.ones(len(Y)),
    "columns": lambda Y: Y.T @ np.ones(len(Y)),
    "diagonal": np.diag,
    "entries": np.ravel,
    "transposed": lambda Y: Y.T.ravel(),
}


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", sorted(FEATURES))
def test_features_are_those_of_powers(name, library):
    X = rng().standard_normal((2, 4, 4))
    powers = Powers(pytest.importorskip("torch").as_tensor(X) if library == "torch" else X)
    for p in range(1, 7):
        value = np.asarray(FEATURES[name](powers, p))
        for one, found in zip(X, value, strict=True):
            wanted = ORACLES[name](np.linalg.matrix_power(one, p))
            assert np.allclose(found, wanted, rtol=1e-12, atol=1e-12 * np.abs(wanted).max())


def test_eq_3_with_dense_weights_is_the_formula():
    X, V = rng().standard_normal((4, 4)), [rng(p).standard_normal((3, 16)) for p in range(3)]
    h = Computation(V[0] @ np.eye(4).ravel(), [Term(1, "entries", V[1]), Term(2, "entries", V[2])])
    assert np.allclose(h(X), sum(V[p] @ np.linalg.matrix_power(X, p).ravel() for p in range(3)))


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_problems_are_those_of_the_paper(name):
    X, values = drawn(name, sets=6, size=5)
    assert values.shape[2:] == (PROBLEMS[name].outputs(5),)
    for one, value in zip(X.reshape(-1, 5, 5), values.reshape(-1, values.shape[-1]), strict=True):
        if name == "P1":
            assert np.array_equal(one, one.T) and np.abs(one).max() <= 1 and one.min() < 0
            assert np.all(np.diff(value) >= 0)
            for p in (1, 2, 3):
                assert np.isclose(np.sum(value**p), np.trace(np.linalg.matrix_power(one, p)))
        if name == "P2":
            assert np.array_equal(one, one.T) and one.min() >= 0 and one.max() <= 1
            image = one @ value
            assert np.isclose(np.linalg.norm(value), 1) and value[0] > 0
            assert np.isclose(np.linalg.norm(image), np.abs(np.linalg.eigvals(one)).max())
            assert np.allclose(image, np.linalg.norm(image) * value)
        if name == "P3":
            assert np.isclose(np.linalg.norm(one, 2), 1, rtol=1e-13) and one.min() >= 0
            series, power = np.eye(5), np.eye(5)
            for p in range(1, 25):
                power = power @ one / p
                series = series + power
            assert np.allclose(value, series.ravel())
        if name == "P4":
            assert np.all(np.diag(one) == 1) and np.abs(one - np.eye(5)).max() <= 2 / 5
            assert np.isclose(value[0], np.prod(np.linalg.eigvals(one)).real)


def test_shared_and_own_coefficients_are_those_of_one_large_regression():
    samples, V = 30, 4
    own, shared, y = (rng(seed).standard_normal((samples, V)) for seed in (1, 2, 3))
    found = Moments.of([np.ones((samples, 1)), own, shared, y], V).fit([0, 1], [2])
    # One matrix with V constants, V own columns and one shared one.
    design = np.zeros((samples, V, 2 * V + 1))
    for v in range(V):
        design[:, v, v], design[:, v, V + v], design[:, v, -1] = 1, own[:, v], shared[:, v]
    wanted = np.linalg.lstsq(design.reshape(-1, 2 * V + 1), y.ravel(), rcond=None)[0]
    assert np.allclose(found[:, 0], wanted[:V]) and np.allclose(found[:, 1], wanted[V : 2 * V])
    assert np.allclose(found[:, 2], wanted[-1])


def test_moments_of_batches_add_up():
    columns = [np.ones((20, 1)), rng(1).standard_normal((20, 3)), rng(2).standard_normal((20, 3))]
    whole = Moments.of(columns, 3)
    parts = Moments.of([c[:7] for c in columns], 3) + Moments.of([c[7:] for c in columns], 3)
    assert np.allclose(whole.sums, parts.sums) and whole.count == parts.count


PLANTED = {
    "rows": lambda X: 2 - 3 * (X @ X).sum(-1),
    "traces": lambda X: np.stack([np.trace(X, axis1=-2, axis2=-1), np.trace(X @ X, axis1=-2, axis2=-1)], axis=-1),
    "square": lambda X: (X @ X).reshape(*X.shape[:-2], -1),
    "diagonal": lambda X: np.arange(1.0, 6.0) * np.diagonal(X, axis1=-2, axis2=-1),
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_structure_is_found_and_nothing_else(name):
    X = rng().standard_normal((200, 5, 5))
    h, loss = select(Samples(X, PLANTED[name](X)), degree=2)
    fresh = rng(1).standard_normal((10, 5, 5))
    assert loss < ROUNDING and np.allclose(h(fresh), PLANTED[name](fresh))
    assert len(h.terms) == (2 if name == "traces" else 1)


TABLE = {"P1": 4.35, "P2": 0.63, "P3": 0.135, "P4": 0.21}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_table_i_through_interpolation_from_random_survivors(name):
    code = structured_code(*drawn(name, sets=200, size=50), recover=5, rows=8)
    X, values = drawn(name, sets=60, size=50, seed=1)
    found = 100 * errors(lambda one: interpolated(code, one), X, values, 5, rng(2)).mean()
    assert found <= TABLE[name]
    mean = 100 * nrmse(np.broadcast_to(values.mean((0, 1)), values.shape), values).mean()
    assert found < mean


@pytest.mark.parametrize("nodes", [Nodes.paper(3, 7), Nodes.chebyshev(3, 7)], ids=["paper", "chebyshev"])
def test_any_r_results_give_the_same_outputs(nodes):
    X, values = drawn("P2", sets=30, size=6)
    code = structured_code(X, values, recover=5, nodes=nodes)
    wanted = Computation(code.encoder.constant, code.terms)(X[0])
    for rows in combinations(range(7), 5):
        assert np.allclose(decode_rows(interpolated(code, X[0]), rows)[0], wanted, rtol=1e-9)


@pytest.mark.parametrize("name", ["P2", "P3"])
def test_the_conformance_battery_passes_with_coefficients_found_elsewhere(name):
    X, values = drawn(name, sets=40, size=6)
    code = structured_code(X, values, recover=5, rows=8)
    # v by least squares at other nodes, with Lagrange's formula for e.
    points = np.linspace(-0.9, 0.9, 21)
    e = [np.poly1d(np.polyfit(code.nodes.betas, np.eye(3)[k], 2))(points) for k in range(3)]
    v = Computation(code.encoder.constant, code.terms)(np.einsum("kn,kij->nij", e, X[0]))
    unknowns = np.linalg.lstsq(code.nodes.basis(points, code.recover), v, rcond=None)[0]
    answer = Computation(code.encoder.constant, code.terms)(X[0])
    check_scheme(interpolated(code, X[0]).estimating(), answer, list(unknowns))


@pytest.mark.parametrize("name", slow_but(["P2", "P3", "P4"], {"P3"}))
def test_error_bars_from_one_result_to_all_are_calibrated_and_errors_fall(name):
    code = structured_code(*drawn(name, sets=400, size=8), recover=5, rows=8)
    X, values = drawn(name, sets=150, size=8, seed=1)
    found, bars = [], []
    for count in range(1, code.recover + 1):
        draw = rng(count)
        lost, said = 0.0, 0.0
        for one, truth in zip(X, values, strict=True):
            estimate, bar = decode_rows(code.evaluations(one), draw.permutation(8)[:count])
            lost, said = lost + np.sum((estimate - truth) ** 2), said + bar**2
        found.append(np.sqrt(lost / np.sum(values**2)))
        bars.append(np.sqrt(said / len(X)))
    assert np.all(np.diff(found) < 0)
    assert np.allclose(bars, found, rtol=0.15)


def test_fewer_inputs_than_differences_that_e_can_hold_lose_what_they_must():
    # f is linear, so that e alone decides: of 6 inputs 5 dimensions survive, and of their mean nothing is lost.
    X = rng().standard_normal((300, 6, 4, 4)) + 3
    code = structured_code(X, X.copy(), recover=5, rows=8)
    assert (code.encoder.degree, code.degree) == (4, 1)
    one = rng(1).standard_normal((6, 4, 4))
    reached = decode_rows(interpolated(code, one), range(5))[0]
    projection = np.vander(code.nodes.betas, 5)
    wanted = projection @ np.linalg.lstsq(projection, one.reshape(6, 16), rcond=None)[0]
    scale = np.sum(reached * wanted.reshape(6, 4, 4)) / np.sum(wanted**2)
    offset = reached - scale * wanted.reshape(6, 4, 4)
    assert 0.7 < scale <= 1.01 and np.ptp(offset, axis=0).max() < 0.5


def test_a_code_runs_on_real_workers_with_a_straggler():
    X, values = drawn("P3", sets=60, size=8)
    code = structured_code(X, values, recover=5, rows=8)
    slow = kofn.Slowdown(kofn.Constant(0.01), {1: 60_000.0})  # ten minutes
    with kofn.Straggling(kofn.LocalPool(8), slow) as pool:
        answer = kofn.map(code, X[0], workers=pool)
    assert not answer.exact and 0 < answer.error < 0.01 and answer.value.shape == (3, 64)
    assert np.linalg.norm(answer.value - values[0]) < 5 * answer.error * np.linalg.norm(values[0])
    assert 1 in [attempt.worker for attempt in answer.report.of("abandoned")]


def test_workers_need_no_torch_and_a_worker_holds_one_object():
    code = structured_code(*drawn("P2", sets=30, size=5), recover=5, rows=8)
    evaluations = code.evaluations(drawn("P2", 1, 5, seed=1)[0][0])
    assert len({id(function) for function in evaluations.functions}) == 1
    sent = pickle.dumps((evaluations.functions[0], evaluations.arguments.of_rows()[0]))
    program = "import pickle, sys; f, a = pickle.loads(sys.stdin.buffer.read()); f(*a); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"False"


def test_the_closed_form_stays_below_the_threshold_that_it_was_given():
    X, values = drawn("P4", sets=40, size=6)
    for recover in (3, 5, 9):
        assert structured_code(X, values, recover=recover, rows=9).recover <= recover


def test_more_results_per_output_pay():
    found = []
    for recover in (5, 9, 13):
        code = structured_code(*drawn("P2", sets=120, size=10), recover=recover, rows=14)
        X, values = drawn("P2", sets=20, size=10, seed=1)
        found.append(errors(lambda one: code.evaluations(one), X, values, recover, rng()).mean())  # noqa: B023
    assert found[1] < found[0] / 2 and found[2] < found[1]


def refused(call, *words):
    with pytest.raises(ArgumentError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and all(word in text for word in words), text


def test_bad_input_is_refused_in_a_sentence():
    X, values = drawn("P1", sets=20, size=4)
    code = structured_code(X, values, recover=5, rows=8)
    with kofn.ThreadPool(2) as pool:
        refused(lambda: kofn.map(code, X[0, :2], workers=pool), "'inputs'", "3 real matrices", "(2, 4, 4)")
        refused(lambda: kofn.map(code, 1j * X[0], workers=pool), "'inputs'", "real matrices")
        refused(lambda: kofn.map(code, drawn("P1", 1, 5)[0][0], workers=pool), "'inputs'", "(3, 4, 4)", "(3, 5, 5)")
        refused(lambda: kofn.map(code, np.full((3, 4, 4), np.nan), workers=pool), "'inputs'", "finite")
        hidden = np.ma.masked_greater(X[0], 0.5)
        refused(lambda: kofn.map(code, hidden, workers=pool), "'inputs'", "without masks")
        refused(lambda: kofn.map(code, list(hidden), workers=pool), "'inputs'", "without masks")
        refused(lambda: kofn.map(code, X[0], workers=pool, rows=3), "'rows'", "8")
        refused(lambda: kofn.map(code, X[0], workers=pool, degree=2), "'degree'")
    refused(lambda: structured_code(X, values, recover=9, rows=8), "'recover'", "at most N = 8")
    refused(lambda: structured_code(np.ma.masked_greater(X, 0.5), values, recover=5), "'inputs'", "without masks")
    refused(lambda: structured_code(X, values[:5], recover=5, rows=8), "'values'")
    refused(lambda: structured_code(1j * X, values, recover=5, rows=8), "'inputs'", "real")
    refused(lambda: structured_code(X[:, :, :, :2], values, recover=5, rows=8), "'inputs'", "square")
    refused(lambda: structured_code(X, np.full_like(values, np.inf), recover=5, rows=8), "'values'", "finite")
    refused(lambda: structured_code(X, values, recover=5, rows=0), "'rows'", "at least 1")
    refused(lambda: structured_code(X, values, recover=5, nodes=8), "'nodes'", "be kofn.tuning.learned.Nodes")
    refused(lambda: Nodes([0.0, 0.0], [1.0]), "'betas'", "distinct")
    refused(lambda: Nodes("ab", [1.0]), "'betas'", "'ab'")
    refused(lambda: Nodes([1.0], []), "'alphas'", "at least one")
    refused(lambda: Nodes.paper(0, 3), "'inputs'", "at least 1")
    refused(lambda: Nodes.chebyshev(2, 1.5), "'rows'", "1.5")


def test_the_expected_error_at_no_result_is_that_of_the_mean():
    X, values = drawn("P2", sets=100, size=6)
    code = structured_code(X, values, recover=5, rows=8)
    bar = decode(code.code, np.zeros(0, dtype=int), code.prior).error
    lost = np.sum((values - values.mean(0)) ** 2) / np.sum(values**2)
    assert np.isclose(bar, np.sqrt(lost), rtol=0.05)
