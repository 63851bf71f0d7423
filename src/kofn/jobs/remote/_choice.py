"""Which schemes have their data at workers."""

from __future__ import annotations

from typing import cast

from ...engines._protocol import Pool
from ...engines._references import ReferencePool
from ...schemes._scheme import Scheme
from ...schemes.products._remote import RemoteScheme
from ...schemes.products._remote_side import RemoteSideScheme
from .._delivery import Delivery
from .._placement import Placement
from ._at_hand import AtHand
from ._by_reference import ByReference


def delivery_of(scheme: Scheme, pool: Pool, placement: Placement) -> Delivery | None:
    """What takes tasks to where their data lies; None where it comes with them."""
    if isinstance(scheme, RemoteScheme):
        return ByReference(cast(ReferencePool, pool), scheme, scheme.copies)
    if isinstance(scheme, RemoteSideScheme):
        blocks = scheme.side.matrix.blocks.ravel().tolist()
        return AtHand(cast(ReferencePool, pool), placement, blocks, scheme.side.copies)
    if scheme.references:
        return AtHand(cast(ReferencePool, pool), placement, scheme.references)
    return None
