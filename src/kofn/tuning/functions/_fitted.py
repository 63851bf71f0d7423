"""A code that was fitted to a function and its inputs: ready for `kofn.map`, and callable by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

from ..._base._numbers import Floats, Seed
from ...checks import named, refusal
from ...codes._prior import Prior
from ...jobs._answer import Answer
from ...jobs._lease import PoolLease
from ...jobs._options import OptionKeywords, Options
from ...jobs._plan import Plan
from ...schemes.functions._calls import CALL
from ...schemes.functions._code import stack_inputs
from ...schemes.functions._mixing import Bar
from ...schemes.functions._model import PriorModel
from ...schemes.functions._scheme import CallScheme, FunctionScheme, FunctionTemplate
from ._report import FitReport


@dataclass(frozen=True, eq=False)
class Fitted:
    """What `kofn.fit` returns: give it to `kofn.map` as ``code=``, or call it with inputs.

    Parameters
    ----------
    name : str
        Of the family, and of its decoder where that was learned.
    build : callable
        ``build(inputs, workers=…, rng=…)`` gives the family's scheme.
    decoder : callable
        Turns it into the one that is decoded.
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
    build: Callable[..., CallScheme]
    decoder: Callable[[CallScheme], FunctionScheme]
    calibration: float
    shape: tuple[int, ...]
    report: FitReport
    f: Callable[[Any], Any]

    def evaluations(self, inputs: Any, *, workers: int, rng: Seed = None) -> FunctionScheme:
        """What workers evaluate for these inputs, (K, …)."""
        X = stack_inputs(inputs)
        wanted = (self.report.inputs, *self.shape)
        if X.shape != wanted:
            must = f"have shape {wanted}, as those that this code was fitted to"
            raise refusal(CALL, "inputs", must, X.shape, "call kofn.fit for others")
        scheme = self.decoder(self.build(X, workers=workers, rng=rng))
        model = Calibrated(scheme.model, scheme.code.targets, self.calibration)
        return replace(scheme, model=model, enough=self.report.recover)

    @named(CALL)
    def __call__(self, inputs: Any, *, workers: Any = None, **options: Unpack[OptionKeywords]) -> Answer:
        """The same as ``kofn.map(fitted, inputs, workers=…, **options)``."""
        with PoolLease(workers, CALL) as lease:
            return Plan(FunctionTemplate(self.evaluations, lease.n), lease, Options(**options)).run(inputs)

    def __repr__(self) -> str:
        best = self.report.best
        return f"Fitted({self.name}, error {best.error:.2g}, skill {best.skill:.2f})"


@dataclass(frozen=True, eq=False)
class Calibrated(PriorModel):
    """A model whose error bar is ``ratio`` times as large, of the same energy.

    Parameters
    ----------
    model : PriorModel
    targets : (targets, unknowns) array
    ratio : float

    Examples
    --------
    >>> import numpy as np
    >>> from kofn.schemes import KnownPrior
    >>> one, eye = Prior.independent([1.0, 1.0]), np.eye(2)
    >>> prior = Calibrated(KnownPrior(one), eye, 3.0).first_prior()
    >>> float(prior.loss(eye)) / float(one.loss(eye)), float(prior.energy(eye))
    (9.0, 2.0)
    """

    model: PriorModel
    targets: Floats
    ratio: float

    def first_prior(self) -> Prior:
        """The model's, scaled."""
        return self._scaled(self.model.first_prior())

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """The model's, scaled."""
        return self._scaled(self.model.prior_of_results(results))

    def learner(self) -> Calibrated:
        """The same of the model's learner."""
        return replace(self, model=self.model.learner())

    @property
    def bar(self) -> Bar | None:
        """The model's, scaled."""
        bar = self.model.bar
        return None if bar is None else lambda *estimate: self.ratio * bar(*estimate)

    def _scaled(self, prior: Prior) -> Prior:
        larger = replace(prior, factor=self.ratio * prior.factor)
        energy = float(larger.energy(self.targets))
        share = float(prior.energy(self.targets)) / energy if energy else 1.0
        return replace(larger, share=prior.share * share)
