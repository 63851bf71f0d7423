"""Codes over terms that lie at workers: who adds up a term has it, as far as the code lets everybody have as many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...codes._linear import LinearCode
from ...codes._near import near_places


def near_terms(code: LinearCode, homes: Sequence[int], workers: int) -> LinearCode:
    """The same code with its columns in another order, which changes nothing of a sum.

    Parameters
    ----------
    code : LinearCode
        With a sparse generator.
    homes : sequence of int
        The worker where each term lies.
    workers : int

    Examples
    --------
    >>> from kofn.schemes import SUMS
    >>> from kofn.schemes.sums._code import csr
    >>> code = SUMS["uncoded"](4, workers=2)
    >>> near_terms(code, [1, 0, 1, 0], 2).generator.toarray().astype(int).tolist()
    [[0, 1, 0, 1], [1, 0, 1, 0]]
    """
    owners = code.on_workers(workers).worker
    order = code.generator.tocoo()
    first = np.full(code.unknowns, code.rows)
    np.minimum.at(first, order.col, order.row)  # the row that is to bring a column, if nothing is late
    bringing = [int(owners[row]) if row < code.rows else -1 for row in first.tolist()]
    column_of = near_places(bringing, homes)
    generator = code.generator[:, column_of]
    generator.sort_indices()
    return replace(code, generator=generator)
