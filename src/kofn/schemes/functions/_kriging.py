"""Kriging: Berrut's curve through the inputs, decoded by what the results say of f at mixtures that are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...checks import named
from ._berrut import berrut_rows
from ._code import check_sizes, scattered_among, spread_among, worker_nodes
from ._curve import curve_scheme
from ._scheme import FunctionScheme


@named("kofn.schemes.kriging")
def kriging(
    f: Callable[[Any], Any],
    inputs: Any,
    *,
    recover: int | None = None,
    workers: int | None = None,
    rows: int | None = None,
    rng: Any = None,
) -> FunctionScheme:
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
        FunctionScheme (one per worker by default) and the workers that they are dealt to.
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
    X, worker = check_sizes(inputs, workers, rows)
    nodes = worker_nodes(max(len(worker), len(X)))
    alpha, beta = scattered_among(nodes, len(worker)), spread_among(nodes, len(X))
    return curve_scheme("kriging", f, X, worker, alpha, beta, berrut_rows, recover, lambda points: "lmmse")
