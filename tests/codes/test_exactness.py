"""Nothing is called exact that exact arithmetic denies, and what is called exact is right to rounding."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from draws import examples
from kofn.arrays._combine import apply
from kofn.codes import certify, decodable, decode
from kofn.codes._linear import LinearCode
from kofn.jobs._collector import Collector
from kofn.schemes import PRODUCTS, kronecker, mds, mds_chebyshev
from kofn.testing._schemes import results_of, unknowns_of
from oracles import code_verdict, float_verdict

EPS = 2.0**-52
seeds = st.integers(0, 2**32 - 1)

BLOCKWISE = {"uncoded", "repetition", "mds", "mds-chebyshev", "polynomial", "kronecker"}
"""Their targets are the unknowns."""

BLOCKS = [
    (2, 1),
    (3, 1),
    (5, 1),
    (9, 1),
    (16, 1),
    (28, 1),
    (32, 1),
    (1, 2),
    (2, 2),
    (3, 3),
    (2, 5),
    (4, 4),
    (4, 8),
]


def data(rng, rows, columns, inner=3):
    """Blocks that span many decades, some of them zero."""
    size = lambda n: 10.0 ** rng.uniform(-8, 8, n) * (rng.random(n) < 0.9)  # noqa: E731
    flat = rng.random() < 0.5
    A, B = rng.standard_normal((rows, inner)), rng.standard_normal((inner, columns))
    return (A, B) if flat else (A * size(rows)[:, None], B * size(columns))


def scheme_of(name, blocks, extra, rng):
    n, p = blocks
    if name in ("matdot", "matdot-approximate"):
        A, B = data(rng, 4, 3, inner=max(1, (n * p + 1) // 2))
        return (
            PRODUCTS[name](A, B, blocks=(A.shape[1], A.shape[1]), rows=2 * A.shape[1] - 1 + extra, rng=rng),
            A,
            B,
        )
    if name.startswith("mds"):
        n, p = n * p, 1
    A, B = data(rng, 2 * n, 2 * p)
    return PRODUCTS[name](A, B, blocks=(n, p), rows=n * p + extra, rng=rng), A, B


@examples(60)
@given(st.sampled_from(BLOCKS), st.integers(0, 8), seeds, st.integers(-2, 6))
@pytest.mark.parametrize("name", PRODUCTS)
def test_exact_means_exact(name, blocks, extra, seed, beyond):
    """``beyond`` shifts the number of results received from the threshold, so that both verdicts are common."""
    rng = np.random.default_rng(seed)
    scheme, A, B = scheme_of(name, blocks, extra, rng)
    code = scheme.code
    rows = rng.permutation(code.rows)[: np.clip((code.threshold or code.unknowns) + beyond, 0, code.rows)]
    decoding = decode(code, rows, scheme.prior())
    verdict = code_verdict(code, rows.tolist(), blocks)
    assert not np.any(decoding.recovered & ~verdict)
    if len(rows) == 0:
        return
    results = [result for row, result in enumerate(results_of(scheme)) if row in rows]
    results = dict(zip(sorted(rows.tolist()), results, strict=True))
    bound = 50 * float(decoding.amplification) * EPS * np.linalg.norm(A) * np.linalg.norm(B)
    if decoding.exact:
        answer = scheme.assemble(decoding.matrix, [results[row] for row in rows])
        assert np.linalg.norm(answer - A @ B) <= bound
    elif name in BLOCKWISE and decoding.recovered.any():
        found = np.tensordot(decoding.matrix, np.array([results[row] for row in rows]), 1)
        off = (found - np.array(unknowns_of(scheme, A @ B)))[decoding.recovered]
        assert np.linalg.norm(off) <= bound


@examples(150)
@given(st.sampled_from(["mds", "kronecker"]), st.sampled_from(BLOCKS), st.integers(0, 6), seeds)
def test_gaussian_codes_reach_nine_digits_from_any_threshold_rows(name, blocks, extra, seed):
    if blocks[0] * blocks[1] > 16:
        return
    rng = np.random.default_rng(seed)
    n, p = (blocks[0] * blocks[1], 1) if name == "mds" else blocks
    A, B = rng.standard_normal((3 * n, 20)), rng.standard_normal((20, 3 * p))
    scheme = PRODUCTS[name](A, B, blocks=(n, p), rows=n * p + extra, rng=rng)
    rows = rng.permutation(scheme.code.rows)[: n * p]
    decoding = decode(scheme.code, rows)
    results = results_of(scheme)
    error = np.linalg.norm(scheme.assemble(decoding.matrix, [results[row] for row in rows]) - A @ B)
    assert decoding.exact
    assert error <= 1e-9 * np.linalg.norm(A @ B)  # which is below ‖A‖‖B‖


# Generators that no builder makes.


def gauss(rng, n, k):
    return rng.standard_normal((n, k))


def sparse(rng, n, k):
    return (rng.random((n, k)) < 0.4).astype(float)


def integers(rng, n, k):
    return rng.integers(-3, 4, (n, k)).astype(float)


def duplicated(rng, n, k):
    few = gauss(rng, max(1, n // 2), k)
    return few[rng.integers(0, len(few), n)] * rng.choice([1, -1, 2, 0.5], (n, 1))


def duplicated_sparse(rng, n, k):
    few = sparse(rng, max(1, n // 2), k)
    return few[rng.integers(0, len(few), n)] * rng.standard_normal((n, 1))


def low_rank(rng, n, k):
    rank = max(1, min(n, k) - 1)
    return integers(rng, n, rank) @ integers(rng, rank, k)


def cyclic(rng, n, k):
    start, width = rng.integers(0, k, (n, 1)), rng.integers(1, k + 1, (n, 1))
    return ((np.arange(k) - start) % k < width) * rng.choice([0.1, 0.3, 0.7, 1.0], (n, 1))


def uncovered(rng, n, k):
    matrix = any_plain(rng, n, k)
    matrix[:, rng.integers(0, k)] = 0
    matrix[rng.integers(0, n)] = 0
    return matrix


def scaled_rows(rng, n, k):
    return any_plain(rng, n, k) * 2.0 ** rng.choice([-40, 0, 40], (n, 1))


def scaled_columns(rng, n, k):
    return any_plain(rng, n, k) * 2.0 ** rng.choice([-40, 0, 40], k)


def near_8(rng, n, k):
    return nearly(rng, n, k, 1e-8)


def near_12(rng, n, k):
    return nearly(rng, n, k, 1e-12)


def any_plain(rng, n, k):
    return [gauss, sparse, integers][rng.integers(3)](rng, n, k)


def nearly(rng, n, k, gap):
    matrix = any_plain(rng, n, k)
    close = matrix * (1 + gap * rng.choice([-1, 1], (n, k)))
    return np.concatenate([matrix, close[rng.random(n) < 0.5]])


PLAIN = [gauss, sparse, integers, duplicated, duplicated_sparse, low_rank, cyclic, uncovered, scaled_rows]
NASTY = [scaled_columns, near_8, near_12]
TARGETS = [
    lambda rng, k: np.eye(k),
    lambda rng, k: np.ones((1, k)),
    lambda rng, k: np.vstack([np.eye(k), np.zeros((1, k))]),
    lambda rng, k: (rng.random((2, k)) < 0.5).astype(float),
]


def adversary(make, seed):
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 13, 2)
    generator, targets = make(rng, n, k), TARGETS[rng.integers(4)](rng, k)
    code = LinearCode(make.__name__, generator, targets, np.arange(len(generator)))
    rows = rng.permutation(code.rows)[: rng.integers(0, code.rows + 1)]
    return rng, code, rows


@examples(200)
@given(seeds)
@pytest.mark.parametrize("make", PLAIN + NASTY)
def test_no_generator_makes_anything_falsely_exact(make, seed):
    rng, code, rows = adversary(make, seed)
    decoding = decode(code, rows)
    verdict, _ = float_verdict(code.generator[rows], code.targets)
    assert not np.any(decoding.recovered & ~verdict)
    if make in PLAIN:  # well conditioned: what is in the row space is also found there
        assert np.array_equal(decoding.recovered, verdict)
    assert decodable(code, rows) == decoding.exact
    # Results of known unknowns, each row with its own rounding.
    unknowns = rng.standard_normal((code.unknowns, 5))
    results = code.generator[rows] @ unknowns
    wanted = code.targets @ unknowns
    found = np.zeros_like(wanted)
    apply(decoding.matrix, list(results), list(found))
    off = np.linalg.norm(found - wanted, axis=1)[decoding.recovered]
    size = np.linalg.norm(code.targets, axis=1)[decoding.recovered] * np.linalg.norm(unknowns)
    assert np.all(off <= 50 * max(1.0, float(decoding.amplification)) * EPS * size)


@examples(100)
@given(seeds)
@pytest.mark.parametrize("make", PLAIN + NASTY)
def test_a_collector_agrees_with_the_decoder_at_every_arrival(make, seed):
    _, code, rows = adversary(make, seed)
    collector = Collector(code)
    for count, row in enumerate(rows, start=1):
        collector.add(int(row), 0.0)
        decided = decode(code, rows[:count]).exact
        assert collector.decoding.exact == decided
        if make in PLAIN:
            assert collector.exact == decided
            assert collector.rank == float_verdict(code.generator[rows[:count]], code.targets)[1]


@example(28, 28, 0)
@example(32, 28, 18)
@given(st.integers(28, 32), st.integers(28, 30), st.integers(0, 36))
@examples(30)
def test_neighbouring_chebyshev_nodes_are_not_called_exact_and_the_bar_covers(received, k, start):
    rng = np.random.default_rng([received, k, start])
    A, B = rng.standard_normal((2 * k, 6)), rng.standard_normal((6, 4))
    scheme = mds_chebyshev(A, B, blocks=(k, 1), rows=64, rng=rng)
    rows = np.arange(start, min(64, start + max(received, k)))
    if len(rows) < k:
        return
    decoding = decode(scheme.code, rows, scheme.prior())
    assert float(decode(scheme.code, rows, estimator="exact").amplification) <= EPS**-0.5
    if decoding.exact:
        assert float(decoding.amplification) * EPS <= EPS**0.5
    results = results_of(scheme)
    value = scheme.assemble(decoding.matrix, [results[row] for row in rows])
    true = np.linalg.norm(value - A @ B) / np.linalg.norm(A @ B)
    assert not decoding.exact
    assert true <= 2 * float(decoding.error)


def test_passing_the_backward_error_is_not_enough_to_be_called_exact():
    code = mds_chebyshev(np.ones((28, 2)), np.ones((2, 2)), blocks=(28, 1), rows=64, rng=0).code
    decoding = decode(code, np.arange(16, 48))
    certificate = certify(code.generator[16:48], code.targets)
    assert float(certificate.backward_error.max()) <= 60 * EPS  # the first statement alone says yes
    assert float(certificate.amplification.max()) > 1e9
    assert not decoding.exact


def test_nothing_received_recovers_only_targets_that_are_zero():
    code = LinearCode("sum", [[1.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]], [0])
    decoding = decode(code, [])
    assert decoding.recovered.tolist() == [False, True]
    assert decoding.matrix.shape == (2, 0)
    assert float(decoding.error) == 1.0


def test_a_single_unknown_is_exact_from_any_row_that_sees_it():
    code = LinearCode("one", [[0.0], [1e-150], [3.0]], [[1.0]], [0, 1, 2])
    assert [decode(code, [row]).exact for row in range(3)] == [False, True, True]


def test_a_singular_matrix_that_rounding_made_regular_still_gives_the_sum():
    # Its LU factors in floating point are regular; the all-ones target is in the row space of the rank 3 matrix.
    cycle = np.array([[1.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]]) * 0.1 * np.array([[1], [3], [7], [9]])
    code = LinearCode("cycle", cycle, np.ones((1, 4)), np.arange(4))
    assert decode(code, range(4)).exact


def test_a_target_is_found_beside_rows_that_hardly_differ():
    """A row is always in its own row space, however badly conditioned the others are together."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        row = rng.integers(1, 4, 6).astype(float)
        generator = np.vstack([row, row * (1 + 1e-12 * rng.choice([-1, 1], 6)), np.eye(6)[rng.integers(0, 6, 2)]])
        certificate = certify(generator, row[None])
        found += certificate.backward_error[0] <= 10 * EPS and certificate.amplification[0] < 3
    assert found >= 95


@pytest.mark.parametrize("build", [mds, kronecker])
def test_single_precision_is_judged_by_its_own_epsilon(build):
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((18, 5)).astype("f"), rng.standard_normal((5, 18)).astype("f")
    exact = 0
    for seed in range(100):
        scheme = build(A, B, rows=12, rng=seed)
        rows = np.random.default_rng(seed).permutation(12)[: scheme.code.threshold]
        decoding = decode(scheme.code, rows, epsilon=scheme.epsilon)
        amplification = float(decode(scheme.code, rows).amplification)
        assert decoding.exact == (amplification <= np.sqrt(2.0**23))
        exact += decoding.exact
    assert exact >= 95


@pytest.mark.parametrize("power", [-60, 40])
def test_the_unit_of_the_targets_changes_nothing(power):
    """A power of two changes no rounding, so V is multiplied by it to the last bit."""
    for seed in range(0, 400, 4):
        rng = np.random.default_rng(seed)
        rows = int(rng.integers(4, 12))
        unknowns = int(rng.integers(2, rows))
        generator = rng.integers(-1, 2, (rows, unknowns)) * rng.uniform(0.1, 3.0, (rows, unknowns))
        targets = rng.integers(0, 2, (2, unknowns)).astype(float)
        one, other = certify(generator, targets), certify(generator, np.ldexp(targets, power))
        assert np.array_equal(np.ldexp(one.matrix, power), other.matrix)
        assert np.array_equal(one.backward_error, other.backward_error)
        assert np.array_equal(one.amplification, other.amplification)
