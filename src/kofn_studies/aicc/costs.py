"""What a learned code costs the master and each worker, in multiplications, to be held against computing f directly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kofn.tuning.learned import LearnedCode, Term


@dataclass(frozen=True)
class Costs:
    """Multiplications for one set of K inputs.

    Parameters
    ----------
    encode : int
        At the master: Γ_0 … Γ_G, Λ_0 and e at N nodes.
    evaluate : int
        At each worker: h once.
    decode : int
        At the master: V times R results.
    """

    encode: int
    evaluate: int
    decode: int

    @classmethod
    def of(cls, code: LearnedCode) -> Costs:
        """Those of a code.

        Examples
        --------
        >>> from kofn.tuning.learned import structured_code
        >>> X = np.random.default_rng(0).standard_normal((40, 3, 10, 10))
        >>> Costs.of(structured_code(X, np.trace(X @ X, axis1=-2, axis2=-1), recover=5, rows=8))
        Costs(encode=3300, evaluate=101, decode=15)
        """
        rows, degree = len(code.nodes.alphas), code.encoder.degree
        nodes = rows * (degree + 1) * code.size**2
        outputs = int(np.prod(code.shape))
        encode = code.encoder.multiplications(code.size) + nodes
        return cls(encode, of_terms(code.terms, code.size, outputs), code.inputs * code.recover * outputs)


def of_terms(terms: Sequence[Term], size: int, outputs: int) -> int:
    """Multiplications of h: products of matrices M³, of a matrix and a vector M², a trace M², weights one each.

    Examples
    --------
    >>> of_terms([Term(3, "trace", np.ones(2))], size=10, outputs=2)
    1102
    """
    traces = {term.power for term in terms if term.feature in ("trace", "diagonal") and term.power > 1}
    direct = {term.power for term in terms if term.feature in ("entries", "transposed")}
    products = len(_closure(direct | {p - p // 2 for p in traces} | {p // 2 for p in traces}))
    along = [max((term.power for term in terms if term.feature in names), default=1) - 1 for names in CHAINS]
    weights = sum(term.weight.size if term.weight.ndim else outputs for term in terms)
    return products * size**3 + (sum(along) + len(traces)) * size**2 + weights


CHAINS = (("rows", "total"), ("columns",))
"""Features that are made by multiplying one vector again and again."""


def _closure(powers: Iterable[int]) -> set[int]:
    """Powers that take a product, with those that they are products of."""
    found: set[int] = set()
    pending = [p for p in powers if p > 1]
    while pending:
        p = pending.pop()
        found.add(p)
        pending += [q for q in (p - p // 2, p // 2) if q > 1 and q not in found]
    return found
