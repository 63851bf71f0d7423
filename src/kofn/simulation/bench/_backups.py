"""What an idle worker does when no row waits: the rules of four systems, and kofn's own.

The rules of others are those of their main branches in 2025. Each is shown in its best light: it looks all the time,
where Spark looks every 100 ms, Flink every second, Cubed every 2 and Hadoop every 1 to 15; floors in absolute time,
such as Flink's minute, are left out; and what a copy has made useless is ended at once.

* Spark, ``TaskSetManager.checkSpeculatableTasks``: once a share of the tasks has succeeded (0.75, from version 4 on
  0.9), a task of which one copy runs is copied when it has run for longer than the median of those that succeeded
  times a factor (1.5, from version 4 on 3).
* Flink, ``ExecutionTimeBasedSlowTaskDetector``: the same with 0.75 and 1.5, but the median is that of the shortest 0.75
  of all, so it is lower.
* Cubed, ``cubed.runtime.backup.should_launch_backup``: from 10 tasks on, when half of them have ended, what runs for
  longer than 3 times the duration at that half is copied.
* Hadoop, ``DefaultSpeculator`` with ``LegacyTaskRuntimeEstimator``: from 5 % on, the task whose estimated end lies
  furthest behind that of a copy, which takes the mean. Tasks say how far they are, and this is taken as true. At most
  ten copies run, or 10 % of what runs.
"""

from __future__ import annotations

import numpy as np

from ..._base._numba import compiled
from ..._base._numbers import Floats
from ._run import ARRIVED, BUSY, KNOWN, PLAIN, SECONDS, Rules, Run, combined, median, waits_for

NOTHING, SPARK, FLINK, CUBED, HADOOP, DUPLICATES, FRESH = range(7)

FEWEST = 0.05
"""Share of tasks that must be complete before Hadoop copies any."""

MOST, MOST_SHARE = 10, 0.1
"""Copies that Hadoop lets run at most, or which share of what runs."""


@compiled
def slow_from(rules: Rules, run: Run) -> float:
    """Seconds for load 1 from which on a message counts as slow; inf for never, or not yet."""
    if rules.backup not in (SPARK, FLINK, CUBED):
        return np.inf
    share, known = rules.quantile * rules.rows, run.counts[KNOWN]
    if rules.rows < rules.minimum or run.counts[ARRIVED] < max(1, int(np.floor(share))) or known == 0:
        return np.inf
    if rules.backup == SPARK:
        return rules.multiplier * median(run)
    place = int(np.floor(share + 0.5)) // 2 if rules.backup == FLINK else int(np.ceil(share)) - 1
    return float(rules.multiplier * run.known[min(max(0, place), known - 1)])


@compiled
def alone(rules: Rules, run: Run, worker: int) -> int:
    """The first row of a worker that is wanted and that nobody else computes; -1 for none."""
    if run.state[worker] == BUSY:
        for place in range(run.size[worker]):
            row = run.rows[worker, place]
            if not run.received[row] and run.copies[row] == 1:
                return int(row)
    return -1


@compiled
def holds(rules: Rules, run: Run, worker: int, row: int) -> bool:
    """Whether the data of a row are at a worker."""
    workers = len(run.state)
    return rules.holders == 0 or (worker - row) % workers < rules.holders


@compiled
def next_slow(rules: Rules, run: Run, now: float) -> float:
    """When the next row may be copied; inf for never."""
    limit, soonest = slow_from(rules, run), np.inf
    if limit == np.inf:
        return soonest
    for worker in range(len(run.state)):
        if alone(rules, run, worker) >= 0:
            due = run.began[worker] + limit * run.load[worker]
            if now < due < soonest:
                soonest = due
    return soonest


@compiled
def or_behind(rules: Rules, run: Run, worker: int) -> int:
    """What to copy of a slow worker: a row that waits for it, best; otherwise what it computes."""
    if worker < 0:
        return -1
    waiting = waits_for(run, worker)
    return waiting if waiting >= 0 else alone(rules, run, worker)


@compiled
def oldest_slow(rules: Rules, run: Run, now: float) -> int:
    """The row that is due for a copy, of the worker that began first; -1 for none."""
    limit, chosen = slow_from(rules, run), -1
    if limit == np.inf:
        return -1
    for worker in range(len(run.state)):
        is_slow = alone(rules, run, worker) >= 0 and run.began[worker] + limit * run.load[worker] <= now
        if is_slow and (chosen < 0 or run.began[worker] < run.began[chosen]):
            chosen = worker
    return or_behind(rules, run, chosen)


@compiled
def furthest_behind(rules: Rules, run: Run, now: float) -> int:
    """The row that Hadoop would copy; -1 for none."""
    chosen, copied, busy = -1, 0, 0
    arrived = run.counts[ARRIVED]
    if arrived < max(1.0, FEWEST * rules.rows):
        return -1
    copy_ends = now + run.total[SECONDS] / arrived * rules.load * (1.0 + rules.move)
    for worker in range(len(run.state)):
        is_alone = alone(rules, run, worker) >= 0
        if run.state[worker] == BUSY:
            busy += 1
            copied += not is_alone
        if is_alone and run.ends[worker] > copy_ends and (chosen < 0 or run.ends[worker] > run.ends[chosen]):
            chosen = worker
    return or_behind(rules, run, chosen) if copied // 2 < max(MOST, MOST_SHARE * busy) else -1


@compiled
def late_after(rules: Rules, run: Run) -> float:
    """Seconds for load 1 after which kofn's own rules call a row late; 0 for at once, inf for not yet."""
    if rules.multiplier == 0:
        return 0.0
    pace = median(run)
    return float(rules.multiplier * (rules.first if pace == np.inf else pace))


@compiled
def late_at(rules: Rules, run: Run, worker: int, place: int, after: float) -> float:
    """When a row that a worker computes is late: rows of one message are computed one after another."""
    before = 0.0
    for _ in range(place + 1):
        before += rules.load
    return float(run.began[worker] + (after * before if after > 0 else 0.0))


@compiled
def newest_late_at(rules: Rules, run: Run, row: int, after: float) -> float:
    """When the copy of a row that is late last of all is late; -inf where nobody computes it."""
    newest = -np.inf
    for worker in range(len(run.state)):
        for place in range(run.size[worker]):
            if run.rows[worker, place] == row:
                newest = max(newest, late_at(rules, run, worker, place, after))
    return newest


@compiled
def fewest_copies(rules: Rules, run: Run, worker: int, now: float) -> int:
    """The late row that the fewest others compute, of several the one that is late longest; -1 for none."""
    after, chosen, fewest, longest = late_after(rules, run), -1, 0, 0.0
    for other in range(len(run.state)):
        for place in range(run.size[other]):
            row = run.rows[other, place]
            if run.received[row] or not holds(rules, run, worker, row):
                continue
            copies = run.copies[row]
            if chosen >= 0 and copies > fewest:
                continue
            due = late_at(rules, run, other, place, after) if copies == 1 else newest_late_at(rules, run, row, after)
            is_first = copies < fewest or due < longest or (due == longest and row < chosen)
            if due <= now and (chosen < 0 or is_first):
                chosen, fewest, longest = row, copies, due
    return chosen


@compiled
def lates(rules: Rules, run: Run) -> Floats:
    """When each row that is computed and has not come is late, the last one first."""
    after, found = late_after(rules, run), np.empty(run.rows.size)
    count = 0
    for worker in range(len(run.state)):
        for place in range(run.size[worker]):
            row = run.rows[worker, place]
            due = late_at(rules, run, worker, place, after)
            if run.copies[row] > 1:
                newest = newest_late_at(rules, run, row, after)
                due = newest if due == newest and is_first_of(rules, run, row, worker, newest, after) else -np.inf
            if not run.received[row] and due > -np.inf:
                found[count] = due
                count += 1
    return np.sort(found[:count])[::-1]


@compiled
def is_first_of(rules: Rules, run: Run, row: int, worker: int, newest: float, after: float) -> bool:
    """Whether no worker before this one has a copy of a row that is late as late."""
    for other in range(worker):
        for place in range(run.size[other]):
            if run.rows[other, place] == row and late_at(rules, run, other, place, after) == newest:
                return False
    return True


@compiled
def short_at(rules: Rules, run: Run, now: float) -> float:
    """When fewer rows are in time than are needed."""
    late, needed = lates(rules, run), rules.needed - run.counts[ARRIVED]
    return float(late[needed - 1]) if len(late) >= needed else now


@compiled
def next_backup(rules: Rules, run: Run, now: float) -> float:
    """When kofn's own rules may give something to an idle worker next; inf for never."""
    if rules.multiplier == 0 or rules.backup not in (DUPLICATES, FRESH):
        return np.inf
    if rules.backup == FRESH:
        due = short_at(rules, run, now)
        return due if due > now else np.inf
    soonest = np.inf
    for due in lates(rules, run):
        if now < due < soonest:
            soonest = due
    return soonest


@compiled
def only_missing(rules: Rules, run: Run) -> int:
    """The only row that has not come, of which a combination is a copy; -1 where nobody computes it nor could."""
    for row in range(rules.rows):
        if not run.received[row]:
            return row if run.copies[row] or waits_for(run, run.owner[row]) == row else -1
    return -1


@compiled
def backup(rules: Rules, run: Run, worker: int, now: float) -> int:
    """What a worker for which no row waits is given: a row that waits or is computed, a combination, or -1."""
    if rules.backup == NOTHING:
        return -1
    if rules.backup == FRESH:
        if rules.multiplier > 0 and short_at(rules, run, now) > now:
            return -1
        return only_missing(rules, run) if run.counts[PLAIN] == rules.rows - 1 else combined(rules, run)
    if rules.backup == DUPLICATES:
        return fewest_copies(rules, run, worker, now)
    if rules.backup == HADOOP:
        return furthest_behind(rules, run, now)
    return oldest_slow(rules, run, now)
