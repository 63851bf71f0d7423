"""Executors that do what no executor would: nobody waits for them, and what they raise is named."""

from concurrent.futures import Executor, Future

import pytest

import kofn


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
