"""Inputs and terms that lie at workers: who gets which, what moves, what is refused; in virtual time and on threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kofn
from kofn.engines import Ref
from kofn.simulation import VirtualPool
from remote_pool import Lying, RemotePool

RNG = np.random.default_rng(15)
WORKERS = 3
INPUTS = RNG.standard_normal((12, 5))


def virtual(delays=((1.0,),) * WORKERS, deaths=None, **options):
    return RemotePool(VirtualPool(delays, deaths), **options)


def lying(values=INPUTS, home=lambda k: k):
    return [Lying(value, home(k) % WORKERS) for k, value in enumerate(values)]


def total(x):
    return float(x.sum())


def test_each_input_is_evaluated_where_it_lies_and_nothing_passes_the_client():
    answer = kofn.map(total, lying(), workers=virtual())
    assert answer.exact and answer.value == INPUTS.sum(axis=1).tolist()
    assert {x.row: x.worker for x in answer.report.attempts} == {k: k % WORKERS for k in range(12)}
    assert not answer.report.sent_bytes and not answer.report.moved_bytes


def test_whoever_has_nothing_left_takes_over_what_would_wait_longer_than_it_takes_to_move():
    answer = kofn.map(total, lying(home=lambda k: 0), workers=virtual())
    assert answer.exact and answer.value == INPUTS.sum(axis=1).tolist()
    assert answer.report.seconds < 6.0
    assert answer.report.moved_bytes.keys() == {(0, 1), (0, 2)}


def test_what_takes_longer_to_move_than_to_wait_for_stays():
    """A second for each input of 1.6 GB: nobody copies that for a second's work."""
    large = np.broadcast_to(np.float64(1.0), (200_000_000,))
    answer = kofn.map(lambda x: x[0], lying([large] * 3, lambda k: 0), workers=virtual())
    assert answer.exact and answer.value == [1.0] * 3 and not answer.report.moved_bytes
    assert {x.worker for x in answer.report.attempts} == {0}


def test_inputs_of_several_kinds_go_together():
    values = [*lying(INPUTS[:3]), *INPUTS[3:6]]
    answer = kofn.map(lambda x, k: x * k, values, itertools.count(), workers=virtual(), stack=True)
    assert np.array_equal(answer.value, INPUTS[:6] * np.arange(6)[:, None])


def test_inputs_may_come_one_by_one():
    answer = kofn.map(total, iter(lying()), workers=virtual())
    assert answer.value == INPUTS.sum(axis=1).tolist()
    assert {x.row: x.worker for x in answer.report.attempts} == {k: k % WORKERS for k in range(12)}


def test_an_input_that_died_with_its_worker_is_named():
    with pytest.raises(kofn.ReferenceLost, match=r"input (4|7|10) is lost with the worker"):
        kofn.map(total, lying(), workers=virtual(deaths={1: 1.5}))
    answer = kofn.map(total, lying(), workers=virtual(deaths={1: 1.5}), errors="return")
    assert not answer.exact and not answer.recovered[[4, 7, 10]].any() and answer.recovered.sum() == 9
    assert isinstance(answer.value[4], kofn.ReferenceLost)


def test_what_outlasts_its_worker_is_evaluated_elsewhere():
    answer = kofn.map(total, lying(), workers=virtual(deaths={1: 1.5}, outlast=True))
    assert answer.exact and answer.value == INPUTS.sum(axis=1).tolist()


def test_threads_do_the_same_and_imap_too():
    with RemotePool(kofn.ThreadPool(WORKERS)) as pool:
        assert kofn.map(total, lying(), workers=pool).value == INPUTS.sum(axis=1).tolist()
        with kofn.imap(total, iter(lying()), workers=pool) as results:
            assert list(results) == INPUTS.sum(axis=1).tolist()


def test_a_reference_is_an_input_of_its_own_pool_and_of_no_other():
    with RemotePool(kofn.ThreadPool(WORKERS)) as pool, kofn.ThreadPool(2) as other:
        refs = [pool.keep(k % WORKERS, np.array, x).result() for k, x in enumerate(INPUTS)]
        assert kofn.map(total, refs, workers=pool).value == INPUTS.sum(axis=1).tolist()
        with pytest.raises(kofn.ArgumentError, match=r"'inputs' must lie where the workers are.*with a ThreadPool"):
            kofn.map(total, refs, workers=other)


@pytest.mark.parametrize("options", [{"code": "repetition", "rows": 24}, {"code": "uncoded"}, {"verify": "correct"}])
def test_codes_that_copy_take_references(options):
    answer = kofn.map(total, lying(), workers=virtual(), **options)
    assert answer.exact and np.allclose(answer.value, INPUTS.sum(axis=1))
    assert answer.report.sent_bytes == 0


@pytest.mark.parametrize(("code", "rows"), [("uncoded", 12), ("repetition", 24), ("repetition", 17)])
def test_copies_of_an_input_begin_where_it_lies_and_go_to_as_many_others(code, rows):
    home = lambda k: (k // 4) if k < 8 else 2 * (k % 2)  # noqa: E731  four, four, two and two more
    options = {} if code == "uncoded" else {"rows": rows}
    pool = virtual()
    report = kofn.map(total, lying(home=home), workers=pool, code=code, scheduler="static", **options).report
    first = {x.row: x.worker for x in report.attempts if x.row < 12}
    near = [k for k in first if first[k] == home(k)]
    assert len(near) == 4 + 4 + 2 and len(set(first)) == 12  # worker 0 has two inputs too many
    assert sum(pool.moved().values()) >= 2 * INPUTS[0].nbytes
    code = kofn.schemes.FUNCTIONS["repetition"](total, [Ref(str(k), home(k)) for k in range(12)], workers=3, rows=rows)
    dealt = [code.code.worker[code.code.groups == k].tolist() for k in range(12)]
    assert all(len(set(workers)) == len(workers) for workers in dealt)
    assert np.ptp(np.bincount(code.code.worker)) <= 1 or rows % 12


def test_codes_that_mix_need_numbers_here():
    with pytest.raises(kofn.ArgumentError, match="'inputs' must be here for a code that mixes them"):
        kofn.map(np.square, lying(), workers=virtual(), degree=2)


@pytest.mark.parametrize("code", ["auto", "uncoded", "cyclic", "rep", "sum-recovery", "lt"])
def test_terms_that_lie_at_workers_are_added_up_there(code):
    answer = kofn.sum(lying(), workers=virtual(), code=code, rng=1)
    assert answer.exact and np.allclose(answer.value, INPUTS.sum(axis=0), rtol=0, atol=1e-12)
    weights = sum(x.load for x in answer.report.attempts)
    assert answer.report.sent_bytes <= 16 * weights  # an index and a weight each


def test_each_adds_up_what_lies_with_it():
    """Terms lie at workers in no order, as many at each; and where one has all of them, two thirds move."""
    homes = RNG.permutation(np.arange(12) % WORKERS)
    answer = kofn.sum(lying(home=homes.__getitem__), workers=virtual())
    assert answer.exact and not answer.report.moved_bytes
    answer = kofn.sum(lying(home=lambda k: 0), workers=virtual())
    assert answer.exact and sum(answer.report.moved_bytes.values()) == 8 * INPUTS[0].nbytes


def test_a_function_of_data_is_summed_where_the_data_lies():
    def gradient(rows, x):
        return rows * (rows @ x)

    x, expected = np.ones(5), INPUTS.T @ (INPUTS @ np.ones(5))
    with kofn.CodedSum(gradient, data=lying(), workers=virtual(), code="cyclic") as total_gradient:
        for scale in (1.0, 2.0):
            assert np.allclose(total_gradient(scale * x).value, scale * expected)
    here = kofn.sum(gradient, x, data=INPUTS, workers=kofn.simulation.VirtualPool([[1.0]] * 3))
    assert here.exact and np.allclose(here.value, expected)
    norms = kofn.sum(np.linalg.norm, data=lying(), workers=virtual(), code="uncoded")
    assert np.isclose(norms.value, np.linalg.norm(INPUTS, axis=1).sum())


def test_terms_at_workers_may_be_called_and_so_may_their_input_lie_there():
    pool = virtual()
    terms = [Lying(lambda x, k=k: k * x.sum(), k) for k in range(6)]
    answer = kofn.sum(terms, *lying(INPUTS[:1]), workers=pool)
    assert answer.exact and np.isclose(answer.value, 15 * INPUTS[0].sum())


def test_a_sum_does_without_a_late_worker_and_without_one_that_dies():
    answer = kofn.sum(lying(), workers=virtual([[1.0], [50.0], [1.0]]), code="cyclic")
    assert answer.exact and answer.report.seconds < 50.0 and np.allclose(answer.value, INPUTS.sum(axis=0))
    answer = kofn.sum(lying(), workers=virtual(deaths={1: 0.5}, outlast=True))
    assert answer.exact and np.allclose(answer.value, INPUTS.sum(axis=0))
    with pytest.raises(kofn.NotDecodable, match=r"terms? .* given up"):
        kofn.sum(lying(), workers=virtual(deaths={1: 0.5}))


def test_a_deadline_gives_an_estimate_with_an_error():
    answer = kofn.sum(lying(1.0 + INPUTS), workers=virtual([[1.0], [50.0], [1.0]]), code="uncoded", deadline=5.0)
    truth = (1.0 + INPUTS).sum(axis=0)
    off = np.linalg.norm(answer.value - truth) / np.linalg.norm(truth)
    assert not answer.exact and off < 0.7 and answer.error == pytest.approx(off, rel=1.0)


def test_a_term_that_is_no_number_is_named():
    values = [*INPUTS[:3], "text"]
    with pytest.raises(kofn.TermError, match="term 3 returned a str") as caught:
        kofn.sum(lying(values), workers=virtual())
    assert caught.value.term == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"terms": [*lying(INPUTS[:2]), np.sum]}, "'terms' must all lie at workers, or all be here"),
        ({"terms": np.sum, "data": [Lying(1.0, 0), 2.0]}, "'data' must all lie at workers, or all be here"),
        ({"terms": [np.sum], "data": [1.0]}, "'terms' must be one callable where 'data' is given"),
        ({"terms": np.sum, "data": []}, "'data' must be a sequence of at least one value"),
        ({"terms": np.sum, "data": 3.0}, "'data' must be a sequence, but got 3.0"),
        ({"terms": np.sum, "data": [1.0], "count": 2}, "'count' must be left out"),
        ({"terms": lying(INPUTS[:2]), "count": 3}, "'count' must be left out"),
    ],
)
def test_what_cannot_be_summed_gets_a_sentence(arguments, said):
    with pytest.raises(kofn.ArgumentError, match=f"kofn.sum: {said}"):
        kofn.sum(**arguments, workers=virtual())
