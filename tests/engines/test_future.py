"""A future whose end is decided once, by whoever comes first, though its own lock may never be free again."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from concurrent.futures import CancelledError
from itertools import permutations
from traceback import walk_stack

import pytest

from kofn.engines import _future as module
from kofn.engines._future import Promise

ENDS = {
    "result": lambda promise: promise.settle("value"),
    "error": lambda promise: promise.fail(OSError("gone")),
    "cancel": lambda promise: promise.cancel(),
}


def how(promise):
    if promise.future.cancelled():
        return "cancel"
    return "error" if promise.future.exception(0) else "result"


@pytest.mark.parametrize("order", list(permutations(ENDS)))
def test_the_first_to_claim_decides(order):
    promise = Promise()
    for end in order:
        ENDS[end](promise)
    assert promise.is_claimed
    assert how(promise) == order[0]


def test_of_many_at_once_one_decides():
    for _ in range(50):
        promise, gate = Promise(), threading.Barrier(len(ENDS))

        def end(action, promise=promise, gate=gate):
            gate.wait()
            action(promise)

        threads = [threading.Thread(target=end, args=(action,)) for action in ENDS.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert promise.future.done()
        assert how(promise) in ENDS


def test_who_cancels_the_future_himself_is_told_to_the_engine_once():
    promise, told = Promise(), []
    promise.when_cancelled(told.append)
    assert promise.future.cancel()
    promise.settle("too late")
    promise.cancel()
    assert told == [promise]
    with pytest.raises(CancelledError):
        promise.future.result(0)


def test_an_end_that_was_decided_is_no_cancellation():
    promise, told = Promise(), []
    promise.when_cancelled(told.append)
    promise.settle(1)
    assert not promise.future.cancel()
    assert told == []


def test_a_future_whose_lock_is_never_free_does_not_hold_up_the_engine(monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.01)
    for end in ENDS.values():
        promise = Promise()
        holder = threading.Thread(target=promise.future._condition.acquire)  # as a Ctrl-C may leave it
        holder.start()
        holder.join()
        end(promise)
        assert promise.is_claimed


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("instant", range(40))
def test_a_ctrl_c_comes_through_when_the_future_has_ended_and_is_free(end, instant):
    """It comes at one line after another of those that Python goes through to end a future."""
    promise, left = Promise(), [instant]

    def interrupt(frame, event, _):
        begun = any(outer.f_code.co_name == "_end_once" for outer, _ in walk_stack(frame))
        if begun and event == "line":
            left[0] -= 1
            if left[0] == -1:
                raise KeyboardInterrupt
        return interrupt

    before, told, came = sys.gettrace(), [], False
    sys.settrace(interrupt)
    try:
        ENDS[end](promise)
    except KeyboardInterrupt:
        came = True
    finally:
        sys.settrace(before)
    assert came == (left[0] < 0)
    other = threading.Thread(target=lambda: told.append(how(promise)), daemon=True)
    other.start()
    other.join(10.0)
    assert told == [end]


def test_a_promise_is_held_by_nobody_but_its_owner():
    promise = Promise()
    promise.when_cancelled(lambda _: None)
    gone, future = weakref.ref(promise), promise.future
    gc.disable()
    try:
        del promise
        assert gone() is None
    finally:
        gc.enable()
    assert future.cancel()
