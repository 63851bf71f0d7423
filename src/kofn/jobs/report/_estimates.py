"""The error of the estimate over time, as a picture and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .._collector import Progress
from ._drawing import LEFT, WIDTH, axis, picture, table, text

HEIGHT, BELOW = 180.0, 24.0
"""Of the picture, and of the times under it."""

LISTED = 100
"""Estimates that are written out; all are in the JSON beside the page."""


def estimates_over_time(estimates: Sequence[Progress], seconds: float) -> str:
    """A curve that falls, on a scale of powers of ten, to the line of what is exact; empty where nobody looked.

    Parameters
    ----------
    estimates : sequence of Progress
    seconds : float
        When the answer was there.

    Examples
    --------
    >>> estimates_over_time([], 1.0)
    ''
    >>> "exact after 2 seconds" in estimates_over_time([Progress(1, 4, 1, 3, 0.5, False, 1.0),
    ...                                                Progress(3, 4, 3, 3, 0.0, True, 2.0)], 2.0)
    True
    """
    seen = [one for one in estimates if math.isfinite(one.error)]
    errors = [one.error for one in seen if one.error > 0]
    if not errors:
        return ""
    decades = range(math.floor(math.log10(min(errors))), math.ceil(math.log10(max(errors))) + 1)
    exact = any(one.exact for one in seen)
    lanes = max(1, len(decades) - 1 + exact)
    up = (HEIGHT - BELOW - 14.0) / lanes

    def height(error: float) -> float:
        above = math.log10(error) - decades[0] + exact if error > 0 else 0.0
        return HEIGHT - BELOW - above * up

    end = max(seconds, seen[-1].time) or 1.0
    across = (WIDTH - LEFT - 4.0) / end
    steps = "".join(f"H{LEFT + one.time * across:.1f}V{height(one.error):.1f}" for one in seen)
    curve = f'<path class="curve" d="M{LEFT + seen[0].time * across:.1f} {height(seen[0].error):.1f}{steps}"/>'
    step = max(1, len(decades) // 6)
    levels = [
        (height(10.0**power), f"{10.0**power:.0e}" if power < -3 else f"{10.0**power:g}") for power in decades[::step]
    ]
    levels += [(height(0.0), "exact")] * exact
    lines = "".join(f'<path class="level" d="M{LEFT:.0f} {y:.1f}H{WIDTH - 4:.0f}"/>' for y, _ in levels)
    names = "".join(text(LEFT - 6.0, y + 4.0, name, "end") for y, name in levels)
    shown = picture(HEIGHT, _said(seen), lines, curve, names, axis(end, across, HEIGHT))
    rows = [(f"{one.time:.4g} s", one.count, "exact" if one.exact else f"{one.error:.3g}") for one in seen[:LISTED]]
    listed = table("Estimates", ("after", "results", "expected error"), rows, len(seen))
    return f"{shown}<details><summary>{len(seen)} estimates</summary>{listed}</details>"


def _said(seen: Sequence[Progress]) -> str:
    """The picture in words."""
    first, last = seen[0], seen[-1]
    ends = f"exact after {last.time:.3g} seconds" if last.exact else f"{last.error:.2g} after {last.time:.3g} seconds"
    return f"Expected relative error of the estimate: {first.error:.2g} after {first.time:.3g} seconds, {ends}"
