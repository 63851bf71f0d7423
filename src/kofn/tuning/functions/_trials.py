"""Trials of codes: estimates of held-out outputs from random survivors, and what they are off by."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Array
from ...codes.decoding._decode import decode
from ...schemes.functions._calls import EvaluationFailed, describe_row, evaluate
from ...schemes.functions._scheme import CallScheme, FunctionScheme
from ._best_linear import row_of_output
from ._families import Candidate
from ._report import FamilyTrial
from ._samples import Draws


@dataclass(frozen=True, eq=False)
class FamilyResults:
    """What workers would return for every draw.

    Parameters
    ----------
    schemes : list of CallScheme, one per draw
    results : (draws, rows, …) array
    encode_seconds, worker_seconds : float
        Of one call, and of one row.
    """

    schemes: list[CallScheme]
    results: Array
    encode_seconds: float
    worker_seconds: float


def evaluate_rows(candidate: Candidate, draws: Draws, rows: int) -> FamilyResults:
    """Run all rows of a code for all draws in this process.

    Raises
    ------
    EvaluationFailed
        f is not defined at a mixture of the inputs, or of another kind there.
    """
    schemes = [candidate.build(X, workers=rows, rng=0) for X in draws.inputs]
    started = time.perf_counter()
    arguments = [each.arguments.of_rows() for each in schemes]
    encoded = time.perf_counter()
    results = [
        [_result(each, row, given[row], draws.values.shape[2:]) for row in range(rows)]
        for each, given in zip(schemes, arguments, strict=True)
    ]
    rest = time.perf_counter() - encoded
    count = len(draws.inputs)
    return FamilyResults(schemes, np.array(results), (encoded - started) / count, rest / count / rows)


def _result(scheme: CallScheme, row: int, arguments: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    place = describe_row(scheme.code, row)
    value = evaluate(scheme.functions[row], place, *arguments)
    if np.iscomplexobj(value) or value.shape != shape:
        found, wanted = f"{value.dtype} of shape {value.shape}", f"real numbers of shape {shape}"
        raise EvaluationFailed(f"f returned {found} at {place}, where its values are {wanted}")
    return value


def noise_of(run: FamilyResults, draws: Draws) -> float:
    """Relative difference of the values of f in two evaluations: rows that are outputs themselves were both."""
    row = row_of_output(run.schemes[0].code)
    values, again = draws.values[:, row >= 0], run.results[:, row[row >= 0]]
    size = float(np.linalg.norm(values))
    return float(np.linalg.norm(again - values)) / size if size else 0.0


Decoder = Callable[[CallScheme], FunctionScheme]


def try_decoder(
    name: str, run: FamilyResults, decoder: Decoder, held_out: Draws, survivors: NDArray[np.intp], mean_error: float
) -> FamilyTrial:
    """One way to decode a code, measured.

    Parameters
    ----------
    run : FamilyResults
        For the held-out draws.
    decoder : callable
        Turns the code's scheme into the one that is decoded.
    survivors : (draws, trials, received) int array
    mean_error : float
        That of the mean predictor.
    """
    loss = promised = energy = 0.0
    started = time.perf_counter()
    for draw, sets in enumerate(survivors):
        scheme = decoder(run.schemes[draw])
        for rows in sets:
            learner = scheme.learner()
            payloads = {int(row): learner.take(int(row), run.results[draw, row]) for row in rows}
            decoding = decode(scheme.code, rows, learner.prior(payloads), scheme.estimator, scheme.epsilon)
            if learner.judge is not None:
                decoding = learner.judge(decoding, list(payloads), list(payloads.values()), 0.0).decoding
            estimate = scheme.assemble(decoding.matrix, list(payloads.values()))
            size = float(np.sum(held_out.values[draw] ** 2))
            loss += float(np.sum((estimate - held_out.values[draw]) ** 2))
            promised += float(decoding.error) ** 2 * size
            energy += size
    each = (time.perf_counter() - started) / survivors[..., 0].size
    error, expected = (np.sqrt(part / energy) if energy else 0.0 for part in (loss, promised))
    skill = 1 - error / mean_error if mean_error else 0.0
    return FamilyTrial(name, float(error), float(skill), float(expected), run.encode_seconds + each, run.worker_seconds)


def identity(scheme: CallScheme) -> FunctionScheme:
    """The decoder that a code has by itself."""
    return scheme.estimating()
