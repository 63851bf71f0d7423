"""Learned codes for functions of matrices (Agrawal et al. 2022), and the closed forms that a network may start from."""

from __future__ import annotations

from kofn_studies.aicc.problems import PROBLEMS, Problem

from ..._base._extras import loader
from ._code import LearnedCode, Nodes
from ._computation import Computation, Term
from ._costs import Costs
from ._structured import structured_code

__all__ = ["PROBLEMS", "Computation", "Costs", "LearnedCode", "Nodes", "Problem", "Term", "structured_code"]

__getattr__ = loader(__name__, ("aicc", "measure", "training"))
