"""A run as one page that needs no network, no script and no picture file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import get_args

import numpy as np

from .._collector import Progress
from ._attempt import Attempt, Outcome
from ._drawing import LEFT, WIDTH, axis, picture, table, text
from ._estimates import estimates_over_time
from ._style import STYLE
from ._workers import TOLD, WorkerTimes, worker_times

TALL = 700.0
"""Height of a timeline, unless lanes would be too thin to be seen."""

TITLED = 2000
"""Bars up to which each tells what it is when it is pointed at; more would make the page heavy."""

LISTED = 200
"""Rows of a table that are written out; all of them are in the JSON beside the page."""


@dataclass(frozen=True)
class Shown:
    """What a page shows.

    Parameters
    ----------
    code : str
    workers : int
    attempts : sequence of Attempt
    seconds : float
        When the answer was there.
    told : sequence of str
        What there is to say in words.
    sizes : mapping
        Bytes of what was encoded, moved and kept, by name.
    estimates : sequence of Progress
        How good the estimate was, whenever it was looked at.
    """

    code: str
    workers: int
    attempts: Sequence[Attempt]
    seconds: float
    told: Sequence[str]
    sizes: Mapping[str, int]
    estimates: Sequence[Progress] = ()

    @cached_property
    def times(self) -> list[WorkerTimes]:
        """How fast each worker was."""
        return worker_times(self.workers, self.attempts)


def page(run: Shown) -> str:
    """The whole page, in the reader's light or dark colours."""
    title = escape(f"kofn: {run.code} on {run.workers} workers")
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{view}<title>{title}</title>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{fragment(run)}</body></html>\n'


def fragment(run: Shown) -> str:
    """What a notebook shows, and what the page is made of."""
    parts = (
        f"<h1>{escape(run.code)} on {run.workers} workers</h1>",
        _told(run),
        _section("Timeline", _legend(run.attempts) + _timeline(run)),
        _section("Results over time", _arrivals(run)),
        _section("Error of the estimate over time", estimates_over_time(run.estimates, run.seconds)),
        _section("Delays by worker", _delays(run.times)),
        _section("Data and memory", _data(run)),
        _section("Every task", _attempts(run)),
    )
    return f'<main class="kofn-report"><style>{STYLE}</style>{"".join(parts)}</main>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _told(run: Shown) -> str:
    """What there is to say in words."""
    slow = sorted((one for one in run.times if one.is_slow), key=lambda one: -one.ratio)
    late = [f"{one}{_and_was_not_waited_for(one, run)}." for one in slow[:5]]
    more = [f"{len(slow) - 5} more workers were slow."] if len(slow) > 5 else []
    lines = [*run.told, *late, *more]
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _and_was_not_waited_for(one: WorkerTimes, run: Shown) -> str:
    running = [a for a in run.attempts if a.worker == one.worker and a.outcome == "abandoned"]
    if not running:
        return ""
    return f", and was still at row {running[-1].row} after {running[-1].seconds:.3g} s: nobody waited for it"


def _legend(attempts: Sequence[Attempt]) -> str:
    seen = {attempt.outcome for attempt in attempts}
    keys = (f'<span class="key {kind}">{kind}</span>' for kind in get_args(Outcome) if kind in seen)
    return f'<p class="legend">{" ".join(keys)}</p>'


def _timeline(run: Shown) -> str:
    """One lane a worker, one bar a task."""
    if not run.attempts:
        return "<p>No task was given out.</p>"
    lane = min(22.0, max(0.7, TALL / run.workers))
    end = max(run.seconds, *(attempt.ended for attempt in run.attempts)) or 1.0
    across = (WIDTH - LEFT - 4.0) / end
    height = lane * run.workers + 24.0
    draw = _titled if len(run.attempts) <= TITLED else _together
    bars = draw(run.attempts, lane, across)
    ready = LEFT + run.seconds * across
    line = f'<line class="ready" x1="{ready:.1f}" x2="{ready:.1f}" y1="0" y2="{height - 20:.1f}"/>'
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if step * lane >= 14.0 or step == 1000)
    names = (text(50.0, (w + 0.7) * lane, str(w), "end") for w in range(0, run.workers, step))
    ready_after = f"the answer was there after {run.seconds:.3g} seconds"
    label = f"Timeline of {len(run.attempts)} tasks on {run.workers} workers; {ready_after}"
    return picture(height, label, bars, line, *names, axis(end, across, height))


def _titled(attempts: Iterable[Attempt], lane: float, across: float) -> str:
    """Bars that tell what they are."""
    return "".join(
        f'<path class="{a.outcome}" d="{_bar(a, lane, across)}"><title>row {a.row}, worker {a.worker}: '
        f"{a.submitted:.4g} s to {a.ended:.4g} s, {a.outcome}</title></path>"
        for a in attempts
    )


def _together(attempts: Sequence[Attempt], lane: float, across: float) -> str:
    """All bars of a colour in one shape."""
    shapes = (
        (kind, "".join(_bar(a, lane, across) for a in attempts if a.outcome == kind)) for kind in get_args(Outcome)
    )
    return "".join(f'<path class="{kind}" d="{shape}"/>' for kind, shape in shapes if shape)


def _bar(attempt: Attempt, lane: float, across: float) -> str:
    gap = 0.12 * lane if lane > 2.0 else 0.0
    left, top = LEFT + attempt.submitted * across, attempt.worker * lane + gap
    return f"M{left:.1f} {top:.1f}h{max(attempt.seconds * across, 0.3):.1f}v{lane - 2 * gap:.1f}H{left:.1f}z"


def _arrivals(run: Shown) -> str:
    """How many results had arrived at any time."""
    times = np.sort([attempt.ended for attempt in run.attempts if attempt.outcome == "arrived"])
    if not times.size:
        return ""
    end = max(run.seconds, float(times[-1])) or 1.0
    across, height = (WIDTH - LEFT - 4.0) / end, 160.0
    up = (height - 34.0) / times.size
    steps = "".join(
        f"H{LEFT + t * across:.1f}V{height - 24.0 - (i + 1) * up:.1f}" for i, t in enumerate(times.tolist())
    )
    curve = f'<path class="curve" d="M56 {height - 24.0:.1f}{steps}"/>'
    counts = text(50.0, 14.0, str(times.size), "end") + text(50.0, height - 24.0, "0", "end")
    label = f"{times.size} results arrived within {end:.3g} seconds"
    return picture(height, label, curve, counts, axis(end, across, height))


def _delays(times: Sequence[WorkerTimes]) -> str:
    """A table of workers, the slow ones first."""
    order = sorted(times, key=lambda one: (-one.ratio if one.ratio == one.ratio else math.inf, one.worker))
    rows = [
        (one.worker, one.tasks, one.running, *map(_seconds, (one.median, one.p90, one.longest)), _ratio(one.ratio))
        for one in order[:LISTED]
    ]
    note = "<p>Seconds for one unit of load; a task that was not waited for counts with the time that it had taken.</p>"
    head = ("worker", "ended", "not waited for", "median", "90 %", "longest", "times the usual")
    return note + table("Delays by worker", head, rows, len(times))


def _data(run: Shown) -> str:
    return table("Data and memory", ("what", "size"), [(what, size_text(size)) for what, size in run.sizes.items()])


def _attempts(run: Shown) -> str:
    rows = [
        (a.row, a.worker, f"{a.load:.3g}", f"{a.submitted:.4f} s", f"{a.ended:.4f} s", a.outcome)
        for a in run.attempts[:LISTED]
    ]
    listed = table("Tasks", ("row", "worker", "load", "given out", "ended", "outcome"), rows, len(run.attempts))
    return f"<details><summary>{len(run.attempts)} tasks</summary>{listed}</details>"


def _seconds(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g} s"


def _ratio(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.2f}" if value <= TOLD else f"more than {TOLD:.0f}"


def size_text(size: float) -> str:
    """Write a number of bytes.

    Examples
    --------
    >>> size_text(0), size_text(1234), size_text(5.6e9)
    ('0 B', '1.2 kB', '5.6 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")
