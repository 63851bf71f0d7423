"""Random codes, many at a time: the rows that workers are given in each of the next steps.

The codes are those of `kofn.schemes`; here they are drawn for many steps at once, so that one call decodes them
all. With ``partition="rxc"`` unknown (n, p) is A_n B_p; with "cxr" unknown m is A_m B_m, or (m, m') is A_m B_m'
where rows are products of encoded factors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._base._numbers import Floats
from ..codes._prior import Prior
from ..schemes.products._classes import Classes
from ..schemes.products._kronecker import FLOOR, SINGLE_FLOOR
from ..schemes.products._shaping import Directions
from ..schemes.products._uep_code import factor_rows, free_rows
from ._options import Coding

SINGLE = 1e-10
"""A precision above which numbers are single or less."""


class Rows(NamedTuple):
    """Rows of many codes.

    Attributes
    ----------
    generator : (codes, rows, unknowns) array
    load : (codes, rows) array
        Work of each row in units of one block product.
    factors : pair of (codes, rows, N) and (codes, rows, P) arrays, or None
        α and β where a row is α ⊗ β, eq. (11).
    """

    generator: Floats
    load: Floats
    factors: tuple[Floats, Floats] | None


def draw(
    coding: Coding,
    cut: tuple[int, int],
    prior: Prior,
    importance: Floats,
    count: int,
    rng: np.random.Generator,
    epsilon: float,
) -> Rows:
    """Draw the rows of ``count`` codes, most important blocks first.

    Parameters
    ----------
    coding : Coding
    cut : (N, P)
    prior : Prior
        Of the unknowns: what Kronecker codes are shaped by.
    importance : (N, P) or (M,) array
        Of the products by the weights of their factors: what the classes of UEP codes are made by.
    count : int
    rng : numpy.random.Generator
    epsilon : float
        Relative precision of results.
    """
    if coding.plain:
        return _plain(coding, cut, count)
    if coding.code == "kronecker":
        return _shaped(coding, cut, prior, count, rng, SINGLE_FLOOR if epsilon > SINGLE else FLOOR)
    return _windows(coding, cut, importance, count, rng)


def targets_of(coding: Coding, cut: tuple[int, int]) -> Floats:
    """What is wanted of the unknowns: all of them, or for column × row their sum (eqs. (3), (4)).

    Zero filling knows no sums: the parts A_m B_m are then recovered one by one and added afterwards.
    """
    if coding.partition == "rxc":
        return np.eye(coding.unknowns(cut))
    diagonal = np.eye(cut[0] * cut[0])[:: cut[0] + 1] if coding.factored else np.eye(cut[0])
    return diagonal if coding.estimator == "exact" else diagonal.sum(axis=0, keepdims=True)


def _plain(coding: Coding, cut: tuple[int, int], count: int) -> Rows:
    """Every block product once, or repeated (Table VII)."""
    n, p = cut
    product = np.arange(coding.row_count(cut)) % coding.products(cut)
    generator = _repeated(np.eye(coding.products(cut))[product], count)
    factors = _repeated(np.eye(n)[product // p], count), _repeated(np.eye(p)[product % p], count)
    return Rows(generator, np.ones(generator.shape[:2]), factors if coding.factored else None)


def _shaped(
    coding: Coding, cut: tuple[int, int], prior: Prior, count: int, rng: np.random.Generator, floor: float
) -> Rows:
    """Gaussian coefficients whose sizes and directions follow the energies (`kofn.schemes.kronecker`)."""
    n, p = cut if coding.factored else (coding.unknowns(cut), 1)
    first, second = Directions.of_prior(prior, n, p).shape(1.0, floor)
    rows = coding.row_count(cut)
    alpha = rng.standard_normal((count, rows, n)) @ first
    if not coding.factored:
        return Rows(alpha, np.ones((count, rows)), None)
    return _kronecker(alpha, rng.standard_normal((count, rows, p)) @ second)


def _windows(coding: Coding, cut: tuple[int, int], importance: Floats, count: int, rng: np.random.Generator) -> Rows:
    """Random windows over classes of importance: NOW and EW (Sec. IV-B)."""
    rows = coding.row_count(cut)
    sizes, gamma = coding.class_sizes(coding.products(cut))
    classes = Classes.by_size(importance, sizes)
    masks = classes.draw(coding.code.removesuffix("-uep"), gamma, count * rows, rng)
    if coding.factored:
        alpha, beta = factor_rows(masks, rng)
        return _kronecker(alpha.reshape(count, rows, -1), beta.reshape(count, rows, -1))
    free = free_rows(masks, rng)
    load = free.any(axis=2).sum(axis=1) if coding.realisation == "window" else np.ones(len(free))
    return Rows(free[:, classes.wanted].reshape(count, rows, -1), load.reshape(count, rows).astype(np.float64), None)


def _kronecker(alpha: Floats, beta: Floats) -> Rows:
    generator = (alpha[..., :, None] * beta[..., None, :]).reshape(*alpha.shape[:2], -1)
    return Rows(generator, np.ones(alpha.shape[:2]), (alpha, beta))


def _repeated(matrix: Floats, count: int) -> Floats:
    return np.broadcast_to(matrix, (count, *matrix.shape))
