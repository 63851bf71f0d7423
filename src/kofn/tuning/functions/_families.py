"""The families that `kofn.fit` tries for a function, from the cheapest to the most elaborate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...schemes import FUNCTIONS
from ...schemes.functions._scheme import CallScheme
from ._parities import NUMBERS, learn_parities
from ._samples import Draws


@dataclass(frozen=True, eq=False)
class Candidate:
    """A code for one function.

    Parameters
    ----------
    name : str
    build : callable
        ``build(inputs, workers=…, rng=…)`` gives its scheme.
    learnable : bool
        Whether a linear decoder is worth learning: not where one belongs to the code, or was learned for equal rows.
    """

    name: str
    build: Callable[..., CallScheme]
    learnable: bool = True


def families(f: Callable[[Any], Any], draws: Draws, recover: int, rows: int) -> Iterator[Candidate]:
    """Every code that can answer from ``recover`` of ``rows`` results.

    Examples
    --------
    >>> from ._samples import draw_samples
    >>> draws = draw_samples(np.sin, lambda rng: rng.standard_normal(3), 2, 10, 1.0, np.random.default_rng(0))
    >>> [candidate.name for candidate in families(np.sin, draws, 3, 4)]
    ['repetition', 'parity', 'learned parity', 'lagrange, degree 1', 'lagrange, degree 2', 'berrut', 'letcc', 'kriging']
    """
    K, real = draws.inputs.shape[1], np.isrealobj(draws.inputs)
    if rows >= K:
        yield Candidate("repetition", partial(FUNCTIONS["repetition"], f, rows=rows))
    if rows > K:
        yield Candidate("parity", partial(FUNCTIONS["parity"], f, rows=rows))
    if rows > K and real and draws.inputs[0, 0].size <= NUMBERS:
        parities = learn_parities(draws, rows - K, np.random.default_rng(0))
        yield Candidate("learned parity", partial(FUNCTIONS["parity"], f, rows=rows, parities=parities))
    if K > 1:
        for degree in range(1, (recover - 1) // (K - 1) + 1):
            build = partial(FUNCTIONS["lagrange"], f, degree=degree, rows=rows)
            yield Candidate(f"lagrange, degree {degree}", build, learnable=degree == 1)
    for name in ("berrut", "letcc", "kriging"):
        yield Candidate(name, partial(FUNCTIONS[name], f, rows=rows))
    shape = draws.inputs.shape[2:]
    if K > 1 and real and recover > 1 and len(shape) == 2 and shape[0] == shape[1] > 1:
        from ..learned._structured import structured_code

        learned = structured_code(draws.inputs, draws.values, recover=recover, rows=rows)
        yield Candidate("lagrange-fit", learned.evaluations, learnable=False)
