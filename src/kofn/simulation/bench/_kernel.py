"""Many trials of one policy, event by event; a test holds it to `kofn.jobs._state.RunState`."""

from __future__ import annotations

import numpy as np

from ..._base._numba import compiled
from ..._base._numbers import Floats
from ._backups import NOTHING, backup, holds, next_backup, next_slow
from ._draws import Draws
from ._run import (
    ABSENT,
    ARRIVED,
    BUSY,
    GONE,
    IDLE,
    MOVED,
    PLAIN,
    SECONDS,
    STARTED,
    WAITING,
    WORK,
    Rules,
    Run,
    measure,
    median,
    put_back,
    reset,
    take,
    waits_for,
)

NEVER, ARRIVES, COMES, LOOK = range(4)
"""What can happen next."""


@compiled
def duration(draws: Draws, trial: int, worker: int, attempt: int, load: float, now: float) -> float:
    """Seconds until a message that is sent now comes back; inf for never."""
    pace = draws.pace[trial, worker, attempt % draws.pace.shape[2]]
    seconds = draws.message[trial, worker, attempt % draws.message.shape[2]] + pace * load
    stands, stood = draws.pause_at[trial, worker], draws.pause[trial, worker]
    if now < stands < now + seconds:
        seconds += stood
    elif stands <= now < stands + stood:
        seconds += stands + stood - now
    return float(np.inf if now + seconds > draws.death[trial, worker] else seconds)


@compiled
def assign(rules: Rules, run: Run, worker: int, now: float) -> bool:
    """Let a worker have rows that wait for it, rows that wait for a busy one, or a backup; whether there was any."""
    if waits_for(run, worker) >= 0:
        take(rules, run, worker, worker)
        return True
    if rules.steals:
        for owner in range(len(run.state)):
            row = waits_for(run, owner)
            if row >= 0 and run.state[owner] != IDLE and holds(rules, run, worker, row):
                take(rules, run, worker, owner)
                return True
    row = backup(rules, run, worker, now)
    if row < 0:
        return False
    if waits_for(run, run.owner[row]) == row and run.copies[row] == 0 and row < rules.rows:
        take(rules, run, worker, run.owner[row])
    else:
        run.rows[worker, 0], run.size[worker] = row, 1
        if row >= rules.rows:
            run.owner[row] = worker
    return True


@compiled
def send(rules: Rules, draws: Draws, trial: int, run: Run, worker: int, now: float) -> None:
    """Let a worker begin with the rows that it has."""
    load, skewed, blocks = 0.0, 0.0, 0.0
    for place in range(run.size[worker]):
        row, cost = run.rows[worker, place], rules.load
        if row < rules.rows:
            cost *= 1.0 if holds(rules, run, worker, row) else 1.0 + rules.move
        load += cost
        skewed += cost * run.skew[row]
        blocks += rules.needed - run.counts[PLAIN] if row >= rules.rows else 1
        run.copies[row] += 1
    seconds = duration(draws, trial, worker, run.attempt[worker], skewed, now)
    run.state[worker], run.load[worker] = BUSY, load
    run.began[worker], run.ends[worker] = now, now + seconds
    run.attempt[worker] += 1
    run.counts[STARTED] += 1
    if rules.holders == 0 or load > rules.load * run.size[worker]:
        run.total[MOVED] += blocks * rules.load


@compiled
def ask(rules: Rules, draws: Draws, trial: int, run: Run, now: float) -> None:
    """Ask what each idle worker is given, in turn; once more who waited before another was given something."""
    asks_again = True
    while asks_again:
        asks_again = has_waited = False
        for worker in range(len(run.state)):
            if run.state[worker] != IDLE:
                continue
            waiting = run.counts[WAITING]
            if assign(rules, run, worker, now):
                send(rules, draws, trial, run, worker, now)
                asks_again = has_waited
            elif waiting == 0 and rules.holders == 0:
                return  # it depends on nothing that is this worker's own, so the others are given nothing either
            else:
                has_waited = True


@compiled
def release(rules: Rules, run: Run, worker: int, now: float, state: int) -> None:
    """Let a worker compute nothing more; what it did counts as work."""
    seconds = run.ends[worker] - run.began[worker]
    if seconds < np.inf:
        run.total[WORK] += run.load[worker] * (min(1.0, (now - run.began[worker]) / seconds) if seconds > 0 else 1.0)
    for place in range(run.size[worker]):
        run.copies[run.rows[worker, place]] -= 1
    run.state[worker], run.size[worker], run.ends[worker] = state, 0, np.inf


@compiled
def is_useless(run: Run, worker: int) -> bool:
    """Whether all that a worker computes has come from elsewhere."""
    for place in range(run.size[worker]):
        row = run.rows[worker, place]
        if not run.received[row]:
            return False
    return bool(run.state[worker] == BUSY)


@compiled
def arrive(rules: Rules, run: Run, worker: int, now: float) -> None:
    """Take results in, and end what nobody needs any more."""
    seconds, news = (now - run.began[worker]) / run.load[worker], 0
    for place in range(run.size[worker]):
        row = run.rows[worker, place]
        if not run.received[row]:
            news += 1
            run.counts[PLAIN] += row < rules.rows
        run.received[row] = True
    release(rules, run, worker, now, IDLE)
    measure(run, seconds)
    run.counts[ARRIVED] += news
    run.total[SECONDS] += news * seconds
    for other in range(len(run.state)):
        if rules.cancels and is_useless(run, other):
            release(rules, run, other, now, IDLE)


@compiled
def holds_all(rules: Rules, run: Run, worker: int, other: int, size: int) -> bool:
    """Whether a worker has the data of all rows of another."""
    held = 0
    for place in range(size):
        held += holds(rules, run, worker, run.rows[other, place])
    return held == size


@compiled
def restart(rules: Rules, draws: Draws, trial: int, run: Run, worker: int, now: float) -> None:
    """End a message that takes too long, and let its rows wait again, best for another worker that is idle."""
    size, heir = run.size[worker], -1
    release(rules, run, worker, now, GONE if draws.death[trial, worker] < now else IDLE)
    for other in range(len(run.state) - 1, -1, -1):
        if other != worker and run.state[other] == IDLE and holds_all(rules, run, other, worker, size):
            heir = other
    for place in range(size - 1, -1, -1):
        row = run.rows[worker, place]
        run.restarts[row] += 1
        if heir >= 0 and not run.received[row] and run.copies[row] == 0:
            run.owner[row] = heir
        put_back(run, row)


@compiled
def limit(rules: Rules, run: Run, worker: int) -> float:
    """When a message has taken too long: twice as long for each time that a row of it was ended before."""
    most = 0
    for place in range(run.size[worker]):
        most = max(most, run.restarts[run.rows[worker, place]])
    return float(run.began[worker] + rules.restart * 2.0**most * median(run) * run.load[worker])


@compiled
def next_limit(rules: Rules, run: Run) -> float:
    """When the next message has taken too long; inf for never."""
    when = np.inf
    if rules.restart < np.inf:
        for worker in range(len(run.state)):
            if run.state[worker] == BUSY:
                when = min(when, limit(rules, run, worker))
    return when


@compiled
def restart_all(rules: Rules, draws: Draws, trial: int, run: Run, now: float) -> None:
    """End all that has taken too long, in the order in which it was begun."""
    while rules.restart < np.inf:
        chosen = -1
        for worker in range(len(run.state)):
            is_due = run.state[worker] == BUSY and limit(rules, run, worker) <= now
            if is_due and (chosen < 0 or run.began[worker] < run.began[chosen]):
                chosen = worker
        if chosen < 0:
            return
        restart(rules, draws, trial, run, chosen, now)


@compiled
def next_event(rules: Rules, draws: Draws, trial: int, run: Run, now: float) -> tuple[int, int, float]:
    """What happens next, to which worker, and when."""
    what, who, when, is_idle = NEVER, 0, np.inf, False
    for worker in range(len(run.state)):
        if run.ends[worker] < when:
            what, who, when = ARRIVES, worker, run.ends[worker]
        is_idle = is_idle or run.state[worker] == IDLE
    for worker in range(len(run.state)):
        if run.state[worker] == ABSENT and draws.start[trial, worker] < when:
            what, who, when = COMES, worker, draws.start[trial, worker]
    due = next_limit(rules, run)
    if due < when:
        what, when = LOOK, due
    if is_idle and rules.backup != NOTHING:
        look = min(next_slow(rules, run, now), next_backup(rules, run, now))
        if look < when:
            what, when = LOOK, look
    return what, who, when


@compiled
def play(rules: Rules, draws: Draws, trial: int, run: Run) -> float:
    """One trial; the time at which it is done, inf for never."""
    reset(rules, run, draws.start[trial], draws.skew[trial])
    now = 0.0
    while True:
        restart_all(rules, draws, trial, run, now)
        ask(rules, draws, trial, run, now)
        what, who, when = next_event(rules, draws, trial, run, now)
        if what == NEVER:
            return np.inf
        now = when
        if what == ARRIVES:
            arrive(rules, run, who, now)
            if run.counts[ARRIVED] >= rules.needed:
                return now
        elif what == COMES:
            run.state[who] = IDLE


@compiled
def play_all(rules: Rules, draws: Draws, run: Run, times: Floats, work: Floats, moved: Floats) -> None:
    """All trials; ``times``, ``work`` and ``moved`` are filled, one number each."""
    for trial in range(len(times)):
        times[trial] = now = play(rules, draws, trial, run)
        for worker in range(len(run.state)):
            if run.state[worker] == BUSY:
                release(rules, run, worker, now, IDLE)
        work[trial], moved[trial] = run.total[WORK], run.total[MOVED]
