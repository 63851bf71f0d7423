"""The paper's open question of decoding cost: decode time, latency and messages against the number of terms."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from kofn.codes import LinearCode, decode
from kofn.codes.decoding import scaled_conjugate_gradients, solve_by_peeling
from kofn.errors import require
from kofn.schemes import cyclic as cyclic_code
from kofn.schemes.sums import starts_of, usual_blocks

from .._types import Floats
from ..study import Point, Result, Results
from ..sums.modular import rows_covering
from ..sums.rateless import arrived, rateless, rows_predicted
from ..sums.times import Delays, SumTimes
from .drawing import COLOURS, curve, head, short
from .figure import Figure, Recipe, Request, Series, Study
from .sampling import mean_and_error
from .sr_setting import PAPER, cyclic, paper_delays, sr_code

TITLE = "Decode time, latency and messages against the number of terms"
SIZES = (1000, 10_000, 100_000)
QUICK_SIZES = (500, 1000, 2000)
PARTS = ("decode", "latency", "messages")
PANELS = {"decode": "processor seconds to decode", "latency": "seconds until the sum is there", "messages": "messages"}
SPARE = 1.05
"""Rows that conjugate gradients are given, over those that are needed: a few more make them converge."""
PEELING_DEGREE, PEELING_ROWS = 3, 4.4
"""With three terms a row, 4.4 m rows peel."""


@dataclass(frozen=True)
class DecodeRun(Point):
    """One run of a code: processor seconds to decode, seconds until the sum is there, rows by then, ``found`` (3,)."""

    measures_time: ClassVar[bool] = True

    code: str
    terms: int
    number: int
    seed: int

    @property
    def weight(self) -> float:
        """Work grows with the terms."""
        return float(self.terms)

    def compute(self, data: str | None) -> Result:
        """Wait, and decode with a clock."""
        delays = paper_delays(1, self.seed, self.terms, self.number)
        return {"found": RUNS[self.code](delays, self.seed + self.number)}


def study(request: Request) -> Study:
    """Processor seconds to decode, seconds until the sum is there, and rows by then, for three codes."""
    runs, sizes = min(request.trials, 3), QUICK_SIZES if request.quick else SIZES
    points = {
        (name, m): [DecodeRun(name, m, number, request.seed) for number in range(runs)] for name in RUNS for m in sizes
    }

    def figure(results: Results) -> Figure:
        found = {name: np.array([_averaged(points[name, m], results) for m in sizes]) for name in RUNS}
        series = [
            Series(f"{name}-{part}", sizes, values[:, 0, place], values[:, 1, place])
            for name, values in found.items()
            for place, part in enumerate(PARTS)
        ]
        where, y = f"{PAPER}, open question 3", "seconds, or messages"
        return Figure("sr-decode", TITLE, where, "terms m", y, request.seed, runs, series)

    return Study([point for mine in points.values() for point in mine], figure)


def _averaged(points: Sequence[Point], results: Results) -> Floats:
    """Mean and standard error of decode time, latency and messages, (2, 3)."""
    measured = np.array([results[point]["found"] for point in points])
    return np.array(mean_and_error(measured))


def _cyclic(delays: Delays, seed: int) -> Floats:
    m = delays.wake.shape[1]
    outcome, blocks = cyclic(delays), usual_blocks(m, m)
    workers = np.flatnonzero(delays.wake[0] < outcome.times[0])
    starts = starts_of(None, m, blocks)[workers]
    rows = int(delays.terms_by(0, outcome.times[0]).max() * blocks / m) + 1
    code = cyclic_code(m, blocks=blocks, starts=starts.tolist(), rows=min(rows, blocks), workers=len(workers))
    order, times = arrived(delays, 0, code, workers)
    order = order[times <= outcome.times[0] * (1 + 1e-9)]
    assert code.disjoint is not None  # known to whoever made the code: not part of decoding
    seconds, decoding = _timed(lambda: decode(code, order))
    assert decoding.exact
    return np.array([seconds, outcome.times[0], outcome.messages[0]])


def _rateless(
    degree_of: Callable[[int], int], needed: Any, solve: Any, spare: float, delays: Delays, seed: int
) -> Floats:
    m = delays.wake.shape[1]
    degree = degree_of(m)
    codes: list[LinearCode] = []

    def build(workers: int, rows: int, rng: np.random.Generator) -> LinearCode:
        codes.append(sr_code(m, degree, m, workers, rows, rng))
        return codes[-1]

    outcome: SumTimes
    outcome, _ = rateless(delays, build, needed, least=0.8 * degree * m * spare, cap=m, rng=[seed, 7])
    workers = np.argsort(delays.wake[0])[: codes[-1].workers]
    order, times = arrived(delays, 0, codes[-1], workers)
    count = int(outcome.messages[0] * SPARE) if solve is scaled_conjugate_gradients else int(outcome.messages[0])
    generator = codes[-1].generator[order[:count]]
    seconds, _ = _timed(lambda: solve(generator, np.ones(m)))
    return np.array([seconds, times[count - 1], count])


def _rows_peelable(generator: Any) -> int:
    return max(int(PEELING_ROWS * generator.shape[1]), rows_covering(generator))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


RUNS: dict[str, Callable[[Delays, int], Floats]] = {
    "cyclic": _cyclic,
    "sr": partial(_rateless, lambda m: round(np.log2(m)), rows_predicted, scaled_conjugate_gradients, 1.0),
    "sr-3": partial(_rateless, lambda m: PEELING_DEGREE, _rows_peelable, solve_by_peeling, PEELING_ROWS),
}


def draw(figure: Figure) -> Any:
    """Three panels, both axes logarithmic."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(15, 5), layout="constrained")
    for axes, part in zip(canvas.subplots(1, 3), PARTS, strict=True):
        axes.set_prop_cycle(color=COLOURS)
        shown = [series for series in figure.series if series.name.endswith(part)]
        labels = short([series.name for series in shown], part)
        for series in shown:
            curve(axes, series, labels[series.name])
        axes.set(xscale="log", yscale="log", xlabel=figure.x_label, title=PANELS[part])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    head(canvas, figure)
    return canvas


RECIPE = Recipe("sr-decode", TITLE, study, draw, trials=2, quick_trials=2, faster="compiled")
