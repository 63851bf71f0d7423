"""Wrong workers are wrong in the way that is asked for, the same way each time, and the others are honest."""

import numpy as np
import pytest

import kofn
from kofn.testing import faults

FAULTS = [
    faults.BitFlip(),
    faults.BitFlip(bits=3),
    faults.BitFlip(part="sign"),
    faults.BitFlip(part="exponent"),
    faults.BitFlip(part="mantissa"),
    faults.Scaled(1.5),
    faults.Constant(),
    faults.Tile(side=1),
    faults.Tile(side=4),
    faults.Swapped(),
    faults.NotANumber(),
    faults.Truncated(),
    faults.Colluding(seed=3),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("dtype", "fdFD")
def test_each_fault_changes_a_result_and_keeps_its_type(fault, dtype):
    right = np.random.default_rng(0).standard_normal((6, 5)).astype(dtype)
    wrong, again = (fault.spoil(right.copy(), None, np.random.default_rng(1)) for _ in range(2))
    assert wrong.dtype == right.dtype and wrong.tobytes() == again.tobytes()
    assert wrong.tobytes() != right.tobytes()


def test_a_flip_of_one_bit_flips_one_bit_of_the_part():
    right = np.ones((3, 4))
    for part, places in {"sign": {63}, "exponent": set(range(52, 63)), "mantissa": set(range(52))}.items():
        for seed in range(20):
            wrong = faults.BitFlip(part=part).spoil(right.copy(), None, np.random.default_rng(seed))
            changed = (wrong.view("u8") ^ right.view("u8")).ravel()
            (word,) = changed[changed != 0]
            assert word.bit_count() == 1 and int(word).bit_length() - 1 in places


def test_a_tile_stays_inside_and_is_as_large_as_it_says():
    for seed in range(20):
        wrong = faults.Tile(side=2).spoil(np.zeros((3, 5)), None, np.random.default_rng(seed))
        rows, columns = np.nonzero(wrong)
        assert len(rows) == 4 and np.ptp(rows) == np.ptp(columns) == 1


def test_a_stale_worker_returns_what_its_task_before_should_have():
    with faults.Corrupting(kofn.ThreadPool(2), {0: faults.Stale()}) as pool:
        told = [float(pool.submit(0, float, number).result()) for number in range(4)]
        assert told == [0.0, 0.0, 1.0, 2.0]
        assert [float(pool.submit(1, float, number).result()) for number in range(4)] == [0.0, 1.0, 2.0, 3.0]


def test_the_same_seed_spoils_a_pool_in_the_same_way():
    def told(seed):
        with faults.Corrupting(kofn.ThreadPool(1), {0: faults.Tile(2)}, seed) as pool:
            return [pool.submit(0, np.ones, (4, 4)).result() for _ in range(3)]

    assert np.array_equal(told(5), told(5)) and not np.array_equal(told(5), told(6))
    first, second, _ = told(5)
    assert not np.array_equal(first, second)


def test_colluding_workers_tell_one_story():
    with faults.Corrupting(kofn.ThreadPool(3), dict.fromkeys([0, 2], faults.Colluding(seed=4))) as pool:
        told = [pool.submit(worker, np.ones, (2, 3)).result() for worker in range(3)]
    assert np.array_equal(told[0], told[2]) and np.array_equal(told[1], np.ones((2, 3)))


def test_a_worker_of_another_process_is_wrong_there():
    with faults.Corrupting(kofn.LocalPool(2), {1: faults.Scaled(2.0)}) as pool:
        assert [pool.submit(worker, np.ones, 3).result().tolist() for worker in range(2)] == [[1.0] * 3, [2.0] * 3]


@pytest.mark.parametrize("wrong", [{5: faults.Scaled()}, {0: "lies"}, {-1: faults.Stale()}])
def test_faults_of_nobody_are_refused(wrong):
    with kofn.ThreadPool(2) as pool, pytest.raises(kofn.ArgumentError, match="'faults' must name workers from 0 to 1"):
        faults.Corrupting(pool, wrong)
