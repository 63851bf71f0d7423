"""Kriging: Berrut's curve through the inputs, decoded by what the results say of f at mixtures that are known."""

from __future__ import annotations

from .._request import builder
from ._berrut import berrut_rows
from ._curve import CurveRequest
from ._scheme import FunctionScheme


@builder(CurveRequest)
def kriging(asked: CurveRequest) -> FunctionScheme:
    """Values of f along Berrut's curve, and the best linear estimate of the others under a Gaussian process over f.

    Load 1; exact once the rows that sit at the inputs have all arrived, so it waits for that or for ``recover``
    results; amplification about 1. The master encodes at 2·K·rows·(size of an input) flops and decodes at
    2·K·(results)·(size of an output), after some (results)³ to learn how smooth f is.

    Decoding by a formula of the nodes treats every f and every input alike. The master knows more: how far apart the
    mixtures are in the space of inputs, and from the results how fast f varies there (`_gaussian_process`).

    Parameters
    ----------
    f : callable
        Any function; it is evaluated between and slightly beyond the inputs.
    inputs : (K, …) array or sequence of K arrays of one shape
    recover : int, optional
        Results to wait for; three quarters of the rows by default.
    workers, rows : int, optional
        Rows (one per worker by default) and the workers that they are dealt to.
    rng : ignored
        No code of this table needs to be asked whether it draws.

    Returns
    -------
    FunctionScheme

    References
    ----------
    D. G. Krige, "A Statistical Approach to Some Basic Mine Valuation Problems on the Witwatersrand", J. Chem. Metall.
    Min. Soc. S. Afr. 52, 1951; the curve is that of `kofn.schemes.berrut`.

    Examples
    --------
    >>> import numpy as np
    >>> scheme = kriging(np.tanh, [[0.0, 1.0], [1.0, 0.0]], workers=6)
    >>> scheme.enough, scheme.code.unknowns
    (5, 6)
    """
    return asked.scheme("kriging", *asked.nodes(), berrut_rows, lambda points: "lmmse")
