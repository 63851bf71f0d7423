"""Inputs that lie at workers: what a task gets by reference, and what cannot be had there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from .. import checks
from .._base._snapshots import collect, is_unchanging
from ..arrays._remote import Ref
from ..engines._foreign import is_in_parts, kind_of
from ..engines._references import ReferencePool
from ..jobs._lease import PoolLease

VALUES = {bool, int, float, complex, str, bytes, tuple, list, dict, set, type(None), np.ndarray, np.float64, np.int64}
"""Types that refer to nothing elsewhere; millions of them are looked at in no time."""

REFERENCE = "a reference that another pool gave"

REMEDIES = {
    "an ObjectRef of Ray": "give workers=kofn.RayPool(…), or bring the values here first",
    REFERENCE: "give the pool that it is of as workers=, or fetch the values first",
}
"""What to do about what lies elsewhere; with Dask it is another thing."""

WITH_DASK = "give workers=client, or compute the values first"


def find_at_workers(values: Sequence[Any], lease: PoolLease, call: str, name: str) -> list[Any]:
    """Values, with references in the places of those that lie at the workers.

    Parameters
    ----------
    values : sequence
    lease : PoolLease
    call, name : str
        Who asks, and what it calls them: for what refers to values elsewhere, which is refused.
    """
    if VALUES.issuperset(map(type, values)):
        return list(values)
    require_single(values, call, name)
    has_references = lease.capabilities.references
    asked = [at for at, value in enumerate(values) if _may_refer(value, has_references)]
    if not asked:
        return list(values)
    found: list[Ref | None] = [None] * len(asked)
    if has_references:
        with checks.renamed({"'values'": repr(name)}):
            found = cast(ReferencePool, lease.pool).refer([values[at] for at in asked])
    placed = list(values)
    for at, ref in zip(asked, found, strict=True):
        kind = REFERENCE if isinstance(values[at], Ref) else kind_of(values[at])
        if ref is None and kind:
            given = f"{kind}, with {lease.name}"
            raise checks.refusal(call, name, "lie where the workers are", given, REMEDIES.get(kind, WITH_DASK))
        placed[at] = values[at] if ref is None else ref
    return placed


def find_inputs(inputs: Any, lease: PoolLease, call: str) -> Any:
    """Inputs of one call, with references in the places of those that lie at the workers; arrays as they are."""
    require_single(inputs, call, "inputs")
    is_some = isinstance(inputs, list | tuple) or hasattr(inputs, "__next__")
    if not is_some and not (isinstance(inputs, np.ndarray) and inputs.dtype.hasobject):
        return inputs
    return find_at_workers(collect(inputs), lease, call, "inputs")


def require_single(values: Any, call: str, name: str) -> None:
    """Refuse collections of Dask, all of which would come here, and a list that holds one."""
    for value in (values, *(values if isinstance(values, list | tuple) else ())):
        if is_in_parts(value):
            given = f"a {type(value).__module__.split('.')[0]} {type(value).__name__}, which has several parts"
            remedy = "pass its parts, list(np.ravel(x.to_delayed())), with workers=client, or compute it first"
            raise checks.refusal(call, name, "be single values, or futures or delayed objects of them", given, remedy)


def _may_refer(value: Any, has_references: bool) -> bool:
    """Whether an engine may know a value as one that lies at its workers."""
    if isinstance(value, Ref) or kind_of(value):
        return True
    return has_references and type(value) not in VALUES and not is_unchanging(value)
