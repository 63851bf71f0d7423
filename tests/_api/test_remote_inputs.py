"""Inputs and terms that lie at workers: who gets which, what moves, what is refused; in virtual time and on threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kofn
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
