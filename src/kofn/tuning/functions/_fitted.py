"""A code that was fitted to a function and its inputs: ready for `kofn.map`, and callable by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..._api._map import map as kofn_map
from ...checks import refusal
from ...codes._prior import Prior
from ...jobs._answer import Answer
from ...schemes.functions._scheme import CALL, Evaluations, stacked
from ._report import FitReport


@dataclass(frozen=True, eq=False)
class Fitted:
    """What `kofn.fit` returns: give it to `kofn.map` as ``code=``, or call it with inputs.

    Parameters
    ----------
    name : str
        Of the family, and of its decoder where that was learned.
    build : callable
        ``build(inputs, workers=…, rng=…)`` gives the family's `Evaluations`.
    decoder : callable
        Turns them into those that are decoded.
    calibration : float
        What the error bar is multiplied by: the error on held-out draws over what was promised for them.
    shape : tuple of int
        Of an input.
    report : FitReport
        What was tried and measured.
    f : callable
        What it was fitted to, and answers for.
    """

    name: str
    build: Callable[..., Evaluations]
    decoder: Callable[[Evaluations], Evaluations]
    calibration: float
    shape: tuple[int, ...]
    report: FitReport
    f: Callable[[Any], Any]

    def evaluations(self, inputs: Any, *, workers: int, rng: Any = None) -> Evaluations:
        """What workers evaluate for these inputs, (K, …)."""
        X = stacked(inputs)
        wanted = (self.report.inputs, *self.shape)
        if X.shape != wanted:
            must = f"have shape {wanted}, as those that this code was fitted to"
            raise refusal(CALL, "inputs", must, X.shape, "call kofn.fit for others")
        evaluations = self.decoder(self.build(X, workers=workers, rng=rng))
        return replace(calibrated(evaluations, self.calibration), enough=self.report.recover, picked=False)

    def __call__(self, inputs: Any, *, workers: Any = None, deadline: float | None = None) -> Answer:
        """The same as ``kofn.map(fitted, inputs, workers=…, deadline=…)``."""
        return kofn_map(self, inputs, workers=workers, deadline=deadline)

    def __repr__(self) -> str:
        best = self.report.best
        return f"Fitted({self.name}, error {best.error:.2g}, skill {best.skill:.2f})"


def calibrated(evaluations: Evaluations, ratio: float) -> Evaluations:
    """The same evaluations with an error bar ``ratio`` times as large, of the same energy.

    Examples
    --------
    >>> import numpy as np
    >>> from kofn.schemes import FUNCTIONS
    >>> made = FUNCTIONS["repetition"](np.sin, [1.0, 2.0])
    >>> prior = calibrated(made, 3.0).expect()
    >>> float(prior.loss(np.eye(2))) / float(made.expect().loss(np.eye(2))), float(prior.energy(np.eye(2)))
    (9.0, 2.0)
    """
    targets = evaluations.code.targets

    def scaled(prior: Prior) -> Prior:
        larger = replace(prior, factor=ratio * prior.factor)
        energy = float(larger.energy(targets))
        return larger if energy == 0 else replace(larger, share=prior.share * float(prior.energy(targets)) / energy)

    learn, bar = evaluations.learn, evaluations.bar
    return replace(
        evaluations,
        expect=lambda: scaled(evaluations.expect()),
        learn=None if learn is None else lambda results: scaled(learn(results)),
        bar=None if bar is None else lambda *estimate: ratio * bar(*estimate),
    )
