"""The row blocks of a matrix, coded as those of a product are, to lie at workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from scipy.sparse import issparse

from .._base._numbers import Array, epsilon_of
from ..arrays._blocks import Blocks
from ..arrays._scaling import balance, sizes_of, spread_of
from ..arrays._spans import Spans
from ..codes._linear import LinearCode
from ..jobs._memory import check_memory
from ..jobs._placement import size_of
from ..schemes import mds, mds_chebyshev, repetition, uncoded
from ..schemes._encoding import Factor
from ..schemes._scheme import Scheme
from ..schemes._task import Allocate
from ..schemes.products._scheme import SKETCH, left_sketches, real_type
from ._pieces import raised
from ._side import Side

CALL = "kofn.operator"

CODES = {"mds": mds, "mds-chebyshev": mds_chebyshev, "repetition": repetition, "uncoded": uncoded}
"""Codes on the row blocks of a matrix whose coefficients do not depend on the data."""

COPIES = (repetition, uncoded)
"""Those that combine nothing."""


@final
@dataclass(frozen=True)
class RowBlocks:
    """A code of products on the row blocks of a matrix, all of whose rows workers compute.

    Parameters
    ----------
    build : callable
        One of `CODES`.
    blocks, rows : int or None
        As of `kofn.operator`.
    workers : int
    """

    build: Callable[..., Scheme]
    blocks: int | None
    rows: int | None
    workers: int

    @property
    def redundancy(self) -> int:
        """None that was asked for."""
        return 0

    @property
    def mixes(self) -> bool:
        """Whether blocks are combined."""
        return self.build not in COPIES

    def side(
        self, source: Any, sizes: Array, key: int, allocate: Allocate, limit: Any, rng: np.random.Generator
    ) -> Side:
        """A matrix with rows of these norms, encoded within a limit of bytes; workers get it with the first product."""
        blocks = None if self.blocks is None else (self.blocks, 1)
        shape = np.zeros((source.shape[0], 1)), np.zeros((1, 1))
        code = self.build(*shape, blocks=blocks, rows=self.rows, workers=self.workers, rng=rng).code
        spans = Spans(source.shape[0], code.unknowns)
        spans = balance(sizes, spans, epsilon_of(source), mixed=code.mixes)
        if code.mixes:
            code = replace(code, spread=spread_of(sizes_of(sizes, spans), np.ones((1, 1))))
        encoded = (
            _sparse(source, code, spans, limit) if issparse(source) else _dense(source, code, spans, allocate, limit)
        )
        return Side(code, spans, encoded, _sketches(source, spans, rng), key, source.shape[0])


def _dense(source: Array, code: LinearCode, spans: Spans, allocate: Allocate, limit: Any) -> list[Any]:
    factor = Factor(code.generator, Blocks(source, spans, 0))
    check_memory(CALL, factor.encoded_bytes, limit)
    return factor.encode(allocate)


def _sparse(source: Any, code: LinearCode, spans: Spans, limit: Any) -> list[Any]:
    rows = raised(source, spans)
    blocks = [rows[span] for span in spans.slices]
    for block in blocks:
        block.resize((spans.size, rows.shape[1]))
    distinct, which = np.unique(code.generator, axis=0, return_inverse=True)
    encoded: list[Any] = []
    held = 0
    for coefficients in distinct:
        used = [blocks[i] for i in np.flatnonzero(coefficients)]
        # How many entries a combination has is known when it is made; no fewer than each of its blocks.
        check_memory(CALL, held + max(map(size_of, used), default=0), limit)
        encoded.append(_combined(coefficients, blocks).astype(source.dtype))
        held += size_of(encoded[-1])
    check_memory(CALL, held, limit)
    return [encoded[index] for index in which.reshape(-1)]


def _combined(coefficients: Array, blocks: list[Any]) -> Any:
    used = np.flatnonzero(coefficients)
    return sum(coefficients[i] * blocks[i] for i in used[1:]) + coefficients[used[0]] * blocks[used[0]]


def _sketches(source: Any, spans: Spans, rng: np.random.Generator) -> Array:
    psi = rng.standard_normal((SKETCH, spans.size)).astype(real_type(source.dtype))
    if not issparse(source):
        return left_sketches(psi, Blocks(source, spans, 0))
    rows = raised(source, spans)
    return np.stack([(rows[span].T @ psi[:, : span.stop - span.start].T).T for span in spans.slices])
