"""Liars who happen to say the same of a row, and rows whose tasks are not what their code says."""

import numpy as np
import pytest

import kofn
from kofn.codes import LinearCode, gaussian_frame
from kofn.simulation import VirtualPool
from kofn.testing import faults
from lies import frame

N, K = 12, 6


def audited(seed, dtype, count, fault):
    """What comes of so many liars among twelve workers, and whether nobody else is named."""
    rng = np.random.default_rng([seed, count])
    scheme, truth = frame(seed, dtype, N, K)
    liars = rng.choice(N, count, replace=False).tolist()
    times = rng.uniform(1.0, 2.0, (N, 20))
    with faults.Corrupting(VirtualPool(times), dict.fromkeys(liars, fault), seed) as pool:
        answer = kofn.run(scheme, pool, verify="correct")
    assert answer.exact and {one.worker for one in answer.report.wrong} <= set(liars)
    return answer, truth


@pytest.mark.parametrize("seed", [145, 199])
def test_two_results_of_another_shape_than_most_do_not_bear_each_other_out(seed):
    """Two liars were asked for the same row: who returned all of it was named."""
    answer, truth = audited(seed, "d", 5, faults.Truncated())
    assert np.allclose(answer.value, truth, rtol=1e-8)


def test_what_two_say_alike_and_all_others_contradict_a_third_is_asked():
    """Two liars turned over the sign of the same number of the same row, and were believed: no answer."""
    answer, truth = audited(58, "f", 4, faults.BitFlip(part="sign"))
    assert np.abs(answer.value - truth).max() < 1e-4 * answer.amplification
    assert len({one.worker for one in answer.report.wrong}) >= 3


def test_rows_that_are_not_what_their_tasks_compute_are_asked_for_twice_and_no_more():
    rng = np.random.default_rng(0)
    code = LinearCode("own", gaussian_frame(8, 4, rng), np.eye(4), worker=range(8))
    asked = []
    tasks = [kofn.Task(lambda *which: asked.append(which[0]) or which[1], (row, rng.random(30))) for row in range(8)]
    scheme = kofn.schemes.CustomScheme(code, tasks)
    with pytest.raises(kofn.Corrupted, match=r"two workers or more each returned .* and they contradict"):
        kofn.run(scheme, VirtualPool(rng.uniform(1.0, 2.0, (8, 20))), verify="correct")
    assert {asked.count(row) for row in range(8)} == {2}
