"""Which rows are combined on demand: those of like size, and none of zeros; the report says why others were copied."""

import numpy as np
import pytest

import kofn
from kofn.simulation import VirtualPool

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((24, 10)), RNG.standard_normal((10, 18))


def test_what_is_of_unlike_sizes_is_copied_and_not_mixed():
    unlike = A * np.where(np.arange(24) < 3, 1e9, 1.0)[:, None]
    scheme = kofn.schemes.uncoded(unlike, B, blocks=(8, 1), workers=8)
    answer = kofn.run(scheme, VirtualPool([[1.0]] * 5 + [[60.0]] * 3), scheduler="coded")
    assert not answer.report.fresh_rows and answer.report.seconds == 3.0 and len(answer.report.of("arrived")) == 8
    assert np.allclose(answer.value, unlike @ B, rtol=1e-13)
    [said] = answer.report.remarks
    assert said.startswith("rows of A or columns of B differ in size by a factor of 1e+09: what was late was copied")
    plain = kofn.run(scheme, VirtualPool([[1.0]] * 5 + [[60.0]] * 3), scheduler="duplicates")
    assert not plain.report.remarks


def entrywise(value, left, right):
    """Errors in units of eps of the norms of a row and a column, which exact answers are within by some factor."""
    sizes = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=0)
    return np.abs(value - left @ right) / (np.finfo(float).eps * sizes)


@pytest.mark.parametrize("larger", [1.0, 4.0, 1 / 12, 12.0])
def test_what_is_mildly_unlike_in_size_is_mixed_and_small_rows_keep_their_digits(larger):
    rows = np.random.default_rng(5).standard_normal((24, 30))
    unlike = rows / np.linalg.norm(rows, axis=1)[:, None] * np.where(np.arange(24) < 12, 1.0, larger)[:, None]
    scheme = kofn.schemes.uncoded(unlike, rows.T, blocks=(8, 1), workers=8)
    answer = kofn.run(scheme, VirtualPool([[1.0]] * 2 + [[60.0]] * 4 + [[1.0]] * 2), scheduler="coded")
    assert answer.exact and answer.report.fresh_rows and not answer.report.remarks
    assert entrywise(answer.value, unlike, rows.T).max() <= 50 * answer.amplification + 30


def test_a_row_of_zeros_stays_zero_whatever_is_late():
    holed = A.copy()
    holed[10] = 0.0
    scheme = kofn.schemes.uncoded(holed, B, blocks=(8, 1), workers=8)
    answer = kofn.run(scheme, VirtualPool([[1.0]] * 2 + [[60.0]] * 4 + [[1.0]] * 2), scheduler="coded")
    assert answer.exact and not answer.value[10].any()
    assert "some rows of A are zero" in str(answer.report)


@pytest.mark.parametrize("change", [1e-15, 0.0])
@pytest.mark.parametrize("face", ["run", "prepare"])
@pytest.mark.parametrize("side", [0, 1])
def test_what_has_become_unlike_since_the_scheme_was_built_is_not_mixed(side, face, change):
    left, right = A.copy(), B.copy()
    scheme = kofn.schemes.uncoded(left, right, blocks=(2, 2), workers=4, rng=0)
    truly = changed(change, side)
    left[:], right[:] = truly
    pool = VirtualPool([[1.0]] * 2 + [[60.0]] * 2)
    if face == "run":
        answer = kofn.run(scheme, pool, scheduler="coded")
    else:
        with kofn.prepare(scheme, pool, scheduler="coded") as plan:
            left[:] = right[:] = 1.0  # seen by nobody any more
            answer = plan.run()
    assert answer.exact and not answer.report.fresh_rows and "have other sizes than when" in str(answer.report)
    rows, columns = (side.any(axis=1) for side in (truly[0], truly[1].T))
    there = np.ix_(rows, columns)
    assert entrywise(answer.value[there], truly[0][rows], truly[1][:, columns]).max() <= 30
    assert not answer.value[~rows].any() and not answer.value[:, ~columns].any()


def changed(change, side):
    """The matrices of which half is changed."""
    left, right = A.copy(), B.copy()
    small = (left[:12], right[:, :9].T)[side]
    small *= change
    return left, right


def test_what_is_other_numbers_of_like_sizes_is_still_mixed():
    left = A.copy()
    scheme = kofn.schemes.uncoded(left, B, blocks=(8, 1), workers=8)
    left *= -3.0
    answer = kofn.run(scheme, VirtualPool([[1.0]] * 2 + [[60.0]] * 4 + [[1.0]] * 2), scheduler="coded")
    assert answer.exact and answer.report.fresh_rows and np.allclose(answer.value, left @ B, rtol=1e-12)
