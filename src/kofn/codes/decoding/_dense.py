"""Decoding stacks of dense generators: solve, certify, estimate what is not exact."""

from __future__ import annotations

import numpy as np

from ..._base._numbers import Floats
from .._certify import Certificate, amplification_of, certify, select
from .._linear import LinearCode
from .._prior import Prior
from ._assess import Decoding, are_exact, assess
from ._estimators import Estimator, rule_of
from ._systematic import complete


def decode_dense(
    generator: Floats,
    targets: Floats,
    prior: Prior,
    estimator: Estimator,
    epsilon: float,
    code: LinearCode | None = None,
) -> Decoding:
    """`decode` for stacks of dense generators, (…, received, unknowns), of a code whose unknowns are of like size."""
    certificate = certify_rows(generator, targets, code)
    recovered = are_exact(certificate.backward_error, certificate.amplification, generator, epsilon)
    matrix = certificate.matrix
    if not np.all(recovered):
        estimate = rule_of(estimator)(matrix, generator, targets, prior, epsilon)
        matrix = np.where(recovered[..., None], matrix, estimate)
    spread = None if code is None else code.spread
    return assess(generator, targets, matrix, recovered, certificate.backward_error, prior, epsilon, spread)


def certify_rows(generator: Floats, targets: Floats, code: LinearCode | None) -> Certificate:
    """V for rows of a code: taken from them where they are unknowns, solved for elsewhere; in units of the data."""
    if code is not None and code.systematic:
        certificate = complete(generator)
    elif code is not None and not code.mixes:
        certificate = select(generator, targets)
    else:
        certificate = certify(generator, targets)
    if code is None or code.spread is None:
        return certificate
    amplification = amplification_of(generator, targets, certificate.matrix, code.spread)
    return certificate._replace(amplification=amplification)
