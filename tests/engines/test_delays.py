"""What pools remember of their delays."""

import gc
import json

import numpy as np
import pytest

import kofn
from kofn.engines._delays import JOBS, TASKS, Delays, Message, delays_of
from kofn.simulation import VirtualPool
from kofn.simulation.bench import from_file


def product(pool, **options):
    return kofn.run(kofn.schemes.uncoded(np.eye(12), np.eye(12), blocks=(12, 1), workers=pool.n), pool, **options)


def test_a_run_in_virtual_time_is_remembered_by_worker_in_units_of_its_median():
    pool = VirtualPool([[1.0], [1.0], [3.0]])
    product(pool, scheduler="static")
    assert pool.delays.pace.tolist() == [[1.0] * 4, [1.0] * 4, [3.0] * 4]
    assert pool.delays.busy == 12.0 and pool.delays.count == 1


def test_what_did_not_come_back_counts_as_longer_than_anybody_waited():
    pool = VirtualPool([[1.0], [1.0], [1.0, 1.0, 50.0]])
    product(pool, scheduler=kofn.Duplicates())
    slow = pool.delays.pace[2]
    assert slow[:2].tolist() == [1.0, 1.0] and slow[-1] >= 2.0


def test_what_two_workers_computed_is_remembered_in_pairs():
    pool = VirtualPool([[1.0], [1.0], [1.0, 1.0, 50.0]])
    product(pool, scheduler=kofn.Duplicates())
    first, second = pool.delays.again[-1]
    assert second == 1.0 and first >= 2.0


def test_memory_is_bounded():
    delays = Delays()
    for _ in range(3 * JOBS):
        messages = [Message(worker, float(task), 1.0) for worker in range(2) for task in range(40)]
        delays.see(2, messages, 1.0, again=[(1.0, 1.0)], waits=[0.001] * 40)
    assert delays.pace.shape == (2, JOBS * TASKS)
    assert len(delays.again) <= 64 and len(delays.waits) <= 1024


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_job_of_few_workers_is_no_measure_of_all(workers):
    delays = Delays()
    delays.see(8, [Message(worker, 0.0, 1.0) for worker in range(workers)], 1.0)
    assert (delays.pace.size > 0) == (workers >= 4)


def test_jobs_of_different_sizes_tell_what_work_and_messages_cost():
    delays = Delays()
    delays.see(2, [], 1.0)  # the first one is of workers that still load things
    for flops in (1e6, 1e9, 1e10, 3e6):
        seconds = 3e-3 + 2e-10 * flops
        delays.see(2, [Message(worker, 0.0, seconds) for worker in range(2)], seconds, work=flops)
    assert delays.seconds_per_flop == pytest.approx(2e-10, rel=1e-6)
    assert delays.message_seconds == pytest.approx(3e-3, rel=1e-6)


def test_what_tasks_would_usually_take_is_remembered_beside_how_slow_they_were(tmp_path):
    delays = Delays()
    for unit in (1.0, 5.0):  # jobs of different sizes: four tasks a worker, the last of a quarter of the load
        loads = [4.0, 4.0, 4.0, 1.0]
        times = [
            unit * load + 30.0 * (unit == 5.0 and task == worker)
            for worker in (0, 1)
            for task, load in enumerate(loads)
        ]
        messages = [Message(number // 4, number % 4, time, loads[number % 4]) for number, time in enumerate(times)]
        delays.see(2, messages, 100.0)
    assert delays.work_seconds.tolist() == [[4.0, 4.0, 4.0, 1.0, 20.0, 20.0, 20.0, 5.0]] * 2
    late = (delays.pace - 1.0) * delays.work_seconds
    assert late[:, 4:].tolist() == [[30.0, 0.0, 0.0, 0.0], [0.0, 30.0, 0.0, 0.0]]
    delays.save(tmp_path / "delays.npy")
    delays.load(tmp_path / "delays.npy")  # a trace holds no loads
    assert delays.work_seconds is None


def test_messages_of_little_work_tell_what_messages_cost_and_nothing_of_paces():
    delays = Delays()
    delays.see(2, [], 1.0)
    for _ in range(3):
        delays.see(2, [Message(0, 0.0, 0.01), Message(1, 0.0, 0.03)], 0.03, work=8.0)
    assert not delays.pace.size
    assert sorted(set((delays.waits * delays.message_seconds).round(6))) == [0.01, 0.03]


def test_calls_tell_what_they_cost_beside_their_work(local_pool):
    before = local_pool.delays.count
    kofn.map(abs, range(50), workers=local_pool)
    assert local_pool.delays.count == before + 1
    assert 0 < local_pool.delays.message_seconds < 1


def test_a_pool_of_ones_own_is_remembered_as_long_as_it_is_there():
    class Own:
        n = 2

    own = Own()
    assert delays_of(own) is delays_of(own)
    from kofn.engines import _delays

    known = len(_delays._others)
    del own
    gc.collect()
    assert len(_delays._others) < known


def test_delays_are_saved_as_a_trace_and_loaded(tmp_path):
    pool = VirtualPool([[1.0], [1.0], [3.0]])
    product(pool, scheduler="static")
    pool.delays.save(tmp_path / "delays.npy")
    assert np.load(tmp_path / "delays.npy").shape == (1, TASKS, 3)
    other = Delays()
    other.load(tmp_path / "delays.npy")
    assert np.array_equal(other.pace, pool.delays.pace)


def test_a_trace_of_any_number_of_tasks_is_loaded_in_units_of_its_median(tmp_path):
    np.save(tmp_path / "trace.npy", np.array([[2.0, 4.0], [np.nan, 4.0], [4.0, 8.0]]))
    delays = Delays()
    delays.load(tmp_path / "trace.npy")
    assert delays.pace.tolist() == [[0.5, np.inf, 1.0, 0.5], [1.0, 1.0, 2.0, 1.0]]


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.ones(3), np.array([["a"]])], ids=["zeros", "a row", "text"])
def test_what_is_no_trace_is_refused(tmp_path, wrong):
    np.save(tmp_path / "wrong.npy", wrong)
    with pytest.raises(kofn.ArgumentError, match=r"kofn.engines.Delays.load: 'path' must be a .npy file of times > 0"):
        Delays().load(tmp_path / "wrong.npy")


def test_nothing_is_no_trace_to_save(tmp_path):
    with pytest.raises(kofn.ArgumentError, match=r"kofn.engines.Delays.save: 'delays' must hold a job"):
        Delays().save(tmp_path / "none.npy")


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    pool = VirtualPool([[0.1], [0.2]])
    kofn.sum([abs] * 8, -1.0, workers=pool)
    with pytest.raises(
        kofn.errors.FileError, match=r"Delays\.save: .*none.*delays\.npy cannot be written: No such file"
    ):
        pool.delays.save(tmp_path / "none" / "delays.npy")
    assert not list(tmp_path.iterdir())


def test_a_report_that_chose_nothing_says_nothing_of_it():
    report = product(VirtualPool([[1.0], [1.0]])).report
    assert report.choice == "" and json.loads(json.dumps(report.to_dict()))["choice"] == ""


def test_nothing_counts_as_late_before_the_first_result_unless_it_is_said_when():
    delays = [[60.0], [1.0, 60.0]]
    scheme = kofn.schemes.uncoded(np.eye(1), np.eye(1), workers=1)
    assert kofn.run(scheme, VirtualPool(delays), scheduler=kofn.Duplicates()).report.seconds == 60.0
    assert kofn.run(scheme, VirtualPool(delays), scheduler=kofn.Duplicates(first=2.0)).report.seconds == 3.0
    with pytest.raises(kofn.ArgumentError, match=r"kofn.Duplicates: 'first' must be a number of seconds >= 0"):
        kofn.Duplicates(first=-1.0)


DAMAGED = {
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:90]),
    "a header of another": lambda file: file.write_bytes(file.read_bytes().replace(b"}", b"(", 1)),
    "empty": lambda file: file.write_bytes(b""),
    "a scalar": lambda file: np.save(file, np.array(1.0)),
    "none in it": lambda file: np.save(file, np.zeros((0, 3))),
    "no axis": lambda file: np.save(file, np.zeros((0, 0))),
    "complex": lambda file: np.save(file, np.ones((4, 2), complex)),
    "text": lambda file: np.save(file, np.array([["a", "b"]])),
    "dates": lambda file: np.save(file, np.ones((3, 2)).astype("M8[s]")),
    "never": lambda file: np.save(file, np.full((3, 2), np.inf)),
    "zero": lambda file: np.save(file, np.zeros((3, 2))),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_file_that_holds_no_times_is_refused_and_changes_nothing(tmp_path, damage):
    file = tmp_path / "delays.npy"
    np.save(file, np.ones((4, 2)))
    delays = Delays()
    delays.load(file)
    DAMAGED[damage](file)
    with pytest.raises(kofn.ArgumentError, match=r"'path' must be a \.npy file of times > 0"):
        delays.load(file)
    with pytest.raises(kofn.ArgumentError, match="'--traces' must be a file of times"):
        from_file(str(file))
    assert delays.pace.tolist() == np.ones((2, 4)).tolist()
