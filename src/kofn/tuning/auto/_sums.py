"""How a sum is done where nobody says how."""

from __future__ import annotations

from functools import partial

from ...engines._delays import Delays
from ...jobs._options import Options
from ...jobs.scheduling._backups import FIRST_SECONDS
from ...simulation.bench import Choice
from ._book import book_of
from ._search import best_way
from ._way import NOT_YET, UNKNOWN, USUAL, Way, expected_of, tasks_told, told, usual_scheduler, way_scheduler

ESTIMATED = "of sums, deadlines, tolerances and stop rules are not weighed"


def sum_way(terms: int, workers: int, delays: Delays, options: Options) -> Way:
    """Choose into how many shares the terms of a sum are dealt, and the scheduler.

    What is not linear is backed up by duplicates. How long terms take is not known before, so expected times are in
    units of what they take where nothing straggles.

    Parameters
    ----------
    terms, workers : int
    delays : Delays
        Of these workers.
    options : Options
        With ``scheduler="auto"``; another one is kept.

    Examples
    --------
    >>> way = sum_way(1000, 8, Delays(), Options())
    >>> way.code, way.rows, way.why
    ('uncoded', 32, 'took duplicates, 4 tasks a worker: no delays of these workers are known yet')
    """
    if options.scheduler != "auto":
        return Way(
            "uncoded", min(USUAL * workers, terms), options.scheduler, "took plain rows: the scheduler was named"
        )
    estimated = options.deadline is not None or options.tolerance > 0 or options.stop is not None
    found: Choice | None = None
    if workers > 1 and terms > workers and not estimated:
        search = partial(best_way, delays, workers, "sum", options.aim, terms / workers, None, 1.0, ends=False)
        found = book_of(delays).look_up(delays, ("sum", terms, workers, options.aim), search)
    if found is None:
        rows = min(USUAL * workers, terms)
        known = ESTIMATED if estimated else NOT_YET if delays.pace.size else UNKNOWN
        why = f"took duplicates, {tasks_told(max(1, rows // workers))}: {known}"
        return Way("uncoded", rows, usual_scheduler("sum", FIRST_SECONDS), why)
    one, (which, expected, plain) = found.candidate, expected_of(found, options.aim)
    figures = f"expected {which} {expected:.2g}, plain {plain:.2g}, where 1 is work without stragglers"
    why = f"took {told(one)}: {figures}"
    return Way("uncoded", min(workers * one.tasks * one.policy.batch, terms), way_scheduler(one, FIRST_SECONDS), why)
