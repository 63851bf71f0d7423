"""Codes over terms that lie at workers: who adds up a term has it, as far as the code lets everybody have as many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...codes._linear import LinearCode


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
    waiting = defaultdict(list)
    for term, home in reversed(list(enumerate(homes))):
        waiting[home].append(term)
    column_of = np.full(code.unknowns, -1)
    late = []
    for column, row in enumerate(first.tolist()):
        mine = waiting[int(owners[row])] if row < code.rows else []
        if mine:
            column_of[mine.pop()] = column
        else:
            late.append(column)
    column_of[np.flatnonzero(column_of < 0)] = late
    generator = code.generator[:, column_of]
    generator.sort_indices()
    return replace(code, generator=generator)
