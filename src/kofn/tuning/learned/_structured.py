"""Codes in closed form: e is laid through the inputs, V_p is fitted by least squares, nothing is trained.

The composition of a polynomial through the inputs with a polynomial of the matrix is inside the architecture of
Agrawal et al. 2022, Sec. III. So what is found here is where a network may start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...checks import integer, masked, refusal
from ._code import LearnedCode, Nodes
from ._encoder import Linear, encode, powers
from ._prior import estimate_prior
from ._selection import Samples, select

CALL = "kofn.tuning.learned.structured_code"


def structured_code(
    inputs: Floats, values: Floats, *, recover: int, nodes: Nodes | None = None, rows: int = 8
) -> LearnedCode:
    """The best code of a fixed recovery threshold that closed forms can find for samples of a function.

    Degrees G of e and P of h with GP < R are tried (`degrees`), features of the powers are selected for each pair, and
    the pair with the smallest held-out loss is kept.

    Parameters
    ----------
    inputs : (draws, K, M, M) array
        Draws of K matrices, as the code will meet them; a quarter is held out.
    values : (draws, K, …) array
        f of each of them.
    recover : int
        R, the number of results that are waited for.
    nodes : Nodes, optional
        `Nodes.chebyshev` by default.
    rows : int
        N, where nodes are not given.

    Returns
    -------
    LearnedCode
        Ready for `kofn.map`.

    Raises
    ------
    ArgumentError
        Shapes contradict each other, or R is above N.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((40, 2, 3, 3))
    >>> squares = X @ X
    >>> code = structured_code(X, squares, recover=3, rows=4)
    >>> code.recover, [(term.power, term.feature, round(float(term.weight), 9)) for term in code.terms]
    (3, [(2, 'entries', 1.0)])
    """
    inputs, values = _check(inputs, values)
    draws, K, size = inputs.shape[:3]
    integer(CALL, "recover", recover, 2, "one result is repetition")
    if nodes is None:
        nodes = Nodes.chebyshev(K, integer(CALL, "rows", rows, 1, "use at least R"))
    elif not isinstance(nodes, Nodes):
        raise refusal(CALL, "nodes", "be kofn.tuning.learned.Nodes", repr(nodes), "leave them out for Chebyshev's")
    if recover > len(nodes.alphas):
        raise refusal(CALL, "recover", f"be at most N = {len(nodes.alphas)}", recover, "use more rows")
    flat = values.reshape(draws * K, -1)
    trials = []
    for degree, power in degrees(K, recover):
        encoder = Linear(nodes.betas, degree, np.zeros(flat.shape[1]))
        reached = inputs if degree == K - 1 else encode(encoder(inputs)[0], powers(nodes.betas, degree))
        h, loss = select(Samples(reached.reshape(-1, size, size), flat), power)
        trials.append((loss, degree, h))
    _, degree, h = min(trials, key=lambda trial: trial[0])
    encoder = Linear(nodes.betas, degree, h.constant)
    mean, prior = estimate_prior(nodes, encoder, h.terms, inputs, values)
    return LearnedCode("structured", nodes, encoder, h.terms, size, values.shape[2:], mean, prior)


def degrees(inputs: int, recover: int) -> Iterator[tuple[int, int]]:
    """Pairs (G, P) with GP < R, G < K, that are worth trying: neither could be larger.

    Where G = K − 1, with which nothing of the inputs is lost, leaves P ≥ 2, it is the only one.

    Examples
    --------
    >>> list(degrees(3, 5)), list(degrees(10, 5))
    ([(2, 2)], [(1, 4), (2, 2), (4, 1)])
    """
    pairs = [(degree, (recover - 1) // degree) for degree in range(1, min(inputs, recover))]
    whole = [(degree, power) for degree, power in pairs if degree == inputs - 1 and power >= 2]
    for degree, power in whole or pairs:
        if whole or (degree + 1, power) not in pairs:
            yield degree, power


def _check(inputs: Any, values: Any) -> tuple[Floats, Floats]:
    for name, given in (("inputs", inputs), ("values", values)):
        if masked(given):  # the numbers under a mask would be learned from
            raise refusal(CALL, name, "be without masks", "masked numbers", "leave such draws out")
        if np.asarray(given).dtype.kind not in "biuf":
            must, remedy = "be real numbers", "split complex ones into real and imaginary parts"
            raise refusal(CALL, name, must, np.asarray(given).dtype, remedy)
    inputs, values = np.asarray(inputs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if inputs.ndim != 4 or inputs.shape[2] != inputs.shape[3] or inputs.shape[1] < 2 or inputs.shape[0] < 8:
        must = "be at least 8 draws of at least 2 square matrices, shape (draws, K, M, M)"
        raise refusal(CALL, "inputs", must, f"shape {inputs.shape}", "draw them from where inputs will come from")
    if values.shape[:2] != inputs.shape[:2]:
        must = f"hold one value per input, shape {(*inputs.shape[:2], '…')}"
        raise refusal(CALL, "values", must, f"shape {values.shape}", "evaluate f at every input")
    for name, array in (("inputs", inputs), ("values", values)):
        if not np.isfinite(array).all():
            raise refusal(CALL, name, "be finite", "NaN or inf", "leave such draws out")
    return inputs, values
