"""The picture of a run: who computed what when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import require
from ._attempt import Attempt

COLOURS = {
    "arrived": "#2a9d8f",
    "compared": "#64b6ac",
    "late": "#8ab17d",
    "lost": "#e76f51",
    "wrong": "#9b2226",
    "restarted": "#f4a261",
    "abandoned": "#c9c9c9",
}


def draw(code: str, workers: int, attempts: Sequence[Attempt], seconds: float, axes: Any = None) -> Any:
    """Draw one lane a worker and one bar an attempt into ``axes`` (a new figure by default); return the axes."""
    with require("drawing", "matplotlib"):
        from matplotlib.patches import Patch
        from matplotlib.pyplot import subplots
    if axes is None:
        _, axes = subplots(figsize=(9, 0.35 * workers + 1.4), layout="constrained")
    for attempt in attempts:
        colour = COLOURS[attempt.outcome]
        bar = {"left": attempt.submitted, "height": 0.7, "color": colour, "edgecolor": "white"}
        axes.barh(attempt.worker, attempt.seconds, **bar)
        middle = attempt.submitted + attempt.seconds / 2
        axes.text(middle, attempt.worker, str(attempt.row), ha="center", va="center")
    axes.axvline(seconds, color="black", linewidth=1.2)
    axes.set_yticks(range(workers), [f"worker {w}" for w in range(workers)])
    axes.invert_yaxis()
    axes.set_xlim(left=0.0)
    axes.set_xlabel("seconds since the start (the line: answer ready)")
    axes.set_title(f"{code}: rows by worker")
    seen = [kind for kind in COLOURS if any(a.outcome == kind for a in attempts)]
    handles = [Patch(color=COLOURS[kind], label=kind) for kind in seen]
    above = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}  # the last lane is full, too
    axes.legend(handles=handles, ncols=len(COLOURS), fontsize="small", frameon=False, **above)
    return axes
