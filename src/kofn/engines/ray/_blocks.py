"""Matrices of other people's blocks in Ray's store, which this process does not read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ...arrays._spec import ArraySpec
from ...checks import refusal
from .._references import Ref, RemoteMatrix
from ._kept import KeptObject
from ._values import looked_at, placed

REMEDY = "pass a list of lists of ObjectRefs of arrays with two dimensions"


def matrix_of(value: Any, nodes: Sequence[str], keep: Callable[[Any, str], KeptObject]) -> RemoteMatrix | None:
    """The matrix whose blocks are ObjectRefs in a list of lists; None for all else.

    Parameters
    ----------
    value : object
    nodes : sequence of str
        The machine of each worker.
    keep : callable
        Makes the handle of a reference from an ObjectRef and the machine where it lies.
    """
    grid = _grid(value)
    if grid is None:
        return None
    homes, specs = looked_at(list(grid.ravel()), "adopt", "value")
    for spec in specs:
        if not isinstance(spec, ArraySpec) or len(spec.shape) != 2:
            raise refusal("adopt", "value", "have blocks that are matrices", f"{spec}", REMEDY)
    workers = placed(homes, nodes)
    blocks = np.empty(grid.shape, object)
    for place, (reference, home, worker, spec) in enumerate(zip(grid.ravel(), homes, workers, specs, strict=True)):
        blocks.flat[place] = Ref(uuid4().hex, worker, spec, keep(reference, home))
    shapes = np.array([spec.shape for spec in specs]).reshape(*grid.shape, 2)
    heights, widths = shapes[:, 0, 0], shapes[0, :, 1]
    if (shapes[:, :, 0] != heights[:, None]).any() or (shapes[:, :, 1] != widths).any():
        must = "have blocks of one height in each row, and of one width in each column"
        raise refusal("adopt", "value", must, f"blocks of {shapes.tolist()}", REMEDY)
    dtype = np.result_type(*{spec.dtype for spec in specs})
    return RemoteMatrix(blocks, tuple(heights.tolist()), tuple(widths.tolist()), dtype)


def _grid(value: Any) -> NDArray[np.object_] | None:
    """The ObjectRefs as an array of objects, if they are that and nothing else."""
    import ray

    rows = value if isinstance(value, list | tuple) else ()
    is_grid = all(isinstance(row, list | tuple) and len(row) == len(rows[0]) for row in rows) and rows and rows[0]
    if not is_grid or not all(isinstance(block, ray.ObjectRef) for row in rows for block in row):
        return None
    grid = np.empty((len(rows), len(rows[0])), object)
    for i, j in np.ndindex(*grid.shape):
        grid[i, j] = rows[i][j]
    return grid
