"""Who trains in the paper's study and who beats it: Tegin et al., Tables VII and VIII, and what only decodes better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kofn.simulation import Exponential
from kofn.torch import convert, wide_layers
from torch import nn

RATE = 0.5
"""λ of the exponential delays, Sec. VII-C."""

BLOCKS: Mapping[str, tuple[int, int]] = {"rxc": (3, 3), "cxr": (9, 9)}
"""N = P = 3 or M = 9: nine block products either way."""

UNCODED, REPETITION, CODED = 9, 18, 15
"""Workers, Table VII."""

BEHIND_THE_CURVES: Mapping[str, Any] = {
    "realisation": "ideal",
    "classes": (1, 2, 6),
    "gamma": (0.45, 0.35, 0.20),
    "weights": "mean-absolute",
}
"""The windows that the paper's curves were computed with: Table VIII's classes with other Γ than Table III's."""


KRONECKER_ROWS = {"rxc": "factor", "cxr": "ideal"}
"""A row of the Kronecker code is one product of encoded factors. For column × row it has free coefficients, which,
like the paper's windows there, no worker returns at load 1: 15 encoded factors would meet 81 products A_m B_m'."""


@dataclass(frozen=True)
class TrainingMethod:
    """A way to compute the backward products on workers that straggle.

    Parameters
    ----------
    name : str
        Of its series.
    workers : int
        None where nothing straggles: W of Table VII.
    options : mapping
        Of `kofn.torch.convert`.
    late : bool
        Whether results that miss the deadline are used in the next step, if they come before it.
    wide : bool
        Whether only dense layers are coded that are wide enough for it to pay (`kofn.torch.wide_layers`).
    """

    name: str
    workers: int | None
    options: Mapping[str, Any] = field(default_factory=dict)
    late: bool = False
    wide: bool = False

    def network(self, model: nn.Module, partition: str, deadline: float | None, seed: int) -> nn.Module:
        """Convert a model's dense layers, in place; the others are computed without stragglers (Remark 5).

        Parameters
        ----------
        model : nn.Module
        partition : {"rxc", "cxr"}
        deadline : float
            T_max in seconds.
        seed : int
            Of codes and delays.
        """
        if self.workers is None:
            return model
        options = dict(self.options)
        if options["code"] == "kronecker":
            options["realisation"] = KRONECKER_ROWS[partition]
        dense = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
        if self.wide:
            wide = wide_layers(model, CODED)
            dense = [name for name in dense if name in wide]
        # Both products of a layer go out together, so the next step's come to it after one deadline a layer.
        late = (len(dense) + 1) * deadline if self.late and deadline is not None else None
        return convert(
            model,
            workers=self.workers,
            blocks=BLOCKS[partition],
            partition=partition,
            latency=Exponential(1.0 / RATE),
            deadline=deadline,
            late=late,
            scale_load=True,  # F(Ωt) of Remark 1: all have the same computing power
            layers=dense,
            rng=seed,
            **options,
        )


def _zero_filled(code: str, **options: Any) -> Mapping[str, Any]:
    return {"code": code, "estimator": "exact", "rescale": False, **options}


def _least_squares(code: str, **options: Any) -> Mapping[str, Any]:
    return {"code": code, "estimator": "lmmse", "rescale": False, "principal": False, **options}


def _principal(code: str) -> Mapping[str, Any]:
    return {"code": code, "estimator": "lmmse", "rescale": True, "principal": True}


METHODS: Mapping[str, TrainingMethod] = {
    method.name: method
    for method in (
        TrainingMethod("no-straggler", None),
        TrainingMethod("uncoded", UNCODED, _zero_filled("uncoded")),
        TrainingMethod("rep2", REPETITION, _zero_filled("repetition")),
        TrainingMethod("now", CODED, _zero_filled("now-uep", **BEHIND_THE_CURVES)),
        TrainingMethod("ew", CODED, _zero_filled("ew-uep", **BEHIND_THE_CURVES)),
        TrainingMethod("now-lmmse", CODED, _least_squares("now-uep", **BEHIND_THE_CURVES)),
        TrainingMethod("ew-lmmse", CODED, _least_squares("ew-uep", **BEHIND_THE_CURVES)),
        TrainingMethod("kronecker", CODED, _least_squares("kronecker")),
        TrainingMethod("kronecker-rescaled", CODED, {**_least_squares("kronecker"), "rescale": True}),
        TrainingMethod("kronecker-rescaled-late", CODED, {**_least_squares("kronecker"), "rescale": True}, late=True),
        TrainingMethod("uncoded-rescaled", UNCODED, {**_zero_filled("uncoded"), "rescale": True}),
        TrainingMethod("uncoded-wide", UNCODED, _zero_filled("uncoded"), wide=True),
        TrainingMethod("kronecker-rescaled-wide", CODED, {**_least_squares("kronecker"), "rescale": True}, wide=True),
        TrainingMethod("kronecker-principal-wide", CODED, _principal("kronecker"), wide=True),
        TrainingMethod("kronecker-principal-late-wide", CODED, _principal("kronecker"), late=True, wide=True),
    )
}
"""By name of series: the paper's, the same codes decoded by least squares, and the Kronecker code of kofn.

``-rescaled`` estimates are divided by the mean share of the product that they capture; ``-late`` results that miss
the deadline are used in the next step, which keeps their workers busy for so long; ``-principal`` is rescaled and cuts
principal components of gradients instead of their rows; with ``-wide`` the master computes the products of the last
layer itself, which takes it less than encoding them.
"""
