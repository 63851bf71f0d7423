"""What came of each figure: the published value, ours, what is better, from the figure's own JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from . import judging_own
from .figure import Figure
from .judging import OURS, Verdict, agreement, area, at, error, last, near, short
from .uep_setting import PARTS
from .words import words

SIGMAS = 4.0
"""Largest of some hundred distances between samples and what they are samples of."""

FAR = 0.5
"""A mean is far behind another where it is larger by more than this share."""


def verdicts(figure: Figure) -> list[Verdict]:
    """The verdicts on a figure; none on one whose sizes or data are others than the paper's: quick, or on the digits.

    Examples
    --------
    >>> from .figure import Published, Series
    >>> rows = [Series("aicc", ("P1", "P2"), (4.7, 5.7)), Series("aicc-structured", ("P1", "P2"), (4.2, 0.1))]
    >>> rows += [Series("mean-predictor", ("P1", "P2"), (5.2, 5.6), (0.05, 0.05))]
    >>> paper = (Published("aicc", ("P1",), (4.64,), "Table I"),)
    >>> verdicts(Figure("aicc-table1", "t", "p", "", "%", 0, 9, rows, paper))[0].said
    'agrees; skill 0.096 ± 0.009'
    """
    if figure.is_quick or figure.is_on_digits:
        return []
    return list(JUDGES.get(figure.id, _numbers)(figure))


def _numbers(figure: Figure, better: Mapping[str, str] | None = None) -> Iterator[Verdict]:
    """Each number that a paper states beside ours at the same place."""
    better = better or {}
    for entry in figure.published:
        if entry.name not in figure.names:
            continue
        for x, value in zip(entry.x, entry.y, strict=True):
            ours = at(figure, entry.name, x)
            if ours is not None:
                best = at(figure, better.get(entry.name, ""), x)
                told = "" if best is None else f"{short(best)} ({words(better[entry.name])})"
                what = f"{words(entry.name)}, {x if isinstance(x, str) else f'{figure.x_label} {x:g}'}"
                yield Verdict(figure.id, what, short(value), short(ours), told, agreement(value, ours))


def _crossings(figure: Figure) -> Iterator[Verdict]:
    """Fig. 9: the abscissae are what was read off."""
    for entry in figure.published:
        part = entry.name.split("-")[1]
        ours, loss = figure[entry.name].x[0], figure[entry.name].y[0]
        best = near(figure, "kronecker-rxc-lmmse", ours)
        what = f"until when {entry.name.split('-')[0].upper()}, {part}, loses less than MDS"
        better = f"loss then {short(loss)}, kronecker {short(best)}"
        yield Verdict(figure.id, what, short(entry.x[0]), short(ours), better, agreement(entry.x[0], ours))


def _table1(figure: Figure) -> Iterator[Verdict]:
    """Table I, with the skill; at most so uncertain, as errors of both on the same sets go up and down together."""
    paper = {x: y for entry in figure.published for x, y in zip(entry.x, entry.y, strict=True)}
    for x, value in paper.items():
        ours, mean = (at(figure, name, x) or np.nan for name in ("aicc", "mean-predictor"))
        errors = [(error(figure, name, x) or 0.0) for name in ("aicc", "mean-predictor")]
        skill, spread = skill_of(ours, errors[0], mean, errors[1])
        said = f"{agreement(value, ours)}; skill {skill:.2g} ± {spread:.1g}"
        if skill <= spread:
            said += ": it predicts the mean"
        best = at(figure, "aicc-structured", x)
        told = "" if best is None else f"{short(best)} ({words('aicc-structured')})"
        yield Verdict(figure.id, f"error of {x}, %", short(value), short(ours), told, said)


def skill_of(error: float, spread: float, mean: float, mean_spread: float) -> tuple[float, float]:
    """1 − error / error of the mean predictor, and its standard error if the two were independent.

    Examples
    --------
    >>> skill_of(1.0, 0.3, 2.0, 0.0)
    (0.5, 0.15)
    """
    share = error / mean
    return 1.0 - share, float(np.hypot(spread / mean, share * mean_spread / mean))


def _beats(
    first: str, second: str, what: str, x: float | None = None, paper: str = "yes"
) -> Callable[[Figure], Iterator[Verdict]]:
    """Whether one series is above another, at some place or at the last one, and whether a paper says so."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        (one, spread), (other, other_spread) = (
            last(figure, name) if x is None else (at(figure, name, x), error(figure, name, x))
            for name in (first, second)
        )
        if one is not None and other is not None:
            margin = 2 * np.hypot(spread or 0.0, other_spread or 0.0)
            said = "holds" if one - other > margin else "does not hold" if other - one > margin else "no difference"
            if paper != "yes" and abs(one - other) > margin:
                said = f"{'better' if one > other else 'worse'} by {short(abs(one - other))}"
            ours = f"{short(one)} ({words(first)}), {short(other)} ({words(second)})"
            is_ours = what.startswith(OURS)
            yield Verdict(figure.id, what, "" if is_ours else paper, ours, "", said)

    return judge


def _pair(first: str, second: str, what: str) -> Callable[[Figure], Iterator[Verdict]]:
    """Two series at the last place that both have, where a paper has a question and no number."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        places = _shared(figure, first, second)
        if places:
            one, other = (at(figure, name, places[-1]) or np.nan for name in (first, second))
            better = f"{short(other)} ({words(second)})"
            yield Verdict(figure.id, what, "", f"{short(one)} ({words(first)})", better, f"{other / one:.2g} times")

    return judge


def _shared(figure: Figure, *names: str) -> list[Any]:
    """The places that all of some series have, in order; none where there is no such series."""
    if not set(names) <= set(figure.names):
        return []
    return [x for x in figure[names[0]].x if all(x in figure[name].x for name in names)]


def _grows(slow: str, fast: str, what: str) -> Callable[[Figure], Iterator[Verdict]]:
    """A statement of a paper that one series grows by more than another, from the first place of both to the last."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        places = _shared(figure, slow, fast)
        if len(places) > 1:
            (one, spread), (other, other_spread) = (
                _growth(figure, name, places[0], places[-1]) for name in (slow, fast)
            )
            margin = 2 * np.hypot(spread, other_spread)
            said = "holds" if one - other > margin else "does not hold" if other - one > margin else "no difference"
            ours = f"{short(one)} times ({words(slow)}), {short(other)} times ({words(fast)})"
            which = f"{what}, {figure.x_label} from {places[0]:g} to {places[-1]:g}"
            yield Verdict(figure.id, which, "yes", ours, "", said)

    return judge


def _growth(figure: Figure, name: str, start: float, end: float) -> tuple[float, float]:
    """By which factor a series grows, and the standard error of that."""
    values = [at(figure, name, x) or np.nan for x in (start, end)]
    spreads = [(error(figure, name, x) or 0.0) for x in (start, end)]
    factor = values[1] / values[0]
    return factor, factor * float(np.hypot(spreads[0] / values[0], spreads[1] / values[1]))


def _course(name: str, mean: str, published: str) -> Callable[[Figure], Iterator[Verdict]]:
    """How an error goes from the first place to the last, and that of whoever answers with the mean of f."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        places = _shared(figure, name, mean)
        if len(places) > 1:
            first, final = places[0], places[-1]
            one, _ = _growth(figure, name, first, final)
            other, _ = _growth(figure, mean, first, final)
            what = f"{words(name)}, from {figure.x_label} = {first:g} to {final:g}"
            ours = " to ".join(short(at(figure, name, x) or np.nan) for x in (first, final))
            said = f"{one:.2g} times; the mean of f: {other:.2g} times"
            yield Verdict(figure.id, what, published, ours, "", said)

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
            said = "loose by M" if np.isclose(ratio, PARTS, rtol=0.01) else "loose" if ratio > 1 else "is no bound"
            what = f"Theorem 2 over the loss of {kind.upper()}"
            yield Verdict(figure.id, what, "not tight", short(ratio), "1", said)


def _tail(
    slow: str, fast: str, best: str, paper: str = "yes", steps: bool = False
) -> Callable[[Figure], Iterator[Verdict]]:
    """Mean of what a tail shows: the area under it, from zero on."""

    def judge(figure: Figure) -> Iterator[Verdict]:
        if not {slow, fast, best} <= set(figure.names):
            return
        mean = {name: area(figure[name], steps) for name in (slow, fast, best)}
        gap = mean[slow] / mean[fast] - 1
        said = "far behind" if gap > FAR else f"{100 * gap:.0f} % behind, not far"
        what = f"{words(slow)}, is far behind {words(fast)} (mean)"
        ours = f"{short(mean[slow])}, {short(mean[fast])}"
        yield Verdict(figure.id, what, paper, ours, f"{short(mean[best])} ({words(best)})", said)

    return judge


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
    "aicc-fig4": _all(
        lambda figure: _numbers(figure, {f"aicc-p{n}": f"aicc-structured-p{n}" for n in range(1, 5)}),
        *(_course(f"aicc-p{n}", f"mean-predictor-p{n}", "falls") for n in (1, 2)),
    ),
    "aicc-fig5": _all(
        _grows("numpy", "aicc", "seconds of f itself grow faster than those of AICC"),
        _pair("aicc", "numpy", "seconds of AICC, all workers together, against f itself, at the largest M"),
    ),
    "aicc-fig6": _all(
        *(_course(f"aicc-p{n}", f"mean-predictor-p{n}", "does not rise quickly") for n in (1, 4)),
        *(_pair(f"aicc-p{n}", f"aicc-structured-p{n}", f"error of P{n} at the largest K") for n in range(1, 5)),
    ),
    "sr-fig2c": _tail("lt-symbols", "sr-symbols", "cover", steps=True),
    "sr-decode": _pair("sr-decode", "cyclic-decode", "seconds to decode the largest sum"),
    "uep-fig10": lambda figure: _numbers(figure, {"mds": "kronecker-rxc-lmmse"}),
    "uep-fig13": _all(
        _beats("ew-rxc@1", "uncoded-rxc@1", "EW trains better than no code, T = 1", paper="not substantially"),
        _beats("kronecker-rescaled-rxc@1", "ew-rxc@1", f"{OURS}Kronecker, rescaled, trains better than EW"),
    ),
    "uep-fig14": _all(
        _beats("ew-cxr@1", "uncoded-cxr@1", "EW trains better than no code, T = 1"),
        _beats("kronecker-rescaled-cxr@1", "ew-cxr@1", f"{OURS}Kronecker, rescaled, trains better than EW"),
    ),
    "uep-fig15": _all(
        _beats("ew-cxr", "ew-rxc", "column × row is better than row × column, T = 1", 1.0),
        _beats("ew-rxc", "uncoded-rxc", "EW is better than no code, row × column, T = 0.5", 0.5),
        _beats("ew-cxr", "uncoded-cxr", "EW is better than no code, column × row, T = 0.5", 0.5),
        _beats("kronecker-rescaled-rxc", "ew-rxc", f"{OURS}Kronecker, rescaled, is better than EW, T = 0.5", 0.5),
    ),
    "sr-fig2a": _tail("lt", "sr-1000", "hint"),
    "sr-fig2b": _tail("lt", "sr-100", "cyclic"),
    "sr-pareto": _tail("lt", "sr-1000", "hint", paper=""),
    "aicc-table1": _table1,
    "own-policies": judging_own.policies,
    "own-traffic": judging_own.traffic,
    "own-liars": judging_own.liars,
    "own-workers": judging_own.scaling,
}
"""By figure; any other one is judged by the numbers that its paper states."""


def _last_numbers(figure: Figure, better: Mapping[str, str]) -> Iterator[Verdict]:
    """Numbers of a paper that may have trained for longer: beside ours after the last epoch."""
    for entry in figure.published:
        ours, _ = last(figure, entry.name)
        best, _ = last(figure, better.get(entry.name, ""))
        if ours is not None:
            epochs = figure[entry.name].x[-1]
            what = f"{words(entry.name)}; paper: epoch {entry.x[0]:g}, ours: {epochs:g}"
            told = "" if best is None else f"{short(best)} ({words(better[entry.name])})"
            said = "fewer epochs" if epochs < entry.x[0] else agreement(entry.y[0], ours)
            yield Verdict(figure.id, what, short(entry.y[0]), short(ours), told, said)
