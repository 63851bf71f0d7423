"""Stripes: whichever workers are lost, the others hold everything, in the least room that there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kofn.codes import decode
from kofn.codes._stripes import MOST_ROWS, Stripes
from kofn.errors import CodeError
from processes import slow_but

DEALS = [(n, r) for n in range(1, 9) for r in range(min(n, 4))]


def code_of(stripes):
    return stripes.code(np.random.default_rng(0))


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize(("workers", "redundancy"), DEALS)
def test_any_so_many_workers_may_be_lost(workers, redundancy, copies):
    stripes = Stripes(workers, redundancy, copies)
    code = code_of(stripes)
    worst = 0.0
    for lost in itertools.combinations(range(workers), redundancy):
        decoding = decode(code, np.flatnonzero(~np.isin(code.worker, lost)))
        assert decoding.exact and decoding.recovered.all()
        worst = max(worst, float(decoding.amplification))
    limit = 1.0 if copies else [1.0, workers**0.5 * 1.5, 15.0, 30.0][redundancy]
    assert worst <= limit and stripes.amplification(code) == pytest.approx(worst)


@pytest.mark.parametrize(("workers", "redundancy"), [(n, r) for n, r in DEALS if r])
def test_of_combinations_one_more_lost_worker_is_one_too_many(workers, redundancy):
    code = code_of(Stripes(workers, redundancy))
    for lost in itertools.combinations(range(workers), redundancy + 1):
        assert not decode(code, np.flatnonzero(~np.isin(code.worker, lost))).exact


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize(("workers", "redundancy"), DEALS)
def test_every_worker_has_an_equal_share_of_plain_rows_and_of_spare_ones(workers, redundancy, copies, fine):
    stripes = Stripes(workers, redundancy, copies, fine)
    code = code_of(stripes)
    k = stripes.unknowns
    assert np.array_equal(code.generator[:k], np.eye(k))
    plain, spare = (np.bincount(part, minlength=workers) for part in (code.worker[:k], code.worker[k:]))
    assert len(set(plain)) == len(set(spare)) == 1 and np.all(np.diff(code.worker[:k]) >= 0)
    share = 1 + redundancy if copies else workers / (workers - redundancy)
    assert code.rows / k == pytest.approx(share) == stripes.share
    held = {(worker, row.tobytes()) for worker, row in zip(code.worker.tolist(), code.generator, strict=True)}
    assert len(held) == code.rows  # nobody holds the same twice


@pytest.mark.parametrize("lost", slow_but([(32, 1), (64, 1), (64, 3), (200, 2)], {(32, 1), (64, 1)}))
def test_many_workers_have_fewer_rows_and_about_equal_shares(lost):
    workers, redundancy = lost
    stripes = Stripes(workers, redundancy)
    code = code_of(stripes)
    assert code.rows <= max(MOST_ROWS, workers) and stripes.amplification(code) < 1e4
    most = np.bincount(code.worker[: stripes.unknowns]).max()
    assert most / stripes.unknowns <= 1 / (workers - redundancy) + 1e-12  # what one stripe alone would cost


def test_there_are_more_workers_than_may_be_lost():
    with pytest.raises(CodeError, match="redundancy must be from 0 to 2, got 3"):
        Stripes(3, 3)
