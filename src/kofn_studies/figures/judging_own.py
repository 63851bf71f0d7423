"""Verdicts on figures that no paper has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .figure import Figure
from .judging import OURS, Verdict, last, short, whether
from .words import words


def policies(figure: Figure) -> Iterator[Verdict]:
    """Coded backups where nothing straggles, and over traces against no backups and against those of Spark."""
    if not {"coded-quiet", "plain-quiet", "spark-3.5-p99", "auto-p99-p99"} <= set(figure.names):
        return
    coded, plain = (np.array(figure[f"{name}-quiet"].y) for name in ("coded", "plain"))
    more = 100 * (np.max(coded / plain) - 1)
    what = f"{OURS}coded backups cost nothing where nothing straggles (median, at any number of tasks)"
    yield Verdict(figure.id, what, "", f"{more:+.1f} % at most", "", whether(more <= 1))
    for name in ("coded", "auto-p99"):
        ours, theirs = figure[f"{name}-p99"], figure["spark-3.5-p99"]
        other = dict(zip(theirs.x, theirs.y, strict=True))
        won = [y < 1.02 * other.get(x, np.inf) for x, y in zip(ours.x, ours.y, strict=True)]
        what = f"{OURS}99th percentile, {words(name)}, no more than 2 % above that of {words('spark-3.5')}"
        yield Verdict(figure.id, what, "", f"{sum(won)} of {len(won)} kinds of delay", "", whether(all(won)))


def traffic(figure: Figure) -> Iterator[Verdict]:
    """What passes the client, in units of A and B."""
    for name in figure.names:
        share = figure[name].y[-1] / figure[name].x[-1]
        yield Verdict(figure.id, f"{OURS}{words(name)}, largest size", "", f"{short(share)} of A and B", "", "counted")


def liars(figure: Figure) -> Iterator[Verdict]:
    """Until how many liars all runs end right, and whether any answer is wrong before these outvote the others."""
    for name in (name for name in figure.names if name.endswith("-right")):
        kind = name.removesuffix("-right")
        right = np.array(figure[name].y)
        last = figure[name].x[int(np.argmax(np.append(right, 0.0) < 1.0)) - 1]
        wrong = [x for x, y in zip(figure[f"{kind}-wrong"].x, figure[f"{kind}-wrong"].y, strict=True) if y > 0]
        said = f"wrong from {wrong[0]} on: they agree, and are more than the others" if wrong else "no answer is wrong"
        what = f"{OURS}{words(kind)}: how many liars every run bears"
        yield Verdict(figure.id, what, "", f"{last} of 12 workers", "", said)


def scaling(figure: Figure) -> Iterator[Verdict]:
    """Speed at the most workers, as it is and were messages free."""
    for name in (name for name in figure.names if name.startswith("coded") and not name.endswith("free")):
        (ours, _), (free, _) = last(figure, name), last(figure, "coded-free")
        if ours is not None and free is not None:
            seconds = name.removeprefix("coded-").removesuffix("s")
            best = figure[name].x[int(np.argmax(figure[name].y))]
            what = f"{OURS}speed with {figure[name].x[-1]} workers, {seconds} s of work, {words('coded')}"
            yield Verdict(figure.id, what, "", short(ours), f"{short(free)} (free messages)", f"best with {best}")
