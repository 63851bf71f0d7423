"""The same policies with real schedulers on real processes: what the simulation leaves out is in these times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np

from ...engines._protocol import Pool
from ...errors import KofnError, NotDecodable
from ...jobs._answer import Answer
from ...jobs._plan import run
from ...jobs.report._attempt import Attempt
from ...jobs.scheduling import CUBED, FLINK, SPARK_3_5, SPARK_4, Adaptive, CodedBackups, Duplicates, Scheduler, Static
from ._backups import DUPLICATES, FRESH, NOTHING
from ._choose import Candidate
from ._draws import Draws
from ._kernel import duration
from ._late_pool import LatePool
from ._naps import NapScheme, nap_scheme
from ._policies import Policy
from ._run import Rules
from ._simulate import Outcomes

LONGEST = 12.0
"""Times of plain work after which a job is ended and counts as one that never ends."""

OF_OTHERS: Mapping[str, Scheduler] = MappingProxyType(
    {"spark-3.5": SPARK_3_5, "spark-4": SPARK_4, "flink": FLINK, "cubed": CUBED}
)
"""The rules of other systems, as schedulers."""


def scheduler_of(policy: Policy, first: float = math.inf) -> Scheduler | None:
    """The scheduler that does what a policy says; None where there is none: no task says how far it is.

    Parameters
    ----------
    policy : Policy
    first : float
        Seconds for load 1 that stand for the median until something has come back, with kofn's own rules.

    Examples
    --------
    >>> from ._policies import POLICIES
    >>> scheduler_of(POLICIES["coded"]), scheduler_of(POLICIES["hadoop"])
    (CodedBackups(base=Adaptive(batch=4), after=0.0), None)
    """
    restart_after = None if math.isinf(policy.restart) else policy.restart
    if policy.backup == NOTHING:
        return Static() if policy.static else Adaptive(policy.batch, restart_after=restart_after)
    if policy.backup in (DUPLICATES, FRESH):
        kind = CodedBackups if policy.backup == FRESH else Duplicates
        return kind(Adaptive(policy.batch), after=policy.multiplier, first=first, restart_after=restart_after)
    return OF_OTHERS.get(policy.name)


class RealWorkers:
    """Plays trials on the processes of a pool, with sleeps for work; `play` takes the place of the simulation.

    Parameters
    ----------
    pool : Pool
        Of processes of this machine that may be ended.
    seconds : float
        How long plain work takes where nothing straggles.
    tell : callable
        Called with what is played next, in words.
    """

    def __init__(self, pool: Pool, seconds: float, tell: Callable[[str], None] = lambda text: None) -> None:
        self._pool = pool
        self._seconds = seconds
        self._tell = tell

    def play(self, one: Candidate, rules: Rules, draws: Draws) -> Outcomes | None:
        """Play all trials, one after the other; None where there is no scheduler for it."""
        scheduler = scheduler_of(one.policy, rules.first * self._seconds)
        if scheduler is None:
            return None
        self._tell(f"{one}, {draws.trials} times")
        trials = [self._trial(scheduler, rules, draws, trial) for trial in range(draws.trials)]
        return Outcomes(*np.array(trials).T)

    def _trial(self, scheduler: Scheduler, rules: Rules, draws: Draws, trial: int) -> tuple[float, float, float]:
        """Its time, what was computed and what was sent."""
        workers = self._pool.n
        scheme = nap_scheme(rules, workers, draws.skew[trial], combines=rules.backup == FRESH)
        getattr(self._pool, "warm", lambda: None)()  # who was ended in the trial before is replaced before this one
        late = LatePool(self._pool, draws, trial, self._seconds)
        try:
            answer = run(scheme, late, scheduler=scheduler, deadline=LONGEST * self._seconds)
        except NotDecodable:
            return math.inf, 0.0, 0.0
        finally:
            late.close()
        work, moved = self._costs(answer.report.attempts, scheme, draws, trial)
        return self._time(answer, scheme), work / workers, moved / workers

    def _time(self, answer: Answer, scheme: NapScheme) -> float:
        if not answer.exact:
            return math.inf
        if not np.allclose(answer.value, scheme.values):
            raise KofnError("the bench: an exact answer is wrong; please report this.")
        return answer.report.seconds / self._seconds

    def _costs(self, attempts: Iterable[Attempt], scheme: NapScheme, draws: Draws, trial: int) -> tuple[float, float]:
        """Load that was computed, in parts where it was not computed to its end, and blocks that were sent."""
        messages: dict[tuple[int, float], list[Attempt]] = {}
        for attempt in sorted(attempts, key=lambda attempt: attempt.submitted):
            messages.setdefault((attempt.worker, attempt.submitted), []).append(attempt)
        work, moved, count = 0.0, 0.0, [0] * self._pool.n
        of_row = [(1, float(skew)) for skew in scheme.skew] + scheme.made
        for (worker, submitted), rows in messages.items():
            skewed = sum(of_row[attempt.row][1] * attempt.load for attempt in rows)
            begun = submitted / self._seconds
            length = duration(draws, trial, worker, count[worker], skewed, begun)
            share = (rows[0].ended / self._seconds - begun) / length
            count[worker] += 1
            work += sum(attempt.load for attempt in rows) * min(1.0, share)
            moved += sum(of_row[attempt.row][0] * attempt.load for attempt in rows)
        return work, moved
