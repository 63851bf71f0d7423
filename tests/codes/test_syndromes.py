"""Wrong results are located by what is redundant among them, or the answer is that it is not certain."""

import pickle
import warnings

import numpy as np
import pytest

import kofn
from kofn.codes import LinearCode, chebyshev_rows, gaussian_frame, locate
from kofn.codes.decoding._syndromes import parity_check
from kofn.testing import faults
from lies import frame

N, K = 12, 6


def code_of(seed=0, n=N, k=K):
    return LinearCode("frame", gaussian_frame(n, k, np.random.default_rng(seed)), np.eye(k), worker=range(n))


def results_of(code, rng, dtype="d", shape=(8, 9)):
    unknowns = rng.standard_normal((code.unknowns, *shape)).astype(dtype)
    return [np.asarray(one, dtype) for one in np.tensordot(code.generator, unknowns, axes=1)]


LARGE = [
    faults.Scaled(2.0),
    faults.Scaled(-1.0),
    faults.Constant(),
    faults.Swapped(),
    faults.Tile(8),
    faults.NotANumber(),
]


@pytest.mark.parametrize("dtype", "fdD")
@pytest.mark.parametrize("fault", LARGE, ids=repr)
def test_one_to_four_liars_are_located_and_five_are_or_are_refused(fault, dtype):
    rng = np.random.default_rng(1)
    for seed in range(20):
        code = code_of(seed)
        for count in range(6):
            results = results_of(code, rng, dtype)
            liars = sorted(rng.choice(N, count, replace=False).tolist())
            for row in liars:
                results[row] = fault.spoil(results[row], None, rng)
            try:
                found = locate(code, range(N), results)
            except kofn.Corrupted as error:
                assert count == 5 and set(liars) <= set(error.candidates)
            else:
                assert found == (liars, [])


def test_six_liars_leave_nothing_to_compare_with_and_are_refused():
    rng = np.random.default_rng(2)
    code, results = code_of(), None
    results = results_of(code, rng)
    for row in range(6):
        results[row] = rng.standard_normal(results[row].shape)
    with pytest.raises(kofn.Corrupted, match="it is not certain which are wrong") as caught:
        locate(code, range(N), results)
    assert set(range(6)) <= set(pickle.loads(pickle.dumps(caught.value)).candidates)


def test_up_to_three_that_tell_one_story_are_never_mistaken_for_others():
    """Errors along one direction: 2 · 3 ≤ n − k, so no other set of three explains them; refused or right."""
    rng = np.random.default_rng(3)
    for seed in range(100):
        code = code_of(seed)
        results = results_of(code, rng)
        liars = sorted(rng.choice(N, 3, replace=False).tolist())
        story = rng.standard_normal(results[0].shape)
        for row in liars:
            results[row] = results[row] + rng.standard_normal() * story
        try:
            assert locate(code, range(N), results).wrong == liars
        except kofn.Corrupted as error:
            assert set(liars) <= set(error.candidates)


def test_a_small_lie_beside_a_huge_one_is_found_after_it():
    rng = np.random.default_rng(4)
    code = code_of()
    results = results_of(code, rng)
    results[3] = results[3] + 1e14 * rng.standard_normal(results[3].shape)
    results[8] = results[8] + 1e-6 * rng.standard_normal(results[8].shape)
    assert locate(code, range(N), results).wrong == [3, 8]


@pytest.mark.parametrize("dtype", "fdFD")
def test_honest_results_agree_at_any_scale(dtype):
    rng = np.random.default_rng(5)
    for seed in range(100):
        results = results_of(code_of(seed), rng, dtype)
        results = [one * np.asarray(10.0 ** (seed % 30 - 15), one.real.dtype) for one in results]
        assert locate(code_of(seed), range(N), results) == ([], [])


def test_a_plain_row_of_which_no_other_tells_is_named():
    code = LinearCode("half", [[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]], np.eye(3), worker=range(4))
    rng = np.random.default_rng(6)
    results = results_of(code, rng)
    results[0] = results[0] + 1.0
    assert locate(code, range(4), results) == ([], [0])
    results[2] = results[2] + 1.0
    with pytest.raises(kofn.Corrupted):
        locate(code, range(4), results)


def test_an_honest_row_that_rounding_cannot_move_so_far_is_not_in_doubt():
    """Four liars, whose space leaves out 2.8 % of row 4's column of the parity check; rounding turns it by 1.1 %."""
    scheme, _ = frame(116, "f", N, K)
    results = [task.arguments[0].copy() for task in scheme.tasks]
    for row in (liars := [3, 5, 8, 10]):
        results[row] *= np.float32(1.5)
    assert locate(scheme.code, range(N), results) == (liars, [])


def test_syndromes_vanish_on_the_code_and_only_there():
    generator = chebyshev_rows(np.cos(np.arange(9.0)), 5)
    parity = parity_check(generator)
    assert parity.shape == (4, 9) and np.allclose(parity @ generator, 0.0, atol=1e-12)
    assert np.allclose(parity @ parity.T, np.eye(4))
    assert np.linalg.matrix_rank(parity[:, [0, 3, 5, 8]]) == 4


def test_one_number_a_result_tells_of_one_liar_and_of_no_more():
    rng = np.random.default_rng(7)
    code = code_of()
    results = results_of(code, rng, shape=())
    results[4] = results[4] + 1.0
    assert locate(code, range(N), results).wrong == [4]
    results[9] = results[9] + 1.0
    with pytest.raises(kofn.Corrupted):
        locate(code, range(N), results)


def test_honest_results_of_a_badly_conditioned_code_agree():
    """Exact integers, rounded once: results that all but cancel are off by as much as their terms would be."""
    powers = np.arange(1, 13)[:, None] ** np.arange(8)
    code = LinearCode("powers", powers.astype(float), np.eye(8), worker=range(12))
    weakest = np.linalg.svd(code.generator)[2][-1]  # what these rows say least of
    unknowns = np.rint(2.0**20 * weakest).astype(np.int64).astype(object)
    results = [np.array([float(sum(int(p) * u for p, u in zip(row, unknowns, strict=True)))]) for row in powers]
    assert locate(code, range(12), results) == ([], [])


def test_a_nan_that_signals_is_located_without_a_warning():
    code = code_of(n=6, k=3)
    results = code.generator @ np.random.default_rng(1).standard_normal((3, 20))
    results.view(np.uint64)[4, 7] = 0x7FF0_0000_0000_0001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert locate(code, range(6), list(results)).wrong == [4]
