"""Objects in Ray's store that this process does not read: where they lie, what they are like, and copies of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from itertools import cycle
from typing import Any
from uuid import uuid4

import numpy as np

from ...arrays._spec import ArraySpec
from ...checks import refusal
from .._references import Ref
from ._kept import KeptObject
from ._slot import is_lost, last_line, lost

Keep = Callable[[Any, str], KeptObject]
"""Makes the handle of a reference from an ObjectRef and the machine where it lies."""


def copied(reference: Any, node: str) -> tuple[Any, Any]:
    """Have a machine copy an object to its own store; return the ObjectRefs of the copy and of the news of it."""
    copy, said = _at(_tasks()[0], node, num_returns=2).remote(reference)
    return copy, said


def zeros(shape: tuple[int, int], dtype: np.dtype[Any]) -> Any:
    """An ObjectRef of zeros, which any machine makes."""
    return _at(_tasks()[2], "").remote(shape, dtype.str)


def referred(values: Sequence[Any], nodes: Sequence[str], keep: Keep) -> list[Ref | None]:
    """References to the values of ObjectRefs, and the references among them as they are; None for others.

    Parameters
    ----------
    values : sequence
    nodes : sequence of str
        The machine of each worker.
    keep : callable
    """
    import ray

    found: list[Ref | None] = [
        value if isinstance(value, Ref) and isinstance(value.handle, KeptObject) else None for value in values
    ]
    given = {at: value for at, value in enumerate(values) if isinstance(value, ray.ObjectRef)}
    if given:
        references = list(given.values())
        homes, specs = looked_at(references, "refer", "values")
        sizes = [about.get("object_size") or 0 for about in _known(references)]
        for at, reference, home, worker, spec, size in zip(
            given, references, homes, placed(homes, nodes), specs, sizes, strict=True
        ):
            known = spec if isinstance(spec, ArraySpec) else None
            found[at] = Ref(uuid4().hex, worker, known, keep(reference, home), 0 if known else size)
    return found


def placed(homes: Sequence[str], nodes: Sequence[str]) -> list[int]:
    """A worker for each value: the workers of its machine in turn, any where it has none.

    Examples
    --------
    >>> placed(["b", "b", "a", "b", ""], ["a", "b", "b"])
    [1, 2, 0, 1, 0]
    """
    anyone = cycle(range(len(nodes)))
    workers = {node: cycle([worker for worker, place in enumerate(nodes) if place == node]) for node in nodes}
    return [next(workers.get(home, anyone)) for home in homes]


def looked_at(references: list[Any], call: str, name: str) -> tuple[list[str], list[Any]]:
    """Where each object lies, and what it is like, as told by its machine: an `ArraySpec`, or of which type.

    Those that cannot be had are refused as the argument ``name`` of ``call``.
    """
    import ray

    ray.wait(references, num_returns=len(references), fetch_local=False)
    homes = [next(iter(about.get("node_ids") or ()), "") for about in _known(references)]
    groups = defaultdict(list)
    for place, home in enumerate(homes):
        groups[home].append(place)
    told = [_at(_tasks()[1], home).remote(*(references[p] for p in places)) for home, places in groups.items()]
    found: dict[int, Any] = {}
    for answer, places in zip(told, groups.values(), strict=True):
        found.update(zip(places, _heard(answer, call, name), strict=True))
    return homes, [found[place] for place in range(len(references))]


def _known(references: list[Any]) -> list[dict[str, Any]]:
    """What Ray knows of each object."""
    import ray

    known = ray.experimental.get_object_locations(references)
    return [known[reference] for reference in references]


def _heard(answer: Any, call: str, name: str) -> list[Any]:
    import ray

    try:
        return list(ray.get(answer))
    except ray.exceptions.RayError as error:
        if is_lost(error):
            raise lost(f"what an ObjectRef of {name!r} refers to cannot be had", 0, error) from error
        must = "have values that could be computed"
        raise refusal(call, name, must, last_line(error), "see what its task raised") from error


@cache
def _tasks() -> tuple[Any, Any, Any]:
    import ray

    remote = ray.remote(num_cpus=0, max_retries=0)
    return remote(_copy), remote(_describe), remote(_zeros)


def _at(task: Any, node: str, **options: Any) -> Any:
    """A task that runs at a machine; anywhere, if none is named."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = NodeAffinitySchedulingStrategy(node, soft=False) if node else "DEFAULT"
    return task.options(scheduling_strategy=where, **options)


def _copy(value: Any) -> tuple[Any, None]:
    return value, None


def _zeros(shape: tuple[int, int], dtype: str) -> Any:
    return np.zeros(shape, dtype)


def _describe(*values: Any) -> list[Any]:
    return [ArraySpec.of(value) if isinstance(value, np.ndarray) else f"a {type(value).__name__}" for value in values]
