"""Ten histories of four workers, told to every code in virtual time: which row went where, when, and what became of it.

``python tests/golden_runs.py`` writes them to golden_runs.json; a change there is a change of behaviour, and the commit
that makes it says why.
"""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import numpy as np

import kofn
from kofn.errors import NotDecodable
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.jobs.scheduling._names import as_scheduler
from kofn.schemes import SumScheme, Terms
from kofn.simulation._virtual import VirtualPool

EagerCopies = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "eager_copies.py"))["EagerCopies"]
FILE = Path(__file__).with_suffix(".json")
WORKERS = 4


def drawn(seed, draw):
    return draw(np.random.default_rng(seed), (WORKERS, 64)).tolist()


HISTORIES = {
    "equal": {"delays": [[1.0]] * WORKERS},
    "staggered": {"delays": [[1.0], [1.1], [1.2], [1.3]]},
    "one slow": {"delays": [[1.0], [10.0], [1.1], [1.2]]},
    "one never": {"delays": [[1.0], [1.1], [math.inf], [1.2]], "deadline": 8.0},
    "one pauses": {"delays": [[3.0, 1.0], [1.1], [1.2], [1.3]]},
    "one dies": {"delays": [[1.0], [1.1], [1.2], [1.3]], "deaths": {1: 0.5}},
    "two die": {"delays": [[1.0], [1.1], [1.2], [1.3]], "deaths": {0: 0.5, 3: 2.0}},
    "exponential": {"delays": drawn(1, lambda rng, size: rng.exponential(1.0, size)), "backup": True},
    "heavy tails": {"delays": drawn(2, lambda rng, size: rng.pareto(1.5, size)), "deadline": 6.0},
    "short rows": {"delays": [[1e-4], [2e-4], [1e-4], [3e-4]]},
}

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((24, 10)), RNG.standard_normal((10, 18))
TERMS, INPUTS = [lambda x, k=k: x**k for k in range(10)], np.linspace(0.5, 1.5, 3)
FUNCTION_OPTIONS = {"lagrange": {"degree": 2, "rows": 7}, "parity": {"rows": 5}, "uncoded": {}}


def product(name):
    return kofn.schemes.PRODUCTS[name](A, B, rows=9, workers=WORKERS, rng=3), kofn.Decodable()


def total(name):
    code = kofn.schemes.SUMS[name](10, workers=WORKERS, rng=3)
    return SumScheme(code, Terms.of(TERMS), 0.5), kofn.Decodable()


def function(name):
    options = FUNCTION_OPTIONS.get(name, {"rows": 6})
    made = kofn.schemes.FUNCTIONS[name](np.square, INPUTS, workers=WORKERS, rng=3, **options)
    return made.estimating(), kofn.Count(made.enough) if made.enough else kofn.Decodable()


CODES = {
    f"{kind} {name}": (build, name)
    for kind, build, table in (
        ("product", product, kofn.schemes.PRODUCTS),
        ("sum", total, kofn.schemes.SUMS),
        ("function", function, kofn.schemes.FUNCTIONS),
    )
    for name in table
}


def attempts(scheme, stop, delays, deaths=None, backup=False, deadline=math.inf):
    """How a run ended, and [row, worker, submitted, ended, outcome] of each attempt."""
    pool = VirtualPool(delays, deaths)
    results = {}
    stop = stop if math.isinf(deadline) else stop | kofn.Deadline(deadline)
    learner, expect = scheme.learner(), lambda: learner.prior(results)
    collector = Collector(scheme.code, expect, "lmmse", stop, scheme.epsilon, learner.judge, results)
    scheduler = as_scheduler("kofn.run", "auto", scheme.adaptive)
    scheduler = EagerCopies(scheduler) if backup else scheduler
    run = RunLoop(scheme, pool, collector, Placement(pool), scheduler, results, learner)
    try:
        report, end = run.run().report, "exact" if collector.exact else "estimate"
    except NotDecodable:
        report, end = run.estimate().report, "not decodable"
    told = [[a.row, a.worker, round(a.submitted, 9), round(a.ended, 9), a.outcome] for a in report.attempts]
    return [end, *told]


def runs(code):
    """What each history makes of a code."""
    build, name = CODES[code]
    return {history: attempts(*build(name), **options) for history, options in HISTORIES.items()}


if __name__ == "__main__":
    kept = {f"{code}, {history}": run for code in CODES for history, run in runs(code).items()}
    lines = [f"{json.dumps(name)}: {json.dumps(run)}" for name, run in kept.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
