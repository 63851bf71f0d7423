"""Learned codes for functions of matrices (Agrawal et al. 2022), and the closed forms that a network may start from."""

from __future__ import annotations

from ._code import LearnedCode, Nodes
from ._computation import Computation, Term
from ._costs import Costs
from ._structured import structured_code

__all__ = ["Computation", "Costs", "LearnedCode", "Nodes", "Term", "structured_code"]
