"""A round is played: its jobs run in threads, mishaps befall them, and nothing may hang or be left."""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...engines._protocol import Pool, WorkerState
from ...errors import KofnError
from ...jobs._answer import Answer
from .._belongings import everything, left_since
from ..faults import Corrupting
from ._draws import Case, Round
from ._faces import play
from ._fits import misfit
from ._mishaps import Mishaps

PATIENCE = 60.0
"""Seconds after which a job hangs."""

LEAK_PATIENCE = 10.0
"""Seconds that what a closed pool leaves has to go by itself."""


@dataclass(frozen=True)
class Result:
    """What came of a job, or of what was looked at after a round.

    Parameters
    ----------
    case : int
        Number of the job; -1 of none.
    kind : str
        "exact", "estimate" or the name of an error that fits; or "wrong", "misfit", "hung", "left".
    text : str
        What went wrong, or what an error said.
    off : float, optional
        Squared error of an estimate over what was expected.
    """

    case: int
    kind: str
    text: str = ""
    off: float | None = None

    @property
    def is_fault(self) -> bool:
        """Whether kofn is to blame."""
        return self.kind in FAULTS


FAULTS = ("wrong", "misfit", "hung", "left")


def play_round(
    round: Round, make_pool: Callable[[int], Pool], watch: Callable[[Answer], object], on_a_cluster: bool = False
) -> list[Result]:
    """Play a round on a pool that is made for it, close the pool, and look at what is left."""
    before = everything(on_a_cluster)
    pool = _dressed(make_pool(round.workers), round)
    try:
        results = _play_all(round, pool, watch)
    finally:
        pool.close()
    del pool
    left = await_nothing_left(before, on_a_cluster)
    return results + ([Result(-1, "left", f"round {round.number} leaves {sorted(left)}")] if left else [])


def await_nothing_left(before: set[str], on_a_cluster: bool = False) -> set[str]:
    """What is new since then and does not go."""
    until = time.monotonic() + LEAK_PATIENCE
    while True:
        gc.collect()
        left = left_since(before, everything(on_a_cluster))
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.02)


def _dressed(pool: Pool, round: Round) -> Pool:
    pool = Mishaps(pool, round.chances, round.seed)
    return Corrupting(pool, round.wrong, round.seed) if round.wrong else pool


def _play_all(round: Round, pool: Pool, watch: Callable[[Answer], object]) -> list[Result]:
    """In so many threads, of which each takes the next job; and whatever else befalls the pool, in threads too."""
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in round.cases:
        waiting.put(case)
    results: list[Result] = []
    at_work: dict[int | None, tuple[Case, float]] = {}
    hands = [
        threading.Thread(target=_work, args=(round, pool, waiting, results, at_work, watch), daemon=True)
        for _ in range(round.threads)
    ]
    timers = [threading.Timer(seconds, trouble) for seconds, trouble in _troubles(round, pool)]
    for thread in (*hands, *timers):
        thread.start()
    if round.forks:
        results += _fork(pool, round)
    hung = _await(hands, at_work)
    for timer in timers:
        timer.cancel()
        timer.join()
    return results + hung


def _work(round: Round, pool: Pool, waiting: Any, results: list[Result], at_work: Any, watch: Any) -> None:
    me = threading.get_ident()
    with suppress(queue.Empty):
        while True:
            case = waiting.get_nowait()
            at_work[me] = case, time.monotonic()
            result = play_case(case, round, pool, watch)
            if at_work.pop(me, None) is None:
                return  # was given up as hung
            results.append(result)


def play_case(case: Case, round: Round, pool: Pool, watch: Callable[[Answer], object]) -> Result:
    """Play one job, and judge what comes of it."""
    try:
        kind, off = play(case, pool, watch)
    except AssertionError as error:
        return Result(case.number, "wrong", f"{error} {case}")
    except BaseException as error:
        if why := misfit(error, case, round):
            told = "".join(traceback.format_exception(error))
            return Result(case.number, "misfit", f"{why}: {case}\n{told}")
        return Result(case.number, type(error).__name__, str(error))
    return Result(case.number, kind, off=off)


def _await(hands: list[threading.Thread], at_work: dict[int | None, tuple[Case, float]]) -> list[Result]:
    hung: list[Result] = []
    while any(hand.is_alive() for hand in hands):
        for hand in hands:
            hand.join(0.05)
        for me, (case, since) in list(at_work.items()):
            if time.monotonic() - since > PATIENCE and at_work.pop(me, None) is not None:
                hands = [hand for hand in hands if hand.ident != me]
                hung.append(Result(case.number, "hung", f"{case}\n{stacks()}"))
    return hung


def stacks() -> str:
    """Where every thread of this program is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames().items()
    return "\n".join(f"{names.get(me)}:\n{''.join(traceback.format_stack(frame))}" for me, frame in frames)


# -- what befalls a pool ------------------------------------------------------------------------------


def _troubles(round: Round, pool: Pool) -> list[tuple[float, Callable[[], object]]]:
    troubles: list[tuple[float, Callable[[], object]]] = []
    if round.closed_after is not None:
        troubles.append((round.closed_after, pool.close))
    return troubles + [(seconds, partial(_kill, pool, worker)) for seconds, worker in round.killed]


def _kill(pool: Any, worker: int) -> None:
    with suppress(ProcessLookupError, KofnError):
        process = pool.pids()[worker]
        if process is not None:
            os.kill(process, signal.SIGKILL)


def _fork(pool: Pool, round: Round) -> list[Result]:
    """Fork while jobs run; the child finds the pool closed, and ends."""
    process = os.fork()
    if not process:
        code = 1
        with suppress(BaseException):
            code = 0 if pool.state(0) == WorkerState.DEAD and _is_refused(pool) else 2
        os._exit(code)
    until = time.monotonic() + PATIENCE
    while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0):
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return [Result(-1, "hung", f"a fork in round {round.number}")]
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(ended[1])
    return [] if code == 0 else [Result(-1, "misfit", f"a fork in round {round.number} could use the pool ({code})")]


def _is_refused(pool: Pool) -> bool:
    try:
        pool.submit(0, int)
    except KofnError:
        return True
    return False
