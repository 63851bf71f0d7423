"""Executors that do what no executor would: nobody waits for them, and what they raise is named."""

from concurrent.futures import Executor, Future

import pytest

import kofn
from kofn.engines._executors import _held


class Answering(Executor):
    """Says the same to whatever it is given."""

    def __init__(self, answer):
        self.answer = answer

    def submit(self, function, *arguments, **options):
        future = Future()
        future.set_result(self.answer)
        return future


@pytest.mark.parametrize("answer", ["garbage", None, 3, ("value",), ("missing", 7), ("missing", None), ("error", 1)])
def test_nobody_waits_for_an_executor_that_answers_what_none_would(answer):
    with kofn.ExecutorPool([Answering(answer), Answering(answer)]) as pool:
        with pytest.raises((kofn.WorkerLost, RuntimeError)):
            pool.submit(0, abs, -1).result(timeout=30)
        with pytest.raises((kofn.NotDecodable, kofn.TaskError)):
            kofn.map(abs, [1.0, 2.0], workers=pool, degree=1)


class Refusing(Executor):
    """Takes nothing."""

    def __init__(self, error):
        self.error = error

    def submit(self, function, *arguments, **options):
        raise self.error


@pytest.mark.parametrize("error", [OSError(24, "too many files"), TypeError("t"), MemoryError("m"), SystemExit("s")])
def test_what_an_executor_raises_is_named_and_the_cause(error):
    with pytest.raises(kofn.NotDecodable, match=f"its executor broke .{type(error).__name__}") as caught:
        kofn.map(abs, [1.0, 2.0], workers=[Refusing(error), Refusing(error)])
    assert isinstance(caught.value.__cause__, kofn.WorkerLost)
    assert caught.value.__cause__.__cause__ is error


class Late(Executor):
    """Begins nothing."""

    def __init__(self):
        self.futures = []

    def submit(self, function, *arguments, **options):
        self.futures.append(Future())
        return self.futures[-1]


def test_a_task_that_its_user_cancels_is_taken_back_from_an_executor_that_has_not_begun_it():
    executor = Late()
    with kofn.ExecutorPool([executor]) as pool:
        task = pool.submit(0, abs, -1)
        assert task.cancel() and executor.futures[0].cancelled()
        assert pool.state(0) == "idle"


class ByHand(Executor):
    """One worker, which does what it was given when it is told to, and then may have forgotten what it held."""

    def __init__(self):
        self.given = []

    def submit(self, function, *arguments, **options):
        self.given.append((Future(), function, arguments))
        return self.given[-1][0]

    def begin(self):
        """Begin the oldest task; it can no longer be taken back. What is returned ends it."""
        future, function, arguments = self.given.pop(0)
        assert future.set_running_or_notify_cancel()
        result = function(*arguments)
        return lambda: future.set_result(result)


def held_by(pool):
    return _held.setdefault(pool._slots[0].token, {})


def test_a_task_that_was_cancelled_is_not_sent_again_with_the_values_that_its_worker_lacks():
    executor = ByHand()
    with kofn.ExecutorPool([executor]) as pool:
        pool.put(0, "x", -3)
        first = pool.submit(0, abs, keys=("x",))
        executor.begin()()
        assert first.result(timeout=0) == 3
        held_by(pool).clear()  # another process in the place of the first
        task = pool.submit(0, abs, keys=("x",))
        end = executor.begin()
        assert task.cancel()
        end()
        assert not executor.given and pool.state(0) == "idle"
        again = pool.submit(0, abs, keys=("x",))  # the value is sent once it is asked for
        executor.begin()()
        executor.begin()()
        assert again.result(timeout=0) == 3


def test_a_value_that_is_dropped_while_it_is_sent_again_is_forgotten_with_the_next_task():
    executor = ByHand()
    with kofn.ExecutorPool([executor]) as pool:
        pool.put(0, "x", -3)
        pool.submit(0, abs, keys=("x",))
        executor.begin()()
        held_by(pool).clear()
        task = pool.submit(0, abs, keys=("x",))
        end = executor.begin()
        pool.drop("x")
        end()
        executor.begin()()
        assert task.result(timeout=0) == 3  # it had the value before it was dropped
        pool.submit(0, abs, -1)
        executor.begin()()
        assert not held_by(pool)
