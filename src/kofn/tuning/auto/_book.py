"""What was chosen for each pool and shape of job; finding out takes little of the pool's time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...engines._delays import Delays
from ...simulation.bench import POLICIES
from ...simulation.bench._draws import draws_of
from ...simulation.bench._simulate import outcomes

SHARE = 0.02
"""Most of a pool's time that is spent on choosing."""

KEPT = 64
"""Shapes of jobs that are remembered."""

ANEW, ANEW_SHARE = 8, 0.25
"""So many jobs more, and so large a share, are a reason to choose anew."""

FEWEST = 16
"""Tasks of each worker that must be known."""

LOADING_SECONDS = 1.0
"""What it takes to load the simulation, once a process."""

Search = Generator[None, Any, Any]
"""Finds out, a step at a time. It outlives the job that began it: what it needs of a job is sent in at each step."""


@dataclass
class Book:
    """The choices of one pool: what was found, how many jobs were known when that was last tried, and what goes on."""

    kept: dict[Hashable, Any] = field(default_factory=dict)
    tried: dict[Hashable, int] = field(default_factory=dict)
    searches: dict[Hashable, Search] = field(default_factory=dict)
    spent: float = 0.0
    step: float = 0.02
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look_up(self, delays: Delays, key: Hashable, search: Callable[[], Search], sent: Any = None) -> Any:
        """What was found best for jobs like this; None as long as nothing is known.

        Goes on searching where delays have changed, as long as all of that has taken at most `SHARE` of the time that
        the pool has worked. Each step but the first of a search is sent ``sent``.
        """
        if self.lock.acquire(blocking=False):  # one thread at a time is enough
            try:
                self._go_on(delays, key, search, sent)
            finally:
                self.lock.release()
        return self.kept.get(key)

    def _go_on(self, delays: Delays, key: Hashable, search: Callable[[], Search], sent: Any) -> None:
        count = self.tried.get(key, 0)
        if delays.count < count + max(ANEW, ANEW_SHARE * count) or delays.pace.shape[1] < FEWEST:
            return
        while self.spent + self.step <= (allowed := SHARE * delays.busy) and is_ready(self, allowed):
            begun = perf_counter()
            try:
                if self._is_over(delays.count, key, search, sent):
                    return
            finally:
                self.step = perf_counter() - begun
                self.spent += self.step

    def _is_over(self, count: int, key: Hashable, search: Callable[[], Search], sent: Any) -> bool:
        """Take one step. One that fails ends the search, and all stays as it is until more is known."""
        going = self.searches.pop(key, None)  # whatever ends it, no dead search is found there
        try:
            if going is None:
                going = search()
                next(going)
            else:
                going.send(sent)
        except StopIteration as end:
            _put(self.kept, key, end.value)
        except Exception:  # the job can be done without
            text = "what is best for jobs like %s could not be found out; they are done as before"
            logging.getLogger("kofn").warning(text, key, exc_info=True)
        else:
            _put(self.searches, key, going)
            return False
        _put(self.tried, key, count)
        return True


def _put(table: dict[Hashable, Any], key: Hashable, value: Any) -> None:
    """Set an entry of a table that stays small: the oldest leave."""
    table.pop(key, None)
    table[key] = value
    for old in list(table)[:-KEPT]:
        del table[old]


_books: WeakKeyDictionary[Delays, Book] = WeakKeyDictionary()


def book_of(delays: Delays) -> Book:
    """The choices of a pool, by what it remembers."""
    return _books.setdefault(delays, Book())


class _Loading:
    """The simulation is compiled, or loaded, once a process: in the background, as it may take seconds."""

    thread: threading.Thread | None = None
    seconds = 0.0

    @classmethod
    def run(cls) -> None:
        begun = perf_counter()
        draws = draws_of(np.ones((1, 2, 1)))
        for name in ("plain", "coded", "duplicates", "mds-6-of-8"):
            rules = POLICIES[name].rules("product", 2, 1)
            assert rules is not None
            outcomes(rules, draws)
        cls.seconds = perf_counter() - begun


def is_ready(book: Book, allowed: float) -> bool:
    """Whether the simulation can be called; loads it in the background once a book can pay for that."""
    if _Loading.thread is None:
        if book.spent + LOADING_SECONDS > allowed:
            return False
        _Loading.thread = threading.Thread(target=_Loading.run, name="kofn-auto", daemon=True)
        _Loading.thread.start()
    if _Loading.thread.is_alive():
        return False
    book.spent += _Loading.seconds
    _Loading.seconds = 0.0
    return True
