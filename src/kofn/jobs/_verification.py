"""Which checks suit a scheme: with a key, by what is redundant, or by computing everything twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import checks
from ..codes._linear import LinearCode
from ..codes._sparse import is_sparse
from ..schemes._scheme import Scheme
from ..schemes._verifier import Verifier
from ..schemes.products._remote import RemoteScheme
from ._checks import LIES, Checks, Keyed, NoChecks, Verify
from ._compared import Compared
from ._redundant import Redundant
from ._stop import Decodable, StopRule

SURPLUS = {"detect": 1, "correct": 2}
"""Results more than a code needs: one tells that something is wrong, two which one of them."""

DENSE_NUMBERS = 1 << 20
"""Codes of up to so many coefficients are audited,"""

ROWS = 2
"""and of up to so many rows a worker: of many, those that one liar has are too many to be located."""


def checks_of(
    call: str, scheme: Scheme, verify: Verify, stop: StopRule, workers: int, verifier: Verifier | None
) -> Checks:
    """The checks of one run.

    Parameters
    ----------
    call : str
    scheme : Scheme
    verify : {"off", "detect", "correct"}
    stop : StopRule
        Estimates are made of what two workers have said; what is exact may be audited.
    workers : int
        Of the pool.
    verifier : Verifier or None
        Of single results, where the scheme has one.

    Examples
    --------
    >>> import kofn
    >>> scheme = kofn.schemes.lagrange(np.square, [1.0, 2.0], degree=2, workers=5)
    >>> checks_of("kofn.map", scheme, "correct", Decodable(), 5, None).surplus
    2
    """
    lies = LIES[verify]
    if verify == "off":
        return NoChecks(lies)
    if verifier is not None:
        return Keyed(verifier, lies)
    if isinstance(scheme, RemoteScheme):
        must, remedy = "be 'off' where results stay at the workers", "leave it out, or give matrices in memory"
        raise checks.refusal(call, "verify", must, repr(verify), remedy)
    if workers < 2:
        remedy = "use more workers, or leave it out"
        raise checks.refusal(call, "verify", "be 'off' with one worker, as nobody could compare", repr(verify), remedy)
    own = int(np.bincount(scheme.code.worker).max(initial=0))
    surplus = max(SURPLUS[verify], own)  # the others tell of all that one worker returns
    corrects, dense = verify == "correct", _audited(scheme, stop, surplus, workers)
    compared = Compared(scheme.code.groups.tolist(), corrects, scheme.describe, lies, recalls=dense is not None)
    if dense is None:
        return compared
    return Redundant(dense, surplus, compared, corrects, scheme.claim, lies, scheme.epsilon, scheme.kind)


def _audited(scheme: Scheme, stop: StopRule, surplus: int, workers: int) -> LinearCode | None:
    """The code, dense, where it has so many rows more than it needs; None where rows are to be computed twice."""
    code = scheme.code
    if stop != Decodable() or scheme.enough is not None or code.picks is not None or not code.mixes:
        return None
    if code.rows * code.unknowns > DENSE_NUMBERS or code.rows > ROWS * workers or code.disjoint is not None:
        return None
    dense = replace(code, generator=code.generator.toarray()) if is_sparse(code.generator) else code
    return dense if code.rows >= np.linalg.matrix_rank(dense.generator) + surplus else None
