"""What came of each figure: the published value, ours, what is better, from the figure's own JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .figure import Figure, Series
from .words import words

OURS = "kofn: "
"""Begins statements that no paper makes."""

SIGMAS = 4.0
"""Largest of some hundred distances between samples and what they are samples of."""

CLOSE = 0.15
"""Two numbers agree where they differ by no more than this share of the published one."""


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    Parameters
    ----------
    figure : str
        Its id, which is also what `kofn figure` takes.
    what : str
        Quantity or statement.
    published, ours, better : str
        Numbers, or nothing.
    said : str
        Whether it was reproduced.
    """

    figure: str
    what: str
    published: str
    ours: str
    better: str
    said: str


def verdicts(figure: Figure) -> list[Verdict]:
    """The verdicts on a figure; none on a quick one, whose sizes are others than the paper's.

    Examples
    --------
    >>> from .figure import Published, Series
    >>> rows = [Series("aicc", ("P1", "P2"), (4.7, 5.7)), Series("aicc-structured", ("P1", "P2"), (4.2, 0.1))]
    >>> rows += [Series("mean-predictor", ("P1", "P2"), (5.2, 5.6), (0.05, 0.05))]
    >>> paper = (Published("aicc", ("P1",), (4.64,), "Table I"),)
    >>> verdicts(Figure("aicc-table1", "t", "p", "", "%", 0, 9, rows, paper))[0].said
    'agrees; skill 0.096 ± 0.009'
    """
    if figure.is_quick:
        return []
    return list(JUDGES.get(figure.id, _numbers)(figure))


def _numbers(figure: Figure, better: Mapping[str, str] | None = None) -> Iterator[Verdict]:
    """Each number that a paper states beside ours at the same place."""
    better = better or {}
    for entry in figure.published:
        if entry.name not in figure.names:
            continue
        for x, value in zip(entry.x, entry.y, strict=True):
            ours = _at(figure, entry.name, x)
            if ours is not None:
                best = _at(figure, better.get(entry.name, ""), x)
                told = "" if best is None else f"{_short(best)} ({words(better[entry.name])})"
                what = f"{words(entry.name)}, {x if isinstance(x, str) else f'{figure.x_label} {x:g}'}"
                yield Verdict(figure.id, what, _short(value), _short(ours), told, _agreement(value, ours))


def _crossings(figure: Figure) -> Iterator[Verdict]:
    """Fig. 9: the abscissae are what was read off."""
    for entry in figure.published:
        part = entry.name.split("-")[1]
        ours, loss = figure[entry.name].x[0], figure[entry.name].y[0]
        best = _near(figure, "kronecker-rxc-lmmse", ours)
        what = f"until when {entry.name.split('-')[0].upper()}, {part}, loses less than MDS"
        better = f"loss then {_short(loss)}, kronecker {_short(best)}"
        yield Verdict(figure.id, what, _short(entry.x[0]), _short(ours), better, _agreement(entry.x[0], ours))


def _table1(figure: Figure) -> Iterator[Verdict]:
    """Table I, with the skill; at most so uncertain, as errors of both on the same sets go up and down together."""
    paper = {x: y for entry in figure.published for x, y in zip(entry.x, entry.y, strict=True)}
    for x, value in paper.items():
        ours, mean = (_at(figure, name, x) or np.nan for name in ("aicc", "mean-predictor"))
        errors = [(_error(figure, name, x) or 0.0) for name in ("aicc", "mean-predictor")]
        skill, spread = skill_of(ours, errors[0], mean, errors[1])
        said = f"{_agreement(value, ours)}; skill {skill:.2g} ± {spread:.1g}"
        if skill <= spread:
            said += ": it predicts the mean"
        best = _at(figure, "aicc-structured", x)
        told = "" if best is None else f"{_short(best)} ({words('aicc-structured')})"
        yield Verdict(figure.id, f"error of {x}, %", _short(value), _short(ours), told, said)


def skill_of(error: float, spread: float, mean: float, mean_spread: float) -> tuple[float, float]:
    """1 − error / error of the mean predictor, and its standard error if the two were independent.

    Examples
    --------
    >>> skill_of(1.0, 0.3, 2.0, 0.0)
    (0.5, 0.15)
    """
    share = error / mean
    return 1.0 - share, float(np.hypot(spread / mean, share * mean_spread / mean))


def _beats(first: str, second: str, what: str, x: float | None = None) -> Callable[[Figure], Iterator[Verdict]]:
    """A statement of a paper that one series is above another, at some place or at the last one."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        (one, spread), (other, other_spread) = (
            _last(figure, name) if x is None else (_at(figure, name, x), _error(figure, name, x))
            for name in (first, second)
        )
        if one is not None and other is not None:
            margin = 2 * np.hypot(spread or 0.0, other_spread or 0.0)
            said = "holds" if one - other > margin else "does not hold" if other - one > margin else "no difference"
            ours = f"{_short(one)} ({words(first)}), {_short(other)} ({words(second)})"
            yield Verdict(figure.id, what, "" if what.startswith(OURS) else "yes", ours, "", said)

    return judge


def _pair(first: str, second: str, what: str) -> Callable[[Figure], Iterator[Verdict]]:
    """Two series at their last place, where a paper has a question and no number."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        (one, _), (other, _) = _last(figure, first), _last(figure, second)
        if one is not None and other is not None:
            better = f"{_short(other)} ({words(second)})"
            yield Verdict(figure.id, what, "", f"{_short(one)} ({words(first)})", better, f"{other / one:.2g} times")

    return judge


def _samples(figure: Figure) -> Iterator[Verdict]:
    """Fig. 8 and the like: how far samples are from closed forms, in standard errors of their own."""
    far = [
        np.max(np.abs(np.subtract(series.y, figure[series.name[:-3]].y)) / np.asarray(series.err))
        for series in figure.series
        if series.name.endswith("-mc") and series.name[:-3] in figure.names and series.err is not None
    ]
    if far:
        said = "agree" if max(far) <= SIGMAS else "do not agree"
        yield Verdict(figure.id, "closed forms against samples", "", f"{max(far):.2g} standard errors apart", "", said)


def _bound(figure: Figure) -> Iterator[Verdict]:
    """Fig. 11: Theorem 2 over the exact loss of independent blocks."""
    for kind in ("now", "ew"):
        names = f"{kind}-cxr-bound", f"{kind}-cxr"
        if set(names) <= set(figure.names):
            above, exact = (np.array(figure[name].y) for name in names)
            ratio = float(np.median(above / exact))
            yield Verdict(
                figure.id, f"Theorem 2 over the loss of {kind.upper()}", "", f"{ratio:.3g}", "1", "loose by M"
            )


def _tail(slow: str, fast: str, best: str) -> Callable[[Figure], Iterator[Verdict]]:
    """Mean of what a tail shows: the area under it, from zero on."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        if not {slow, fast, best} <= set(figure.names):
            return
        mean = {name: _area(figure[name]) for name in (slow, fast, best)}
        gap = mean[slow] / mean[fast] - 1
        said = "far behind" if gap > 0.5 else f"{100 * gap:.0f} % behind, not far"
        what = f"{words(slow)}, is far behind {words(fast)} (mean)"
        ours = f"{_short(mean[slow])}, {_short(mean[fast])}"
        yield Verdict(figure.id, what, "yes", ours, f"{_short(mean[best])} ({words(best)})", said)

    return judge


def _policies(figure: Figure) -> Iterator[Verdict]:
    """Coded backups where nothing straggles, and over traces against no backups and against those of Spark."""
    if not {"coded-quiet", "plain-quiet", "spark-3.5-p99", "auto-p99-p99"} <= set(figure.names):
        return
    coded, plain = (np.array(figure[f"{name}-quiet"].y) for name in ("coded", "plain"))
    more = 100 * (np.max(coded / plain) - 1)
    what = f"{OURS}coded backups cost nothing where nothing straggles (median, at any number of tasks)"
    yield Verdict(figure.id, what, "", f"{more:+.1f} % at most", "", _whether(more <= 1))
    for name in ("coded", "auto-p99"):
        ours, theirs = figure[f"{name}-p99"], figure["spark-3.5-p99"]
        other = dict(zip(theirs.x, theirs.y, strict=True))
        won = [y < 1.02 * other.get(x, np.inf) for x, y in zip(ours.x, ours.y, strict=True)]
        what = f"{OURS}99th percentile, {words(name)}, no more than 2 % above that of {words('spark-3.5')}"
        yield Verdict(figure.id, what, "", f"{sum(won)} of {len(won)} kinds of delay", "", _whether(all(won)))


def _traffic(figure: Figure) -> Iterator[Verdict]:
    """What passes the client, in units of A and B."""
    for name in figure.names:
        share = figure[name].y[-1] / figure[name].x[-1]
        yield Verdict(figure.id, f"{OURS}{words(name)}, largest size", "", f"{_short(share)} of A and B", "", "counted")


def _liars(figure: Figure) -> Iterator[Verdict]:
    """Until how many liars all runs end right, and whether any answer is wrong before these outvote the others."""
    for name in (name for name in figure.names if name.endswith("-right")):
        kind = name.removesuffix("-right")
        right = np.array(figure[name].y)
        last = figure[name].x[int(np.argmax(np.append(right, 0.0) < 1.0)) - 1]
        wrong = [x for x, y in zip(figure[f"{kind}-wrong"].x, figure[f"{kind}-wrong"].y, strict=True) if y > 0]
        said = f"wrong from {wrong[0]} on: they agree, and are more than the others" if wrong else "no answer is wrong"
        what = f"{OURS}{words(kind)}: how many liars every run bears"
        yield Verdict(figure.id, what, "", f"{last} of 12 workers", "", said)


def _scaling(figure: Figure) -> Iterator[Verdict]:
    """Speed at the most workers, as it is and were messages free."""
    for name in (name for name in figure.names if name.startswith("coded") and not name.endswith("free")):
        (ours, _), (free, _) = _last(figure, name), _last(figure, "coded-free")
        if ours is not None and free is not None:
            seconds = name.removeprefix("coded-").removesuffix("s")
            best = figure[name].x[int(np.argmax(figure[name].y))]
            what = f"{OURS}speed with {figure[name].x[-1]} workers, {seconds} s of work, {words('coded')}"
            yield Verdict(figure.id, what, "", _short(ours), f"{_short(free)} (free messages)", f"best with {best}")


def _whether(true: bool) -> str:
    return "holds" if true else "does not hold"


def _all(*judges: Callable[[Figure], Iterator[Verdict]]) -> Callable[[Figure], Iterator[Verdict]]:
    return lambda figure: (verdict for judge in judges for verdict in judge(figure))


BETTER_FIG1 = dict.fromkeys(
    ("uncoded-rxc-train", "now-rxc-train", "ew-rxc-train"), "kronecker-principal-late-wide-rxc-train"
)

JUDGES: Mapping[str, Callable[[Figure], Iterator[Verdict]]] = {
    "uep-fig1": lambda figure: _last_numbers(figure, BETTER_FIG1),
    "uep-fig9": _crossings,
    "uep-fig8": _samples,
    "uep-fig11": _bound,
    "aicc-fig4": lambda figure: _numbers(figure, {f"aicc-p{n}": f"aicc-structured-p{n}" for n in range(1, 5)}),
    "aicc-fig5": _pair("aicc", "numpy", "seconds of AICC, all workers together, against f itself, at the largest M"),
    "aicc-fig6": _all(
        *(_pair(f"aicc-p{n}", f"aicc-structured-p{n}", f"error of P{n} at the largest K") for n in range(1, 5))
    ),
    "sr-fig2c": _tail("lt-symbols", "sr-symbols", "cover"),
    "sr-decode": _pair("sr-decode", "cyclic-decode", "seconds to decode the largest sum"),
    "uep-fig10": lambda figure: _numbers(figure, {"mds": "kronecker-rxc-lmmse"}),
    "uep-fig13": _all(
        _beats("ew-rxc@1", "uncoded-rxc@1", "EW trains better than no code"),
        _beats("kronecker-rescaled-rxc@1", "ew-rxc@1", f"{OURS}Kronecker, rescaled, trains better than EW"),
    ),
    "uep-fig14": _all(
        _beats("ew-cxr@1", "uncoded-cxr@1", "EW trains better than no code"),
        _beats("kronecker-rescaled-cxr@1", "ew-cxr@1", f"{OURS}Kronecker, rescaled, trains better than EW"),
    ),
    "uep-fig15": _all(
        _beats("ew-cxr", "ew-rxc", "column × row is better than row × column, T = 1", 1.0),
        _beats("ew-rxc", "uncoded-rxc", "EW is better than no code, T = 0.5", 0.5),
        _beats("kronecker-rescaled-rxc", "ew-rxc", f"{OURS}Kronecker, rescaled, is better than EW, T = 0.5", 0.5),
    ),
    "sr-fig2a": _tail("lt", "sr-1000", "hint"),
    "sr-fig2b": _tail("lt", "sr-100", "cyclic"),
    "sr-pareto": _tail("lt", "sr-1000", "hint"),
    "aicc-table1": _table1,
    "own-policies": _policies,
    "own-traffic": _traffic,
    "own-liars": _liars,
    "own-workers": _scaling,
}
"""By figure; any other one is judged by the numbers that its paper states."""


def _last_numbers(figure: Figure, better: Mapping[str, str]) -> Iterator[Verdict]:
    """Numbers of a paper that trained for longer: beside ours after the last epoch."""
    for entry in figure.published:
        ours, _ = _last(figure, entry.name)
        best, _ = _last(figure, better.get(entry.name, ""))
        if ours is not None:
            what = f"{words(entry.name)}; paper: epoch {entry.x[0]:g}, ours: {figure[entry.name].x[-1]:g}"
            told = "" if best is None else f"{_short(best)} ({words(better[entry.name])})"
            yield Verdict(figure.id, what, _short(entry.y[0]), _short(ours), told, "fewer epochs")


def _at(figure: Figure, name: str, x: float | str) -> float | None:
    if name not in figure.names or x not in figure[name].x:
        return None
    return float(figure[name].y[figure[name].x.index(x)])


def _error(figure: Figure, name: str, x: float | str) -> float | None:
    if _at(figure, name, x) is None or figure[name].err is None:
        return None
    return float(figure[name].err[figure[name].x.index(x)])


def _near(figure: Figure, name: str, x: float) -> float:
    return float(np.interp(x, figure[name].x, figure[name].y))


def _last(figure: Figure, name: str) -> tuple[float | None, float | None]:
    if name not in figure.names:
        return None, None
    return _at(figure, name, figure[name].x[-1]), _error(figure, name, figure[name].x[-1])


def _area(series: Series) -> float:
    return float(series.x[0] * series.y[0] + np.trapezoid(series.y, series.x))


def _agreement(published: float, ours: float) -> str:
    if abs(ours - published) <= CLOSE * abs(published):
        return "agrees"
    return "lower" if ours < published else "higher"


def _short(value: float) -> str:
    return f"{value:.3g}"
