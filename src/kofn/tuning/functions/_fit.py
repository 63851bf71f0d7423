"""`kofn.fit`: tries every family of codes on a function and its inputs, and returns what did best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._base._numbers import Floats, Seed
from ...checks import generator, integer, number, refusal
from ...schemes.functions._calls import EvaluationFailed
from ._best_linear import Joint
from ._families import Candidate, families
from ._fitted import Fitted
from ._report import FamilyTrial, FitReport, remarks_of
from ._samples import CALL, FEWEST, NOISE, Draws, draw_samples
from ._trials import Decoder, FamilyResults, evaluate_rows, identity, noise_of, try_decoder

SURVIVORS = 2
"""Random sets of survivors for each held-out draw, at least."""

SETS = 64
"""Random sets of survivors in all, at least: with few, a code that is exact from most of them looks as if from all."""

CLEARLY = 0.98
"""A code is preferred to a simpler one only when its error is below this share of the other's."""

MEMORY_BYTES = 1 << 28
"""For the results of one code: fewer draws are used where inputs or outputs are large."""

EXACT = 1e-9
"""Errors below this are rounding, and not compared."""


def fit(
    f: Callable[[Any], Any],
    sampler: Callable[[np.random.Generator], Any],
    *,
    inputs: int,
    recover: int,
    workers: int,
    samples: int = 100,
    seconds: float = 60.0,
    rng: Seed = None,
) -> Fitted:
    """Find the code that suits a function and its inputs, with its measured error; or none.

    Families: repetition, parity models with f as its own parity, Lagrange coding of every degree that R allows,
    Berrut, smoothing splines, and for square matrices Lagrange coding of the best polynomial that closed forms can
    fit to f. Each is decoded as its paper says, and by the best linear decoder that samples can tell.

    Parameters
    ----------
    f : callable
        Takes one input and returns a real number or array, always of one shape.
    sampler : callable
        ``sampler(rng)`` draws one input, an array, with a `numpy.random.Generator`.
    inputs : int
        K, of one call.
    recover : int
        R, results to answer from.
    workers : int
        N, rows; results come from any R of them.
    samples : int
        Draws of K inputs, at least 16: half to learn from, half held out.
    seconds : float
        About how long f may be evaluated for: fewer draws are made where it is slow, but never fewer than 16.
    rng : None, int or Generator
        Draws inputs and stragglers.

    Returns
    -------
    Fitted
        With ``report``; repetition where no code is better.

    Raises
    ------
    ArgumentError
        R > N; f raised, or returned NaN, complex numbers or another shape for some input.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> draw = lambda rng: np.eye(3) + rng.standard_normal((3, 3)) / 10
    >>> fitted = kofn.fit(lambda x: x @ x, draw, inputs=3, recover=5, workers=8, samples=40, rng=0)
    >>> fitted.name
    'lagrange, degree 2'
    """
    K = integer(CALL, "inputs", inputs, 1, "give at least one input to a call")
    R = integer(CALL, "recover", recover, 1, "answer from at least one result")
    N = integer(CALL, "workers", workers, 1, "ask for at least one worker")
    if R > N:
        raise refusal(CALL, "recover", f"be at most workers = {N}", R, "answer from fewer results, or use more workers")
    samples = integer(CALL, "samples", samples, FEWEST, "half of them are held out")
    number(CALL, "seconds", seconds, "60 is the default", strict=True)
    random = generator(CALL, rng)
    draws = _limit(draw_samples(f, sampler, K, samples, seconds / 4, random), seconds, N)
    learning, held_out = draws.halves
    mean_error = _mean_error(learning, held_out)
    sets = max(SURVIVORS, -(-SETS // len(held_out.inputs)))
    survivors = random.permuted(np.tile(np.arange(N), (len(held_out.inputs), sets, 1)), axis=2)[..., :R]
    found: list[tuple[FamilyTrial, Candidate, Decoder]] = []
    failures, noise = [], draws.noise
    for candidate in families(f, learning, R, N):
        try:
            run = evaluate_rows(candidate, held_out, N)
            found += _try_both(candidate, run, learning, held_out, survivors, mean_error)
            noise = max(noise, noise_of(run, held_out))
        except EvaluationFailed as error:
            failures.append(f"{candidate.name} is out: {error}.")
    if not found:
        must, remedy = "be defined at its inputs every time", "see that it keeps no state"
        raise refusal(CALL, "f", must, failures[0].rstrip("."), remedy)
    found = _rank(found)
    trials = [trial for trial, _, _ in found]
    direct = K * draws.seconds
    remarks = remarks_of(trials, noise if noise > NOISE else 0.0, failures, direct)
    report = FitReport(K, R, N, len(held_out.inputs), mean_error, direct, trials, remarks)
    best, candidate, decoder = found[0]
    # Of a function that is not the same twice even copies are off, which promise nothing that could be multiplied.
    calibration = best.error / best.expected if best.error > EXACT and best.expected > 0 else 1.0
    return Fitted(best.name, candidate.build, decoder, calibration, draws.inputs.shape[2:], report, f)


def _limit(draws: Draws, seconds: float, rows: int) -> Draws:
    """So many draws that evaluating about eight codes for each of them stays within the time, and one within memory."""
    in_time = seconds / (8 * rows * max(draws.seconds, 1e-9))
    in_memory = MEMORY_BYTES / (rows * max(draws.inputs[0, 0].nbytes, draws.values[0, 0].nbytes))
    count = int(max(FEWEST, min(len(draws.inputs), in_time, in_memory)))
    return draws[:count]


def _mean_error(learning: Draws, held_out: Draws) -> float:
    mean: Floats = learning.values.mean(axis=(0, 1))
    energy = float(np.sum(held_out.values**2))
    return float(np.sqrt(np.sum((held_out.values - mean) ** 2) / energy)) if energy else 0.0


def _try_both(
    candidate: Candidate, run: FamilyResults, learning: Draws, held_out: Draws, survivors: Any, mean_error: float
) -> list[tuple[FamilyTrial, Candidate, Decoder]]:
    """A code as its paper decodes it and, unless that is exact, by the best linear decoder."""
    own = try_decoder(candidate.name, run, identity, held_out, survivors, mean_error)
    found: list[tuple[FamilyTrial, Candidate, Decoder]] = [(own, candidate, identity)]
    if own.error < EXACT or not candidate.learnable:
        return found
    known = evaluate_rows(candidate, learning, run.results.shape[1])
    decoder = Joint.from_samples(known.schemes[0].code, known.results, learning.values)
    name = f"{candidate.name} + best linear"
    return [*found, (try_decoder(name, run, decoder, held_out, survivors, mean_error), candidate, decoder)]


def _rank(found: list[tuple[FamilyTrial, Candidate, Decoder]]) -> list[tuple[FamilyTrial, Candidate, Decoder]]:
    """Best first; what is not clearly better than a simpler code, one that was tried before, stays behind it.

    What calls itself exact and is not, as Lagrange coding of too small a degree does, comes last. Where not even the
    best is better than the mean, repetition comes first.
    """
    lies = [way for way in found if way[0].expected == 0 and way[0].error > EXACT]
    rest, ordered = sorted((way for way in found if way not in lies), key=lambda way: way[2] is not identity), []
    while rest:
        least = min(trial.error for trial, _, _ in rest)
        first = next(i for i, (trial, _, _) in enumerate(rest) if CLEARLY * trial.error <= max(least, EXACT))
        ordered.append(rest.pop(first))
    if ordered and ordered[0][0].skill <= 0:
        ordered.sort(key=lambda way: not way[0].name.startswith("repetition"))
    return ordered + sorted(lies, key=lambda way: way[0].error)
