"""Systematic codes: what arrived as it is is picked, and only what is missing is solved for."""

import itertools

import numpy as np
import pytest

from kofn.codes import LinearCode, decode
from kofn.codes._bases import gaussian_frame, parity_rows
from kofn.codes._certify import certify
from kofn.codes.decoding import _systematic
from kofn.codes.decoding._systematic import complete


def code_of(k, spare, seed=0):
    parities = parity_rows(spare, k, np.random.default_rng(seed))
    return LinearCode("systematic", np.vstack([np.eye(k), parities]), np.eye(k), np.arange(k + spare), threshold=k)


@pytest.mark.parametrize(("k", "spare"), [(3, 1), (5, 2), (6, 4), (1, 3)])
def test_any_k_rows_are_solved_as_the_whole_system_is(k, spare):
    code = code_of(k, spare)
    rng = np.random.default_rng(k)
    for chosen in itertools.combinations(range(k + spare), k):
        rows = rng.permutation(chosen).tolist()
        decoding = decode(code, rows)
        assert decoding.exact
        oracle = np.linalg.inv(code.generator[rows])
        np.testing.assert_allclose(decoding.matrix, oracle, rtol=1e-9, atol=1e-9 * abs(oracle).max())
        known = [row for row in rows if row < k]
        picks = np.zeros((k, k))
        picks[known, [rows.index(row) for row in known]] = 1.0
        np.testing.assert_array_equal(decoding.matrix[known], picks[known])  # bit for bit what arrived


def test_the_certificate_is_that_of_the_whole_system():
    rng = np.random.default_rng(5)
    code = code_of(6, 3)
    for _ in range(100):
        rows = rng.permutation(9)[: rng.integers(0, 10)]
        generator = code.generator[rows]
        found = complete(generator)
        residual = abs(found.matrix @ generator - np.eye(6))
        size = abs(found.matrix) @ abs(generator) + np.eye(6)
        whole = np.divide(residual, size, out=np.zeros_like(size), where=size > 0).max(axis=1)
        limit = (len(rows) + 6) * 2.0**-52
        np.testing.assert_array_equal(whole <= limit, found.backward_error <= limit)
        sizes = np.linalg.norm(generator, axis=1)
        np.testing.assert_allclose(found.amplification, np.linalg.norm(found.matrix * sizes, axis=1), rtol=1e-12)


def test_what_can_be_recovered_is_what_the_general_solver_recovers():
    rng = np.random.default_rng(6)
    code = code_of(5, 3)
    for _ in range(100):
        rows = rng.permutation(8)[: rng.integers(1, 9)]
        limit = (len(rows) + 5) * 2.0**-52
        mine, general = (f(code.generator[rows]) for f in (complete, lambda G: certify(G, np.eye(5))))
        np.testing.assert_array_equal(mine.backward_error <= limit, general.backward_error <= limit)


def test_stacks_of_unlike_losses_are_solved_as_each_alone():
    rng = np.random.default_rng(7)
    code = code_of(6, 4)
    rows = np.argsort(rng.random((3, 20, 10)), axis=-1)[..., :7]
    many = complete(code.generator[rows])
    for place in np.ndindex(3, 20):
        alone = complete(code.generator[rows[place]])
        for one, other in zip(many, alone, strict=True):
            np.testing.assert_allclose(one[place], other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_only_what_is_missing_is_solved_for(monkeypatch, missing):
    solved = []

    def watched(generator, targets):
        solved.append(generator.shape[-2:])
        return certify(generator, targets)

    monkeypatch.setattr(_systematic, "certify", watched)
    rows = [*range(missing, 400), *range(400, 400 + missing)]
    assert decode(code_of(400, 4), rows).exact
    assert solved == [(missing, missing)] * (missing > 0)


@pytest.mark.parametrize("k", [2, 3, 6, 20])
def test_one_spare_row_amplifies_as_a_sum_does(k):
    amplification = [complete(np.delete(code_of(k, 1).generator, lost, axis=0)).amplification for lost in range(k)]
    np.testing.assert_allclose(np.max(amplification, axis=1), np.sqrt(2 * k - 1))


@pytest.mark.parametrize("k", [2, 3, 6, 7, 20])
def test_two_spare_rows_amplify_at_most_as_their_angles_say(k):
    """Angles are a step of π/k apart, and half or a quarter of one from the axes; weights of k rows, each at most 1."""
    code, nearest = code_of(k, 2), np.pi / (4 * k if k % 2 else 2 * k)
    for lost in itertools.combinations(range(k), 2):
        worst = complete(np.delete(code.generator, lost, axis=0)).amplification.max()
        assert worst <= np.sqrt(2 * k) / np.sin(np.pi / k)
    for lost, spare in itertools.product(range(k), (k, k + 1)):
        rows = [row for row in range(k + 2) if row not in (lost, spare)]
        assert complete(code.generator[rows]).amplification.max() <= np.sqrt(2 * k) / np.sin(nearest)


def test_columns_of_unit_size_lose_less_than_gaussian_ones():
    """The worst of all ways to lose rows, of 6 + 3, in the median of draws."""
    rng, worst = np.random.default_rng(0), {"parity": [], "gaussian": [], "frame": []}
    sets = np.array(list(itertools.combinations(range(9), 6)))
    for _ in range(30):
        frame = gaussian_frame(9, 6, rng)
        for name, parities in (
            ("parity", parity_rows(3, 6, rng)),
            ("gaussian", rng.standard_normal((3, 6))),
            ("frame", frame[6:] @ np.linalg.inv(frame[:6])),
        ):
            amplification = complete(np.vstack([np.eye(6), parities])[sets]).amplification
            worst[name].append(np.max(amplification))
    middle = {name: np.median(each) for name, each in worst.items()}
    assert middle["parity"] < middle["gaussian"] < middle["frame"], middle
