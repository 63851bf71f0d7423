"""Sparse codes: the same verdicts as dense ones, exact counts, peeling in the right order, and sizes up to 10⁵."""

import numpy as np
import pytest
from flint import nmod_mat
from scipy.sparse import csr_array

import kofn
from kofn._base._numbers import EPSILON
from kofn.codes import decodable, decode
from kofn.codes._certify import backward_error
from kofn.codes._prior import Prior
from kofn.codes.decoding import ESTIMATORS
from kofn.codes.decoding import _sparse as sparse_decoding
from kofn.codes.decoding._peeling import peel, solve_by_peeling
from kofn.codes.decoding._rank import CoverageRank
from kofn.codes.decoding._sparse import decode_sparse, scaled_conjugate_gradients, solve_rows
from kofn.schemes import SUMS, cyclic, lt, sr
from kofn_studies.sums.modular import rows_needed
from kofn_studies.sums.rateless import arrived, rows_peeled, rows_predicted
from kofn_studies.sums.times import Delays
from processes import slow_but

PRIME = (1 << 31) - 1


def dense(code):
    generator = code.generator.toarray()
    return kofn.LinearCode(code.name, generator, code.targets, code.worker, code.load)


def by_arrival(m, degree, seed, workers=None, rows=30):
    workers = workers or m // 4
    most = 1 - (1 - m) // degree
    code = sr(m, degree=degree, sources=m, rows=min(rows, most), workers=workers, rng=seed)
    order, _ = arrived(Delays.exponential(1, workers, 1.0, 0.005, seed), 0, code, np.arange(workers))
    return code, order


@pytest.mark.parametrize("name", ["cyclic", "rep", "sum-recovery", "lt", "gradient"])
@pytest.mark.parametrize("common", [None, np.ones(24)])
def test_sparse_and_dense_decoding_agree(name, common):
    options = {"rows": 6} if name == "lt" else {}
    code = SUMS[name](24, workers=8, rng=0, **options)
    prior = Prior(np.linspace(1.0, 2.0, 24), common)
    rng = np.random.default_rng(1)
    for count in (1, 3, code.rows // 2, code.rows):
        rows = rng.permutation(code.rows)[:count]
        sparse, full = decode(code, rows, prior), decode(dense(code), rows, prior)
        assert sparse.exact == full.exact == decodable(code, rows)
        assert sparse.error == pytest.approx(float(full.error), abs=1e-9)


@pytest.mark.parametrize("common", [None, np.ones(100)])
def test_iterated_estimates_agree_with_dense_ones(monkeypatch, common):
    code = sr(100, degree=6, workers=100, rows=4, rng=0)
    prior = Prior(np.random.default_rng(0).uniform(0.5, 2.0, 100), common)
    rows = np.random.default_rng(1).permutation(code.rows)[:70]
    monkeypatch.setattr(sparse_decoding, "DENSE_NUMBERS", 0)
    sparse, full = decode_sparse(code, rows, prior, "lmmse", EPSILON), decode(dense(code), rows, prior)
    assert not sparse.exact
    assert sparse.error == pytest.approx(float(full.error), rel=1e-6)


def test_shortcuts_need_no_solving():
    code = sr(50, degree=7, workers=50, rng=0)
    alone = np.flatnonzero(np.diff(code.generator.indptr) == 1)
    alone = [row for row in alone if row == np.flatnonzero(code.worker == code.worker[row])[0]]
    complete = np.flatnonzero(code.worker == 13)
    for rows in (np.array(alone), complete):
        solution = solve_rows(code.generator[rows], np.ones(50), code.worker[rows])
        np.testing.assert_array_equal(solution, np.ones(len(rows)))


def eliminated_over_the_prime(generator):
    """M' by elimination of dense rows over the field, one after the other."""
    m = generator.shape[1]
    pivots, target = {}, np.ones(m, dtype=np.int64)
    for count, row in enumerate(generator.toarray().astype(np.int64), start=1):
        for column, pivot in pivots.items():
            row = (row - row[column] * pivot) % PRIME
        lead = np.flatnonzero(row)
        if not lead.size:
            continue
        row = row * pow(int(row[lead[0]]), -1, PRIME) % PRIME
        pivots[int(lead[0])] = row
        target = (target - target[lead[0]] * row) % PRIME
        if not target.any():
            return count
    return generator.shape[0] + 1


@pytest.mark.parametrize("seed", range(50))
def test_exact_counts_equal_plain_elimination(seed):
    m, degree = [(20, 4), (60, 5), (120, 7)][seed % 3]
    code, order = by_arrival(m, degree, seed, workers=m)
    generator = code.generator[order[: 2 * m]]
    assert rows_needed(generator) == eliminated_over_the_prime(generator)


@pytest.mark.parametrize("drawn", slow_but([(300, 0), (1000, 0), (1000, 1)], {(300, 0)}))
def test_exact_counts_up_to_the_papers_size_equal_ranks_over_a_large_field(drawn):
    m, seed = drawn
    code, order = by_arrival(m, 10, seed, workers=400)
    generator = code.generator[order]
    count = rows_needed(generator)

    def lacks(count):
        rows = generator[:count].toarray().astype(np.int64)
        both = [rows, np.vstack([rows, np.ones((1, m), np.int64)])]
        ranks = [nmod_mat(*matrix.shape, matrix.ravel().tolist(), (1 << 61) - 1).rank() for matrix in both]
        return ranks[1] - ranks[0]

    assert [lacks(count - 1), lacks(count)] == [1, 0]


def test_a_sum_can_come_before_full_rank():
    counts = [rows_needed(code.generator[order]) for code, order in (by_arrival(20, 4, s, 20) for s in range(20))]
    assert np.median(counts) < 15 < rows_predicted(by_arrival(20, 4, 0, 20)[0].generator)


def last_in_first_out(generator):
    """The unknowns from peeling that always takes the row that became useful last, as a map from results."""
    columns = generator.shape[1]
    members = [
        set(generator.indices[a:b].tolist()) for a, b in zip(generator.indptr[:-1], generator.indptr[1:], strict=True)
    ]
    using = [[] for _ in range(columns)]
    for row, open_ in enumerate(members):
        for column in open_:
            using[column].append(row)
    ready = [row for row, open_ in enumerate(members) if len(open_) == 1]
    order = []
    while ready:
        row = ready.pop()
        if len(members[row]) != 1:
            continue
        (column,) = members[row]
        order.append((row, column))
        for other in using[column]:
            members[other].discard(column)
            if len(members[other]) == 1:
                ready.append(other)
    return order


def test_peeling_last_in_first_out_destroys_the_sum_and_first_in_first_out_keeps_it():
    m = 10_000
    code, order = by_arrival(m, 3, 0, rows=24)
    generator = code.generator[order[: int(4.4 * m)]]
    terms = np.random.default_rng(0).standard_normal(m)
    results = generator @ terms
    known = np.zeros(m)
    for row, column in last_in_first_out(generator):
        columns = generator.indices[generator.indptr[row] : generator.indptr[row + 1]]
        known[column] = results[row] - (known[columns].sum() - known[column])
    assert not abs(known.sum() - terms.sum()) < 1e-3 * np.linalg.norm(terms)
    assert abs(solve_by_peeling(generator, np.ones(m)) @ results - terms.sum()) < 1e-12 * np.linalg.norm(terms)


def test_peeling_recovers_what_counting_says():
    code = lt(200, rows=3, workers=200, rng=0)
    count = rows_peeled(code.generator)
    rows = np.arange(count)
    assert decode(code, rows, estimator="peeling").exact
    assert not decode(code, rows[:-1], estimator="peeling").exact
    assert sum(len(found) for _, found in peel(code.generator[rows])) == 200
    assert decode(dense(code), rows, estimator="peeling").exact


@pytest.mark.parametrize(("m", "degree"), [(1000, 10), pytest.param(10_000, 13, marks=pytest.mark.slow)])
def test_conjugate_gradients_solve_with_a_few_rows_more_than_needed(m, degree):
    code, order = by_arrival(m, degree, 0, rows=16)
    generator = code.generator[order]
    generator = generator[: int(1.05 * rows_predicted(generator))]
    solution = scaled_conjugate_gradients(generator, np.ones(m))
    assert backward_error(solution, generator, np.ones(m)) <= 1e-12


def test_blocks_at_a_hundred_thousand_terms():
    code = cyclic(10**5, workers=1000, blocks=10**4, rows=30)
    rows = np.random.default_rng(0).permutation(code.rows)
    assert code.disjoint is not None and decode(code, rows).exact
    assert not decode(code, rows[: code.rows // 50]).exact


def test_a_collector_follows_codes_too_large_for_a_basis():
    m = 2500
    code, order = by_arrival(m, 12, 0, workers=600, rows=20)
    collector = kofn.Collector(code, estimator="exact")
    for time_, row in enumerate(order):
        collector.add(int(row), float(time_))
        if collector.done:
            break
    assert collector.done and m <= collector.count <= 1.2 * rows_predicted(code.generator[order])


def test_what_one_worker_has_sent_is_not_added_to_what_others_have_sent_alone():
    rows = csr_array([[1.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]])
    seen = CoverageRank(rows, np.eye(4), worker=np.array([1, 0, 0, 0, 0]), disjoint=False)
    for row in range(3):
        seen.add(row)
    assert not seen.is_near  # everything was seen, in three rows for four unknowns
    seen.add(3)
    assert seen.is_near and seen.rank == 3


def test_a_code_may_be_given_sparse():
    code = kofn.LinearCode("pair", csr_array([[1.0, 1.0], [0.0, 2.0]]), np.eye(2), [0, 1])
    assert code.decodable and code.work.tolist() == [1.0, 1.0] and code.on_workers(1).workers == 1
    with pytest.raises(kofn.CodeError, match="must be finite"):
        kofn.LinearCode("bad", csr_array([[np.nan]]), np.ones((1, 1)), [0])


@pytest.mark.parametrize("make", [lambda: cyclic(24, workers=8), lambda: sr(24, degree=3, workers=8, rows=4, rng=0)])
def test_an_estimator_that_is_added_by_name_decides_for_sparse_codes_too(monkeypatch, make):
    def average(solution, generator, targets, prior, epsilon):
        assert isinstance(generator, np.ndarray)
        return np.full(solution.shape, prior.energies.mean() / len(generator.T))

    monkeypatch.setitem(ESTIMATORS, "average", average)
    monkeypatch.setattr(sparse_decoding, "DENSE_NUMBERS", 0)
    code = make()
    found = decode(code, [0, 1], Prior.independent(np.full(24, 9.0)), "average")
    assert not found.exact
    assert np.array_equal(found.matrix, np.full((len(code.targets), 2), 9 / 24))


@pytest.mark.parametrize("make", [lambda: lt(24, workers=8, rows=4, rng=0), lambda: cyclic(24, workers=8)])
@pytest.mark.parametrize("estimator", ["lmmse", "exact", "peeling"])
def test_a_stack_of_sets_of_rows_is_decoded_set_by_set(make, estimator):
    code, prior = make(), Prior.independent(np.arange(1.0, 25.0))
    rows = np.array([np.random.default_rng(seed).permutation(code.rows)[: code.rows // 2] for seed in range(6)])
    stack = decode(code, rows.reshape(2, 3, -1), prior, estimator)
    for place, part in zip(np.ndindex(2, 3), rows, strict=True):
        one = decode(code, part, prior, estimator)
        for name in ("matrix", "recovered", "error", "backward_error", "amplification"):
            assert np.array_equal(getattr(stack, name)[place], getattr(one, name))


def test_coefficients_of_disjoint_rows_are_divided_out():
    code = kofn.LinearCode("pair", csr_array([[2.0, 2, 0], [0, 0, 4], [2, 2, 0]]), np.ones((1, 3)), worker=[0, 1, 2])
    assert code.disjoint is not None
    found = decode(code, [2, 1, 0])
    assert found.exact and found.matrix.tolist() == [[0.5, 0.25, 0.0]]


@pytest.mark.parametrize(("larger", "exact"), [(100.0, True), (1e9, False)])
@pytest.mark.parametrize(("k", "estimator"), [(2, "peeling"), (300, "peeling"), (300, "lmmse")])
def test_rounding_counts_by_the_size_of_what_is_mixed_whichever_way_is_taken(k, estimator, larger, exact):
    total, spread = np.zeros((1, k)), np.ones((k, k))
    total[0, :2], spread[0, 1] = 1.0, larger  # unknown 1 is so many times larger than what is wanted of unknown 0
    code = kofn.LinearCode(
        "parity", csr_array(np.vstack([np.eye(k), total])), np.eye(k), np.arange(k + 1), spread=spread
    )
    decoding = decode(code, np.arange(1, k + 1), estimator=estimator)
    assert decoding.exact is exact and decoding.recovered[1:].all()
    if exact:  # unknown 0 is the total, of size √(1 + larger²), without unknown 1, of size ``larger``
        np.testing.assert_allclose(decoding.amplification, np.sqrt(1.0 + 2.0 * larger**2), rtol=1e-12)
    assert decodable(code, np.arange(1, k + 1), estimator=estimator) == exact
