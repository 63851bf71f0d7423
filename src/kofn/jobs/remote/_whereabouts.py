"""Where values lie by now: an engine may have moved them since their references were made."""

from __future__ import annotations

from collections.abc import Sequence

from ...arrays._remote import Ref
from ...engines._references import ReferencePool


def as_now(pool: ReferencePool, refs: Sequence[Ref]) -> list[Ref]:
    """References with the workers where their values lie; as they were where the engine does not know them.

    Examples
    --------
    >>> import kofn
    >>> from kofn.engines import references_of
    >>> with references_of(kofn.ThreadPool(1)) as pool:
    ...     as_now(pool, [Ref("a", 0)])[0].key
    'a'
    """
    return [ref if found is None else found for ref, found in zip(refs, pool.refer(refs), strict=True)]
