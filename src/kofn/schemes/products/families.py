"""Families of codes over products of blocks, without data: for builders, for simulations, for training.

A family is a description. It draws one code, or the rows of thousands at a time, which one call decodes. Rows do not
depend on each other, so that more rows of a code are one more draw.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..._base._numbers import Floats
from ...checks import choice, integer
from ...codes._linear import LinearCode, groups_of
from .._deal import deal_rows
from ._classes import GAMMA, KINDS, Classes
from ._importance import CALL
from ._operands import generator
from ._shaping import shape_of

REALISATIONS = ("ideal", "factor", "window")


class Coefficients(NamedTuple):
    """Rows of many codes.

    Attributes
    ----------
    generator : (codes, rows, unknowns) array
    load : (codes, rows) array
        Work of each row in units of one block product.
    factors : pair of (codes, rows, N) and (codes, rows, P) arrays, or None
        α and β where a row is α ⊗ β (Tegin et al. 2022, eq. (11)).
    """

    generator: Floats
    load: Floats
    factors: tuple[Floats, Floats] | None = None

    @classmethod
    def kronecker(cls, alpha: Floats, beta: Floats) -> Coefficients:
        """Rows α ⊗ β, of load 1."""
        rows = (alpha[..., :, None] * beta[..., None, :]).reshape(*alpha.shape[:-1], -1)
        return cls(rows, np.ones(alpha.shape[:-1]), (alpha, beta))


@dataclass(frozen=True, eq=False)
class Family(ABC):
    """Codes of one kind over a table of products A_n B_p.

    Parameters
    ----------
    classes : Classes
        Which products are wanted; for `Windows` also how important they are.
    realisation : {"ideal", "factor", "window"}
        What a row is; the first is what the paper's curves assume and no worker can return at its load, unless it
        holds one product only.

        ideal
            A combination of products with free coefficients, said to cost one product. The unknowns are the wanted
            products.
        factor
            Eq. (11): (Σ α_n A_n)(Σ β_p B_p), load 1. It also holds foreign products of the same blocks. The unknowns
            are all N·P products.
        window
            The ideal row, computed: [A_1 … A_k] times the stacked combinations of the B that each A_n meets. Its load
            is the number of blocks of A in it, for column × row that of its products.
    summed : bool
        False: the targets are the wanted products, one by one. True: their sum, which is what column × row is for. The
        two differ under the estimator "exact", which zero-fills targets.
    """

    classes: Classes
    realisation: str = "ideal"
    summed: bool = False

    def __post_init__(self) -> None:
        choice(CALL, "realisation", self.realisation, REALISATIONS, "'factor' is the paper's eq. (11)")

    @property
    @abstractmethod
    def name(self) -> str:
        """What its codes are called in reports."""

    @abstractmethod
    def draw(self, codes: int, rows: int, rng: np.random.Generator) -> Coefficients:
        """Draw the rows of so many codes."""

    def threshold(self, rows: int) -> int | None:
        """How many of so many rows recover every target; None where there is no such number."""
        return None

    @property
    def is_factored(self) -> bool:
        """Whether rows are products of encoded factors, so that foreign products are unknowns too."""
        return self.realisation == "factor"

    @property
    def unknowns(self) -> int:
        """Number of unknowns."""
        return self.classes.label.size if self.is_factored else int(self.classes.wanted.sum())

    @property
    def targets(self) -> Floats:
        """T: what is wanted of the unknowns."""
        each = np.eye(self.unknowns)
        each = each[self.classes.wanted.ravel()] if self.is_factored else each
        return each.sum(axis=0, keepdims=True) if self.summed else each

    def code(self, rows: int, rng: Any = None, workers: int | None = None) -> LinearCode:
        """Draw one code.

        Parameters
        ----------
        rows : int
        rng : None, int or numpy.random.Generator
        workers : int, optional
            One per row by default.
        """
        integer(CALL, "rows", rows, 1, "ask for at least one")
        return self.code_of(self.draw(1, rows, generator(rng)), workers=workers)

    def code_of(self, coefficients: Coefficients, which: int = 0, workers: int | None = None) -> LinearCode:
        """One of the codes that were drawn."""
        rows, load = coefficients.generator[which], coefficients.load[which]
        worker = deal_rows(len(rows), workers, groups_of(rows))
        return LinearCode(self.name, rows, self.targets, worker, load, self.threshold(len(rows)))

    def factors(self, rows: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """α, (rows, N), and β, (rows, P), of one code whose rows are α ⊗ β."""
        factors = self.draw(1, rows, rng).factors
        assert factors is not None
        return factors[0][0], factors[1][0]

    def table(self, rows: Floats) -> Floats:
        """Free coefficients (rows, unknowns) at the places of their products, (rows, N, P); zero elsewhere."""
        table = np.zeros((len(rows), *self.classes.label.shape))
        table[:, self.classes.wanted] = rows
        return table


@dataclass(frozen=True, eq=False)
class Copies(Family):
    """Every wanted product once, or repeated: what is uncoded, and d-block repetition.

    Examples
    --------
    >>> Copies(Classes.of_sizes(2)).code(rows=4).generator.tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """

    name = "repetition"

    def draw(self, codes: int, rows: int, rng: np.random.Generator) -> Coefficients:
        """Repeat the products in order; nothing is drawn."""
        wanted = np.argwhere(self.classes.wanted)
        which = np.arange(rows) % len(wanted)
        if not self.is_factored:
            return Coefficients(_repeat(np.eye(len(wanted))[which], codes), np.ones((codes, rows)))
        eyes = (np.eye(count)[places[which]] for count, places in zip(self.classes.label.shape, wanted.T, strict=True))
        alpha, beta = (_repeat(factor, codes) for factor in eyes)
        return Coefficients.kronecker(alpha, beta)

    def threshold(self, rows: int) -> int | None:
        """All but as many as there are copies of each product, and one."""
        copies = rows // int(self.classes.wanted.sum())
        return rows - copies + 1 if copies else None


@dataclass(frozen=True, eq=False)
class Gaussian(Family):
    """Gaussian rows: almost surely any as many as there are unknowns recover everything.

    Free combinations of products are an ideal MDS code; with ``realisation="factor"`` it is that of
    `kofn.schemes.kronecker`.

    Parameters
    ----------
    first, second : (N,) and (P,) or (N, N) and (P, P) arrays, optional
        What α and β, standard normal, are multiplied by, to shape them; for free coefficients the first alone.

    Examples
    --------
    >>> Gaussian(Classes.of_sizes(3)).code(rows=5, rng=0).threshold
    3
    >>> many = Gaussian(Classes.of_grid(2, 2), "factor").draw(1000, 6, np.random.default_rng(0))
    >>> many.generator.shape
    (1000, 6, 4)
    """

    first: Floats | None = None
    second: Floats | None = None

    @classmethod
    def for_norms(cls, first: Floats, second: Floats) -> Gaussian:
        """The code of `kofn.schemes.kronecker` for blocks of A and of B of these norms, (N,) and (P,)."""
        grid = Classes.of_grid(len(first), len(second))
        return cls(grid, "factor", first=shape_of(first), second=shape_of(second))

    @property
    def name(self) -> str:
        return "kronecker" if self.is_factored else "mds"

    def draw(self, codes: int, rows: int, rng: np.random.Generator) -> Coefficients:
        """Draw α first, then β."""
        n, p = self.classes.label.shape if self.is_factored else (self.unknowns, 0)
        alpha = _shape(rng.standard_normal((codes, rows, n)), self.first)
        if not self.is_factored:
            return Coefficients(alpha, np.ones((codes, rows)))
        return Coefficients.kronecker(alpha, _shape(rng.standard_normal((codes, rows, p)), self.second))

    def threshold(self, rows: int) -> int | None:
        """As many as there are unknowns."""
        return self.unknowns if rows >= self.unknowns else None


@dataclass(frozen=True, eq=False)
class Windows(Family):
    """Random windows with Gaussian coefficients: unequal error protection (Tegin et al. 2022, Sec. IV-B).

    A code so drawn may be undecodable as a whole, so it has no threshold.

    Parameters
    ----------
    kind : {"now", "ew"}
        Non-overlapping or expanding windows.
    gamma : (L,) floats
        Window selection probabilities.

    Examples
    --------
    >>> code = Windows(Classes.of_sizes(2, 1), kind="now", gamma=(0.5, 0.5)).code(rows=4, rng=0)
    >>> (code.generator != 0).astype(int).tolist()
    [[0, 0, 1], [1, 1, 0], [1, 1, 0], [1, 1, 0]]
    >>> Windows(Classes.of_sizes(2, 1), "window", kind="ew", gamma=(0.5, 0.5)).code(rows=4, rng=0).load.tolist()
    [3.0, 2.0, 2.0, 2.0]
    """

    kind: str = "now"
    gamma: ArrayLike = GAMMA

    def __post_init__(self) -> None:
        super().__post_init__()
        choice(CALL, "kind", self.kind, KINDS, "NOW: non-overlapping windows, EW: expanding windows")

    @property
    def name(self) -> str:
        return f"{self.kind}-uep-ideal" if self.realisation == "ideal" else f"{self.kind}-uep"

    def draw(self, codes: int, rows: int, rng: np.random.Generator) -> Coefficients:
        """Draw all windows first, then coefficients: of the blocks that each touches, or of its products."""
        masks = self.classes.draw(self.kind, self.gamma, codes * rows, rng)
        count, n, p = masks.shape
        if self.is_factored:
            alpha = rng.standard_normal((count, n)) * masks.any(axis=2)
            beta = rng.standard_normal((count, p)) * masks.any(axis=1)
            return Coefficients.kronecker(alpha.reshape(codes, rows, n), beta.reshape(codes, rows, p))
        free = rng.standard_normal(masks.shape) * masks
        load = masks.any(axis=2).sum(axis=1) if self.realisation == "window" else np.ones(count)
        generator = free[:, self.classes.wanted].reshape(codes, rows, -1)
        return Coefficients(generator, load.reshape(codes, rows).astype(np.float64))


def _repeat(matrix: Floats, codes: int) -> Floats:
    return np.broadcast_to(matrix, (codes, *matrix.shape))


def _shape(coefficients: Floats, shape: Floats | None) -> Floats:
    if shape is None:
        return coefficients
    return coefficients * shape if shape.ndim == 1 else coefficients @ shape
