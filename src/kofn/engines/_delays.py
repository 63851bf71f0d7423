"""What a pool remembers of the delays of its workers and messages, over the newest jobs."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .._base._numbers import Floats
from ..checks import refusal
from ..errors import FileError

CALL = "kofn.engines.Delays"

TASKS = 4
"""Tasks of each worker that are remembered of a job; of a long one of each quarter, eighth … of it."""

JOBS = 50
"""Jobs, or parts of long ones, that are remembered."""

AGAIN = 64
"""Tasks that were computed twice, of which both times are remembered."""

SECONDS_PER_FLOP = 1e-10
"""Ten billion operations per second and worker: what is taken for true until a product was computed."""

SLOWEST = 1e3 * SECONDS_PER_FLOP
"""No worker is taken to be slower than this: what takes longer by far is the message."""

MESSAGE_SECONDS = 1e-3
"""What a message is taken to cost until work of different sizes was done."""

WAITS = 1024
"""Messages of little work that are remembered."""

MOSTLY = 4.0
"""Where a message is away for so many times what it costs, that is taken for work."""

UNLIKE = 2.0
"""Jobs whose messages differ in work by this factor tell what a message costs beside its work."""


class Message(NamedTuple):
    """What one message to a worker has shown.

    Parameters
    ----------
    worker : int
    sent : float
        Seconds since the start of the job.
    away : float
        Seconds until it came back.
    load : float
        Work in it.
    ended : bool
        Whether it came back; otherwise ``away`` is how long nobody had heard of it in the end.
    """

    worker: int
    sent: float
    away: float
    load: float = 1.0
    ended: bool = True

    @property
    def pace(self) -> float:
        """Seconds for each unit of load."""
        return max(self.away, 1e-9) / max(self.load, 1e-12)


class Job(NamedTuple):
    """Tasks of a job, or of a part of a long one: (workers, `TASKS`) arrays.

    Parameters
    ----------
    pace : array
        In units of what is usual in the job.
    seconds : array, optional
        What each would have taken at the usual pace.
    """

    pace: Floats
    seconds: Floats | None = None


class Delays:
    """How long tasks took at the workers of a pool, in units of what they took in the median of their job.

    Bounded: the newest 50 jobs, four tasks a worker of each. Any thread may ask and add.

    Attributes
    ----------
    count : int
        Jobs that were seen so far.
    busy : float
        Seconds that these took, all together.

    Examples
    --------
    >>> delays = Delays()
    >>> delays.see(2, [Message(0, 0.0, 0.1), Message(1, 0.0, 0.4), Message(0, 0.1, 0.1)], seconds=0.5)
    >>> delays.pace.tolist()
    [[1.0, 1.0, 1.0, 1.0], [4.0, 4.0, 4.0, 4.0]]
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque(maxlen=JOBS)
        self._again: deque[tuple[float, float]] = deque(maxlen=AGAIN)
        self._waits: deque[float] = deque(maxlen=WAITS)
        self._lines: deque[tuple[float, float]] = deque(maxlen=JOBS)
        self._line = SECONDS_PER_FLOP, MESSAGE_SECONDS
        self.count = 0
        self.busy = 0.0

    # -- what is known --------------------------------------------------------------------------------

    @property
    def pace(self) -> Floats:
        """(workers, tasks) array, in the order of time, `TASKS` of each job; one without tasks before the first."""
        with self._lock:
            return np.concatenate([job.pace for job in self._jobs], axis=1) if self._jobs else np.empty((0, 0))

    @property
    def work_seconds(self) -> Floats | None:
        """(workers, tasks) array: what each task of `pace` would have taken at the usual pace; None: nobody knows.

        What is late by as many seconds whatever its load has stood still; it has not been slow.
        """
        with self._lock:
            known = [job.seconds for job in self._jobs if job.seconds is not None]
            return np.concatenate(known, axis=1) if known and len(known) == len(self._jobs) else None

    @property
    def again(self) -> Floats:
        """(pairs, 2) array: tasks that were computed twice, the first time and the second."""
        with self._lock:
            return np.array(self._again, dtype=np.float64).reshape(-1, 2)

    @property
    def seconds_per_flop(self) -> float:
        """Of one worker, in products."""
        return self._line[0]

    @property
    def message_seconds(self) -> float:
        """What a message costs beside its work."""
        return self._line[1]

    @property
    def waits(self) -> Floats:
        """(messages,) array: what messages cost beside their work, in units of `message_seconds`."""
        with self._lock:
            return np.array(self._waits, dtype=np.float64)

    # -- what is seen ---------------------------------------------------------------------------------

    def see(
        self,
        workers: int,
        messages: Sequence[Message],
        seconds: float,
        work: float | None = None,
        waits: Sequence[float] = (),
        again: Sequence[tuple[float, float]] = (),
    ) -> None:
        """Take note of a job that is over.

        Parameters
        ----------
        workers : int
        messages : sequence of Message
        seconds : float
            What the job took.
        work : float, optional
            Floating-point operations of a unit of load; None where nobody knows.
        waits : sequence of float
            Seconds that messages cost beside their work, where workers measured that.
        again : sequence of (float, float)
            Seconds per unit of load of tasks that were computed twice.
        """
        with self._lock:
            self.count += 1
            self.busy += seconds
            ended = sorted((message for message in messages if message.ended), key=lambda one: one.away)
            if not ended or not (middle := ended[len(ended) // 2]).away:
                return  # messages that take no time at all tell nothing
            if waits:
                usual = max(float(np.median(waits)), 1e-9)
                self._draw_line(0.0, usual)
                self._waits.extend(wait / usual for wait in waits)
            elif work is not None and self.count > 1:  # in the first job workers are still loading things
                self._draw_line(work * middle.load, middle.away)
            if middle.away >= MOSTLY * self.message_seconds:
                self._note_paces(workers, messages, again)
            elif not waits:
                away = _times(messages, lambda message: message.away)
                self._waits.extend(time / middle.away for time in away if time is not None)

    def _note_paces(self, workers: int, messages: Sequence[Message], again: Sequence[tuple[float, float]]) -> None:
        usual = float(np.median([message.pace for message in messages if message.ended]))
        if self._jobs and len(self._jobs[0].pace) != workers:
            self._jobs.clear()
        self._jobs.extend(_jobs(workers, messages, usual))
        self._again.extend((first / usual, second / usual) for first, second in again)

    def _draw_line(self, work: float, seconds: float) -> None:
        """A line through the medians of jobs, closest in proportion: a message costs so much, and work so much."""
        self._lines.append((work, max(seconds, 1e-9)))
        works, times = np.array(self._lines).T
        works = np.where(SLOWEST * works < times / 2, 0.0, works)
        rate, cost = self._line
        if works.max() > UNLIKE * works.min():
            sides = np.array([works / times, 1.0 / times]).T
            rate, cost = np.linalg.lstsq(sides, np.ones(len(times)), rcond=None)[0].tolist()
            cost = min(max(cost, 0.0), float(times.min()))
        elif works.max() > 0:  # of one size, they do not tell both
            rate, cost = 0.0, min(cost, float(times.min()) / 2)
        else:
            cost = float(np.median(times))
        if rate <= 0 and works.max() > 0:
            rate = float(np.median((times - cost)[works > 0] / works[works > 0]))
        self._line = max(rate, 1e-15), cost

    # -- files ----------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `pace` to a ``.npy`` file, (jobs, tasks, workers), which ``kofn bench --traces`` reads.

        Raises
        ------
        ArgumentError
            Nothing is remembered yet.
        FileError
            It cannot be written.
        """
        pace = self.pace
        if not pace.size:
            raise refusal(f"{CALL}.save", "delays", "hold a job", "none", "save them after a job of some workers")
        try:
            with Path(path).open("wb") as file:
                np.save(file, pace.T.reshape(-1, TASKS, len(pace)))
        except OSError as error:
            raise FileError(f"{CALL}.save: {path} cannot be written: {error.strerror}.") from error

    def load(self, path: str | os.PathLike[str]) -> None:
        """Remember what `save` has written, in place of what is remembered; or another trace.

        Parameters
        ----------
        path : path
            A ``.npy`` file of times for equal work, (tasks, workers) or (jobs, tasks, workers); inf or NaN where
            nothing came back.

        Raises
        ------
        ArgumentError
            It holds something else.
        """
        must, remedy = "be a .npy file of times > 0, (tasks, workers)", "write it with pool.delays.save or numpy.save"
        call = f"{CALL}.load"
        try:
            times = np.load(path).astype(np.float64, casting="same_kind")
        except Exception as error:  # NumPy's reader and parser raise anything of a file that is damaged
            raise refusal(call, "path", must, f"{path} ({error})", remedy) from None
        times[np.isnan(times)] = np.inf
        lanes = times.reshape(-1, times.shape[-1]).T if times.size and times.ndim in (2, 3) else np.empty((0, 0))
        if not lanes.size or not lanes.min() > 0 or not np.isfinite(lanes).any():
            raise refusal(call, "path", must, f"an array of shape {times.shape}", remedy)
        length = -(-lanes.shape[1] // TASKS) * TASKS
        lanes = np.take(lanes, np.arange(length), axis=1, mode="wrap") / np.median(lanes[np.isfinite(lanes)])
        with self._lock:
            self._jobs = deque(map(Job, np.split(lanes, length // TASKS, axis=1)), maxlen=JOBS)
            self._again.clear()
            self.count += 1


def _jobs(workers: int, messages: Sequence[Message], usual: float) -> list[Job]:
    """Tasks of each worker in the order of time, whole runs of `TASKS`; none where too few workers took part."""
    lanes: list[list[tuple[float, float]]] = [[] for _ in range(workers)]
    messages = sorted(messages, key=lambda one: one.sent)
    for message, pace in zip(messages, _times(messages, lambda one: one.pace), strict=True):
        if pace is not None:
            lanes[message.worker].append((pace / usual, message.load * usual))
    there = [lane for lane in lanes if lane]
    if len(there) < max(2, (workers + 1) // 2):
        return []
    runs = min(JOBS, max(1, int(np.median([len(lane) for lane in there])) // TASKS))
    places = np.arange(runs * TASKS) / (runs * TASKS)
    full = (lane or there[number % len(there)] for number, lane in enumerate(lanes))
    table = np.array([np.array(lane)[(places * len(lane)).astype(int)] for lane in full])
    return [Job(part[:, :, 0], part[:, :, 1]) for part in np.split(table, runs, axis=1)]


def _times(messages: Sequence[Message], time_of: Callable[[Message], float]) -> list[float | None]:
    """How long each took; what never came back as those that took longer, or twice as long; None: it tells nothing."""
    ended = np.sort([time_of(message) for message in messages if message.ended])

    def guess(time: float) -> float | None:
        if time <= ended[len(ended) // 2]:
            return None
        later = ended[np.searchsorted(ended, time, side="right") :]
        return float(np.median(later)) if later.size else 2.0 * time

    return [time_of(message) if message.ended else guess(time_of(message)) for message in messages]


_others: WeakKeyDictionary[Any, Delays] = WeakKeyDictionary()


def delays_of(pool: Any) -> Delays:
    """What a pool remembers: its own memory, or one that is kept for it as long as it is there.

    Examples
    --------
    >>> class Own: ...
    >>> pool = Own()
    >>> delays_of(pool) is delays_of(pool), delays_of(Own()) is delays_of(pool)
    (True, False)
    """
    found = getattr(pool, "delays", None)
    if isinstance(found, Delays):
        return found
    try:
        return _others.setdefault(pool, Delays())
    except TypeError:  # it cannot be held weakly
        return Delays()
