"""The setting of Tegin et al. 2022, Sec. VI, and every code that its figures compare.

Both factors have blocks of variance 10, 1 and 0.1: three of them for row × column (N = P = 3), three of each for
column × row (M = 9). Either way a block product costs the same, there are nine, and 30 workers.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from kofn.codes import LinearCode, Prior, chebyshev_nodes, chebyshev_rows
from kofn.schemes import Classes
from kofn.schemes.products import GAMMA, coefficients_of_pairs
from kofn.schemes.products.families import Gaussian, Windows
from kofn.simulation import Exponential
from kofn.simulation.theory import KINDS, decoding_probabilities, oracle_loss, repetition_loss, zero_fill_loss
from kofn.tuning.products import Design, design_for

from .._types import Floats
from .sampling import UNSEEN, SampledCode

PAPER = "Tegin et al. 2022, Sec. VI"
WORKERS = 30
SIZES = (3, 3, 3)
PARTS = 9

VARIANCES = np.array([10.0, 1.0, 0.1])
ENERGIES: dict[str, Floats] = {
    "rxc": np.outer(VARIANCES, VARIANCES),
    "cxr": np.repeat(VARIANCES, 3) ** 2,
}
"""E‖A_n B_p‖² and E‖A_m B_m‖² in units of UHQ, eq. (12)."""

CLASSES: dict[str, Classes] = {partition: Classes.by_size(energies, SIZES) for partition, energies in ENERGIES.items()}

PRIORS: dict[str, Prior] = {partition: Prior.independent(e.ravel()) for partition, e in ENERGIES.items()}

PAIRS = Prior.independent(np.outer(np.repeat(VARIANCES, 3), np.repeat(VARIANCES, 3)).ravel())
"""Of all products A_m B_m', cross terms included."""


def class_energies(partition: str) -> Floats:
    """Energy of each class, k_l·σ²_{l,A}·σ²_{l,B}, (3,).

    Examples
    --------
    >>> class_energies("rxc").round(3)
    array([120.  ,   3.  ,   0.21])
    """
    classes, energies = CLASSES[partition], ENERGIES[partition]
    table = energies if energies.ndim == 2 else np.diag(energies)
    return np.bincount(classes.label[classes.wanted], weights=table[classes.wanted])


def closed_forms(partition: str) -> dict[str, Floats]:
    """Losses by count that need no sampling, each (31,): name → loss after w results.

    Examples
    --------
    >>> closed_forms("rxc")["now-rxc"][:4].round(3)
    array([1.   , 1.   , 1.   , 0.937])
    """
    energies = ENERGIES[partition].ravel()
    losses = {
        f"{kind}-{partition}": zero_fill_loss(
            decoding_probabilities(kind, SIZES, GAMMA, WORKERS), class_energies(partition)
        )
        for kind in KINDS
    }
    losses["mds"] = np.where(np.arange(WORKERS + 1) < PARTS, 1.0, 0.0)
    copies = WORKERS // PARTS + (np.arange(PARTS) < WORKERS % PARTS)  # the most important ones have one more
    losses[f"repetition-{partition}"] = repetition_loss(np.sort(energies)[::-1], copies)
    losses[f"oracle-{partition}"] = oracle_loss(energies, WORKERS)
    return losses


def uncoded(partition: str) -> Floats:
    """Loss after 0 … 9 results of nine workers without a code, (10,)."""
    return repetition_loss(ENERGIES[partition].ravel(), np.ones(PARTS, dtype=int))


def published(partition: str) -> list[SampledCode]:
    """The paper's codes with its decoder, to be sampled: free coefficients, zeros for what is not decoded."""
    return [
        SampledCode(
            f"{kind}-{partition}-mc",
            _windows(kind, partition, "ideal", False).code,
            PRIORS[partition],
            "exact",
            UNSEEN,
        )
        for kind in KINDS
    ]


def row_column() -> list[SampledCode]:
    """What least squares makes of row × column codes, all at load 1; a new code is added here."""
    prior, norms = PRIORS["rxc"], np.sqrt(VARIANCES)
    return [
        SampledCode("now-rxc-lmmse", _windows("now", "rxc", "ideal", False).code, prior),
        SampledCode("ew-rxc-lmmse", _windows("ew", "rxc", "ideal", False).code, prior),
        SampledCode("mds-rxc-lmmse", Gaussian(Classes.of_sizes(PARTS)).code, prior),
        SampledCode("now-rxc-factor-lmmse", _windows("now", "rxc", "factor", False).code, prior),
        SampledCode("ew-rxc-factor-lmmse", _windows("ew", "rxc", "factor", False).code, prior),
        SampledCode("kronecker-rxc-lmmse", Gaussian.for_norms(norms, norms).code, prior),
        SampledCode("designed-rxc-lmmse", _designed, prior),
    ]


def column_row() -> list[SampledCode]:
    """What least squares makes of column × row codes at load 1: ideal rows, and products of encoded factors."""
    return [
        SampledCode("now-cxr-lmmse", _windows("now", "cxr", "ideal", True).code, PRIORS["cxr"]),
        SampledCode("ew-cxr-lmmse", _windows("ew", "cxr", "ideal", True).code, PRIORS["cxr"]),
        SampledCode("now-cxr-factor-lmmse", _windows("now", "cxr", "factor", True).code, PAIRS),
        SampledCode("ew-cxr-factor-lmmse", _windows("ew", "cxr", "factor", True).code, PAIRS),
        SampledCode("matdot-lmmse", _matdot, PAIRS.transformed(coefficients_of_pairs(PARTS))),
    ]


def windows() -> list[SampledCode]:
    """Column × row windows as workers compute them: ideal rows at a load of the window's size."""
    prior = PRIORS["cxr"]
    return [
        SampledCode(f"{kind}-cxr-window{name}", _windows(kind, "cxr", "window", summed).code, prior, estimator)
        for kind in KINDS
        for name, summed, estimator in (("", False, "exact"), ("-lmmse", True, "lmmse"))
    ]


def _windows(kind: str, partition: str, realisation: str, summed: bool) -> Windows:
    return Windows(CLASSES[partition], realisation, summed, kind=kind, gamma=GAMMA)


def _matdot(rows: int, rng: np.random.Generator) -> LinearCode:
    """MatDot's one code of 30 rows."""
    unknowns = 2 * PARTS - 1
    return _repeated("matdot", chebyshev_rows(chebyshev_nodes(WORKERS), unknowns), np.eye(1, unknowns), rows, rng)


def _designed(rows: int, rng: np.random.Generator) -> LinearCode:
    """The one code of `kofn.design` for a deadline of a quarter."""
    return _repeated("designed", design_of_setting().code.generator, np.eye(PARTS), rows, rng)


@cache
def design_of_setting() -> Design:
    """What `kofn.design` finds for these energies, workers and latency at T_max = 0.25."""
    return design_for(PRIORS["rxc"], (3, 3), workers=WORKERS, latency=Exponential(1.0), deadline=0.25, rng=0)


def _repeated(name: str, generator: Floats, targets: Floats, rows: int, rng: np.random.Generator) -> LinearCode:
    """The same 30 rows as often as asked for, each time in another order."""
    order = rng.permuted(np.tile(np.arange(WORKERS), (rows // WORKERS, 1)), axis=1).ravel()
    return LinearCode(name, generator[order], targets, np.arange(rows))
