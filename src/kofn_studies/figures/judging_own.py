"""Verdicts on figures that no paper has."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from .figure import Figure, Series
from .judging import OURS, Verdict, last, short, whether
from .own_liars import WORKERS
from .words import words


def policies(figure: Figure) -> Iterator[Verdict]:
    """Coded backups where nothing straggles, and over traces against no backups and against those of Spark."""
    if not {"coded-quiet", "plain-quiet", "spark-3.5-p99", "auto-p99-p99"} <= set(figure.names):
        return
    coded, plain = (np.array(figure[f"{name}-quiet"].y) for name in ("coded", "plain"))
    more = 100 * (np.max(coded / plain) - 1)
    what = f"{OURS}coded backups cost nothing where nothing straggles (median, at any number of tasks)"
    yield Verdict(figure.id, what, "", f"{more:+.1f} % at most", "", whether(more <= 1))
    theirs = _by_abscissa(figure["spark-3.5-p99"])
    for name in ("coded", "auto-p99"):
        ours = _by_abscissa(figure[f"{name}-p99"])  # a policy that never ends has no point there
        won = [ours.get(x, np.inf) < 1.02 * theirs.get(x, np.inf) for x in {**theirs, **ours}]
        what = f"{OURS}99th percentile, {words(name)}, no more than 2 % above that of backups {words('spark-3.5')}"
        yield Verdict(figure.id, what, "", f"{sum(won)} of {len(won)} kinds of delay", "", whether(all(won)))


def _by_abscissa(series: Series) -> dict[str, float]:
    return dict(zip(series.x, series.y, strict=True))


def traffic(figure: Figure) -> Iterator[Verdict]:
    """What passes the client, in units of A and B."""
    for name in figure.names:
        share = figure[name].y[-1] / figure[name].x[-1]
        yield Verdict(figure.id, f"{OURS}{words(name)}, largest size", "", f"{short(share)} of A and B", "", "counted")


def liars(figure: Figure) -> Iterator[Verdict]:
    """Until how many liars all runs end right, and from how many on an answer is wrong."""
    for name in (name for name in figure.names if name.endswith("-right")):
        kind = name.removesuffix("-right")
        all_right = itertools.takewhile(lambda pair: pair[1] >= 1.0, zip(figure[name].x, figure[name].y, strict=True))
        borne = [x for x, _ in all_right]
        ours = f"{borne[-1]} of {WORKERS} workers" if borne else "not even without liars"
        wrong = [x for x, y in zip(figure[f"{kind}-wrong"].x, figure[f"{kind}-wrong"].y, strict=True) if y > 0]
        said = f"wrong from {wrong[0]} on" if wrong else "no answer is wrong"
        if wrong and wrong[0] > WORKERS - wrong[0]:
            said += ", where liars are the majority"
        what = f"{OURS}{words(kind)}: how many liars every run bears"
        yield Verdict(figure.id, what, "", ours, "", said)


def scaling(figure: Figure) -> Iterator[Verdict]:
    """Speed at the most workers, as it is and were messages free."""
    for name in (name for name in figure.names if name.startswith("coded") and not name.endswith("free")):
        (ours, _), (free, _) = last(figure, name), last(figure, "coded-free")
        if ours is not None and free is not None:
            seconds = name.removeprefix("coded-").removesuffix("s")
            best = figure[name].x[int(np.argmax(figure[name].y))]
            what = f"{OURS}speed with {figure[name].x[-1]} workers, {seconds} s of work, {words('coded')}"
            yield Verdict(figure.id, what, "", short(ours), f"{short(free)} (free messages)", f"best with {best}")
