"""Matrices that lie at the workers, in the form in which an engine's users have them, and answers brought here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..._api._remote import scatter
from ...arrays._remote import RemoteMatrix
from ...engines import references_of
from ...engines._client_references import ClientReferences
from ...engines._protocol import Pool
from ...engines._references import ReferencePool
from ...jobs._answer import Answer
from .._battery import require

PATIENCE = 30.0
"""Seconds for a block to come here."""


def keeping(pool: Pool) -> ReferencePool:
    """The pool, or where its workers keep nothing one before it that holds values here."""
    return references_of(pool)


def at_the_workers(matrix: Any, pool: ReferencePool) -> Any:
    """A matrix in blocks of rows at the workers: a dask.array, ObjectRefs in lists, or a `RemoteMatrix`."""
    blocks = scatter(matrix, pool)
    return blocks if isinstance(pool, ClientReferences) else pool.export(blocks)


def brought_here(answer: Answer, pool: ReferencePool) -> Answer:
    """The same answer with its value in this process."""
    if isinstance(answer.value, np.ndarray):
        return answer
    found = pool.adopt(answer.value)
    require(found is not None, f"a pool does not know its own {type(answer.value).__name__} again")
    value = _fetched(cast(RemoteMatrix, found), pool)
    return replace(answer, assemble=lambda: value)


def _fetched(matrix: RemoteMatrix, pool: ReferencePool) -> Any:
    futures = [[cast(Any, pool.fetch(ref)) for ref in row] for row in matrix.blocks]
    return np.block([[future.result(PATIENCE) for future in row] for row in futures])
