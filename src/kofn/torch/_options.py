"""What is asked of the coded products of a layer: one frozen record, checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

from ..checks import choice, integer, probabilities, refusal
from ..codes.decoding._estimators import ESTIMATORS
from ..schemes._deal import default_redundancy
from ..schemes.products._cuts import PARTITIONS
from ..schemes.products._importance import WEIGHTINGS, even_sizes
from ..schemes.products._operands import balance_blocks
from ._principal import turning_pays

CALL = "kofn.torch.convert"
CODES = ("uncoded", "repetition", "now-uep", "ew-uep", "kronecker")
REALISATIONS = ("factor", "ideal", "window")


class CodingKeywords(TypedDict, total=False):
    """The parameters of `CodingOptions`, as keywords of `kofn.torch.convert`."""

    code: str
    rows: int | None
    blocks: tuple[int, int] | None
    partition: str
    realisation: str
    estimator: str
    rescale: bool
    classes: Sequence[int] | None
    gamma: Sequence[float]
    weights: str
    scale_load: bool
    principal: bool | None


@dataclass(frozen=True)
class CodingOptions:
    """How the backward products of layers are cut, coded and estimated.

    Parameters
    ----------
    code : {"kronecker", "uncoded", "repetition", "now-uep", "ew-uep"}
    rows : int, optional
        Coded rows; one per worker by default.
    blocks : (N, P) or (M, M), optional
        Groups of rows of the first and columns of the second factor, or for "cxr" of the inner dimension. Never
        more than there is to group. By default as many products as leave a quarter of the rows to spare.
    partition : {"rxc", "cxr"}
        Row × column, eq. (3), or column × row, eq. (4).
    realisation : {"factor", "ideal", "window"}
        What a row is, as in `kofn.schemes.families`; "ideal" is what the paper's curves assume and no worker
        can return at its load, unless rows are single products.
    estimator : {"lmmse", "exact"}
        What is not exact is estimated by least squares, or zero as in the paper.
    rescale : bool
        Divide estimates by the running mean of the share that they capture, so that gradients have the right
        size on average.
    classes, gamma : sequences
        Class sizes and window probabilities of UEP codes (Tables III and VIII); equal sizes by default.
    weights : {"frobenius", "mean-absolute"}
        What rows and columns are sorted by.
    scale_load : bool
        Give every code the same computing power in all: a block product takes a worker rows / products times
        as long, F(Ωt) of Remark 1.
    principal : bool, optional
        Cut the principal components of a gradient's rows instead of the rows themselves, so that a few blocks carry
        most of the product; row × column, and only where turning costs the master less than the product itself.
        By default with ``code="kronecker"``.

    Examples
    --------
    >>> coding = CodingOptions("kronecker", rows=15, blocks=(3, 3))
    >>> coding.cut(64, 100, 10), coding.cut(2, 100, 10)
    ((3, 3), (2, 3))
    >>> CodingOptions("uncoded", rows=9, blocks=(9, 9), partition="cxr").unknowns((9, 9))
    9
    """

    code: str = "kronecker"
    rows: int | None = None
    blocks: tuple[int, int] | None = None
    partition: str = "rxc"
    realisation: str = "factor"
    estimator: str = "lmmse"
    rescale: bool = True
    classes: Sequence[int] | None = None
    gamma: Sequence[float] = (0.40, 0.35, 0.25)
    weights: str = "frobenius"
    scale_load: bool = False
    principal: bool | None = None

    def __post_init__(self) -> None:
        choice(CALL, "code", self.code, CODES, "'kronecker' is the usual choice")
        choice(CALL, "partition", self.partition, PARTITIONS, "row × column or column × row")
        choice(CALL, "realisation", self.realisation, REALISATIONS, "'factor' is the paper's eq. (11)")
        choice(CALL, "estimator", self.estimator, [e for e in ESTIMATORS if e != "peeling"], "'lmmse' is usual")
        choice(CALL, "weights", self.weights, WEIGHTINGS, "'frobenius' is the usual choice")
        if self.rows is not None:
            integer(CALL, "rows", self.rows, 1, "ask for at least one coded row")
        if self.realisation == "window" and (self.partition == "rxc" or self.code == "kronecker"):
            must, remedy = "be 'factor' or 'ideal' for this code", "windows are for UEP codes with partition='cxr'"
            raise refusal(CALL, "realisation", must, repr(self.realisation), remedy)
        if self.blocks is not None:
            self._check_blocks(self.blocks)
        gamma = tuple(probabilities(CALL, "gamma", self.gamma).tolist())
        object.__setattr__(self, "gamma", gamma)
        if self.classes is not None:
            self._check_classes(self.classes)

    def _check_classes(self, classes: Any) -> None:
        must, remedy = f"have one size for each of the {len(self.gamma)} numbers in 'gamma'", "change one of them"
        if not isinstance(classes, Sequence) or isinstance(classes, str) or len(classes) != len(self.gamma):
            raise refusal(CALL, "classes", must, repr(classes), remedy)
        for size in classes:
            integer(CALL, "classes", size, 1, "leave out empty classes")

    def _check_blocks(self, blocks: Any) -> None:
        try:
            first, second = blocks
        except (TypeError, ValueError):
            raise refusal(CALL, "blocks", "be a pair (N, P)", repr(blocks), "leave it out") from None
        for count in (first, second):
            integer(CALL, "blocks", count, 1, "use at least one block in each direction")
        if self.partition == "cxr" and first != second:
            must = "be (M, M) for column × row, which cuts the inner dimension of both"
            raise refusal(CALL, "blocks", must, tuple(blocks), f"use ({first}, {first})")

    @classmethod
    def of(cls, coding: CodingOptions | None, changes: Mapping[str, Any]) -> CodingOptions:
        """The options that were given together, with those changed that were given by keyword."""
        if coding is not None and not isinstance(coding, cls):
            remedy = "write kofn.torch.CodingOptions(blocks=(3, 3)), for example"
            raise refusal(CALL, "coding", "be CodingOptions", repr(coding), remedy)
        for name in changes:
            if name not in CodingKeywords.__annotations__:
                raise TypeError(f"{CALL} got an unexpected keyword argument {name!r}; see kofn.torch.CodingOptions")
        return replace(coding or cls(), **changes)

    def for_workers(self, count: int) -> CodingOptions:
        """The same with a row for each of so many workers, unless their number is given."""
        return self if self.rows is not None else replace(self, rows=count)

    @property
    def is_plain(self) -> bool:
        """Whether each row is one block product: no code, or repetition."""
        return self.code in ("uncoded", "repetition")

    @property
    def has_windows(self) -> bool:
        """Whether rows are random windows over classes of importance: NOW or EW."""
        return self.code.endswith("-uep")

    @property
    def is_factored(self) -> bool:
        """Whether rows are products of two encoded factors, so that cross terms are unknowns too."""
        return self.partition == "rxc" if self.is_plain else self.realisation == "factor"

    def turns(self, rows: int, inner: int, columns: int) -> bool:
        """Whether principal components are cut instead of the first factor's rows: kofn's own code does by default.

        Examples
        --------
        >>> CodingOptions("kronecker").turns(64, 512, 7200), CodingOptions("ew-uep").turns(64, 512, 7200)
        (True, False)
        """
        wanted = self.code == "kronecker" if self.principal is None else self.principal
        return wanted and turning_pays(rows, inner, columns)

    def cut(self, rows: int, inner: int, columns: int) -> tuple[int, int]:
        """Numbers of blocks of a product of these sizes: as asked for, never more than there is to cut.

        A batch smaller than the number of groups is cut into single samples.
        """
        assert self.rows is not None
        limit = max(1, self.rows - default_redundancy(self.rows))
        if self.partition == "rxc":
            first, second = self.blocks or balance_blocks(limit, rows, columns)
            return min(first, rows), min(second, columns)
        # Factored rows hold all M² cross terms, and take as many results.
        usual = math.isqrt(limit) if self.is_factored else limit
        parts = min(self.blocks[0] if self.blocks else usual, inner)
        return parts, parts

    def products(self, cut: tuple[int, int]) -> int:
        """Block products that make the whole product: N·P, or M."""
        return cut[0] * cut[1] if self.partition == "rxc" else cut[0]

    def unknowns(self, cut: tuple[int, int]) -> int:
        """Block products that rows may hold."""
        return cut[0] * cut[1] if self.is_factored else self.products(cut)

    def row_count(self, cut: tuple[int, int]) -> int:
        """Coded rows: without a code as many as there are block products, repeated in full."""
        assert self.rows is not None
        products = self.products(cut)
        if self.code == "uncoded":
            return products
        return max(1, self.rows // products) * products if self.code == "repetition" else self.rows

    def class_sizes(self, products: int) -> tuple[list[int], list[float]]:
        """Class sizes k_l and window probabilities Γ_l for so many products (Tables III and VIII).

        Where there are fewer products than the sizes sum to, the last classes are smaller or missing.

        Examples
        --------
        >>> CodingOptions("ew-uep", classes=(1, 2, 6), gamma=(0.45, 0.35, 0.20)).class_sizes(9)
        ([1, 2, 6], [0.45, 0.35, 0.2])
        >>> CodingOptions("ew-uep", classes=(1, 2, 6), gamma=(0.5, 0.25, 0.25)).class_sizes(1)
        ([1], [1.0])
        """
        sizes = even_sizes(products, len(self.gamma)) if self.classes is None else list(self.classes)
        ends = np.minimum(np.cumsum(sizes), products)
        kept = [int(size) for size in np.diff(ends, prepend=0) if size]
        kept[-1] += products - sum(kept)
        gamma = list(self.gamma)[: len(kept)]
        return kept, [g / sum(gamma) for g in gamma] if len(kept) < len(self.gamma) else gamma
