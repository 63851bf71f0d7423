"""Objects in Ray's store that this process does not read: copies on other machines, and blocks of other people's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from itertools import cycle
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ...arrays._spec import ArraySpec
from ...checks import refusal
from .._references import Ref, RemoteMatrix
from ._kept import KeptObject
from ._slot import is_lost, last_line, lost

REMEDY = "pass a list of lists of ObjectRefs of arrays with two dimensions"


def copied(reference: Any, node: str) -> tuple[Any, Any]:
    """Have a machine copy an object to its own store; return the ObjectRefs of the copy and of the news of it."""
    copy, said = _at(_tasks()[0], node, num_returns=2).remote(reference)
    return copy, said


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
    workers: dict[str, Any] = {
        node: cycle([worker for worker, place in enumerate(nodes) if place == node]) for node in nodes
    }
    anyone, homes, specs = cycle(range(len(nodes))), *_looked_at(list(grid.ravel()))
    blocks = np.empty(grid.shape, object)
    for place, (reference, home, spec) in enumerate(zip(grid.ravel(), homes, specs, strict=True)):
        worker = next(workers.get(home, anyone))
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


def _looked_at(references: list[Any]) -> tuple[list[str], list[ArraySpec]]:
    """Where each block lies, and what it is like, as told by its machine."""
    import ray

    ray.wait(references, num_returns=len(references), fetch_local=False)
    known = ray.experimental.get_object_locations(references)
    homes = [next(iter(known[reference].get("node_ids") or ()), "") for reference in references]
    groups = defaultdict(list)
    for place, home in enumerate(homes):
        groups[home].append(place)
    told = [_at(_tasks()[1], home).remote(*(references[p] for p in places)) for home, places in groups.items()]
    found: dict[int, Any] = {}
    for answer, places in zip(told, groups.values(), strict=True):
        found.update(zip(places, _heard(answer), strict=True))
    for place in range(len(references)):
        if not isinstance(found[place], ArraySpec) or len(found[place].shape) != 2:
            raise refusal("adopt", "value", "have blocks that are matrices", f"{found[place]}", REMEDY)
    return homes, [found[place] for place in range(len(references))]


def _heard(answer: Any) -> list[Any]:
    import ray

    try:
        return list(ray.get(answer))
    except ray.exceptions.RayError as error:
        if is_lost(error):
            raise lost("a block of the matrix cannot be had", 0, error) from error
        must = "have blocks that could be computed"
        raise refusal("adopt", "value", must, last_line(error), "see what its task raised") from error


@cache
def _tasks() -> tuple[Any, Any]:
    import ray

    remote = ray.remote(num_cpus=0, max_retries=0)
    return remote(_copy), remote(_describe)


def _at(task: Any, node: str, **options: Any) -> Any:
    """A task that runs at a machine; anywhere, if none is named."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = NodeAffinitySchedulingStrategy(node, soft=False) if node else "DEFAULT"
    return task.options(scheduling_strategy=where, **options)


def _copy(value: Any) -> tuple[Any, None]:
    return value, None


def _describe(*values: Any) -> list[Any]:
    return [ArraySpec.of(value) if isinstance(value, np.ndarray) else f"a {type(value).__name__}" for value in values]
