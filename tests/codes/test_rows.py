"""Fresh rows: the same wherever they are made, of what is missing alone, and as many of them as are missing decode."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from kofn.codes import FixedRows, RatelessRows, decode
from kofn.codes._rows import AMPLIFICATION
from kofn.codes.decoding._rank import DenseRank, track_rank


def plain(unknowns):
    return kofn.LinearCode("plain", np.eye(unknowns), np.eye(unknowns), worker=np.arange(unknowns))


def extended(source, *histories):
    code = source.code
    for missing in histories:
        code = code.extended(source.fresh(code, missing), 0)
    return code


def test_a_row_is_a_function_of_seed_number_and_what_is_missing():
    source = RatelessRows(plain(6), seed=3)
    code = extended(source, [0, 2, 4], [2, 4])
    again = extended(RatelessRows(plain(6), seed=3), [0, 2, 4], [2, 4])
    assert np.array_equal(code.generator, again.generator)
    rows = code.generator[6:]
    assert [np.flatnonzero(row).tolist() for row in rows] == [[0, 2, 4], [2, 4]]
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0)
    others = [RatelessRows(plain(6), seed=4).fresh(source.code, [0, 2, 4]), source.fresh(code, [0, 2, 4])]
    assert not any(np.allclose(other, rows[0]) for other in others)


def test_one_that_is_missing_is_a_duplicate():
    assert RatelessRows(plain(4)).fresh(plain(4), [2]).tolist() == [0, 0, 1, 0]
    assert RatelessRows(plain(4), (2, 2)).fresh(plain(4), [3]).tolist() == [0, 0, 0, 1]


def test_of_two_sides_a_row_is_one_product():
    source = RatelessRows(plain(12), (3, 4))
    row = source.fresh(source.code, [1, 3, 8]).reshape(3, 4)
    assert np.linalg.matrix_rank(row) == 1
    assert np.flatnonzero(row.any(axis=1)).tolist() == [0, 2] and np.flatnonzero(row.any(axis=0)).tolist() == [0, 1, 3]


def test_what_cannot_be_is_refused():
    with pytest.raises(kofn.CodeError, match="makes no fresh rows"):
        FixedRows(plain(2)).fresh(plain(2), [0])
    with pytest.raises(kofn.CodeError, match="6 products of blocks"):
        RatelessRows(plain(6), (2, 2))
    for row in (np.ones(3), np.array([1.0, np.nan])):
        with pytest.raises(kofn.CodeError, match="2 finite numbers"):
            plain(2).extended(row, 0)


def test_an_extended_code_is_the_code_with_these_rows():
    code = plain(3).extended(np.array([1.0, 2.0, 0.0]), 7, 0.5)
    whole = kofn.LinearCode(
        "plain", [*np.eye(3), [1, 2, 0]], np.eye(3), worker=[0, 1, 2, 7], load=[1, 1, 1, 0.5]
    )  # fmt: skip
    assert np.array_equal(code.generator, whole.generator) and code.worker.tolist() == whole.worker.tolist()
    assert code.load.tolist() == whole.load.tolist() and code.groups.tolist() == whole.groups.tolist()
    assert code.mixes and code.plain.tolist() == [0, 1, 2, -1] and code.threshold is None
    assert np.array_equal(code.column_size, whole.column_size)


def history(rng, unknowns, source):
    """A code with fresh rows, and those received when they could be as many as are missing; None where none was."""
    code, missing, received, flying = source.code, list(range(unknowns)), [], []
    there = []
    while len(received) < len(missing):
        what = rng.random()
        if what < 0.4 and len(missing) > 1:
            code = code.extended(source.fresh(code, missing), 0)
            flying.append(code.rows - 1)
        elif flying and what < 0.7:
            received.append(flying.pop(rng.integers(len(flying))))
        elif len(missing):
            there.append(missing.pop(rng.integers(len(missing))))
    return code, there, received


@pytest.mark.parametrize("shape", [None, (2, 4)])
def test_any_so_many_as_are_missing_decode(shape):
    rng = np.random.default_rng(0)
    source = RatelessRows(plain(8), shape)
    amplified, counts = [], []
    for _ in range(150):
        code, there, received = history(rng, 8, source)
        decoding = decode(code, there + received)
        counts.append(len(received))
        amplified.append(float(decoding.amplification))
        assert decoding.exact
        truth = rng.standard_normal(8)
        value = decoding.matrix @ (code.generator[there + received] @ truth)
        assert np.allclose(value, truth, rtol=0, atol=1e-13 * amplified[-1])
    assert max(counts) >= 3
    assert np.mean(np.array(amplified) > AMPLIFICATION) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_of_what_is_systematic_is_that_of_its_rows(seed):
    rng = np.random.default_rng(seed)
    unknowns = 6
    parities = rng.standard_normal((5, unknowns)) * (rng.random((5, unknowns)) < 0.5)
    targets = np.eye(unknowns) if seed % 2 else rng.standard_normal((2, unknowns)) * (rng.random((2, unknowns)) < 0.5)
    code = kofn.LinearCode("drawn", [*np.eye(unknowns), *parities], targets, worker=np.arange(11))
    fast = track_rank(code)
    slow = DenseRank(code.column_size, code.targets, lambda row: code.generator[row])
    for row in rng.permutation(11):
        assert fast.add(int(row)) == slow.add(int(row))
        assert (fast.rank, fast.is_near) == (slow.rank, slow.is_near)


def test_of_many_rows_no_two_say_the_same():
    source = RatelessRows(plain(5))
    rows = extended(source, *[range(5)] * 60).generator[5:]
    alike = np.abs(rows @ rows.T) - np.eye(60)
    assert alike.max() < 0.9999  # of unit size: 1 for two that are multiples of one another
