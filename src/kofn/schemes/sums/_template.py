"""Terms without their input: what a sum that is computed again and again keeps at workers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, final

from ..._base._numbers import Floats
from ..._base._snapshots import Snapshot
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._estimators import Estimator
from .._scheme import Scheme
from .._template import Template
from ._scheme import Input, SumScheme, Terms


@final
@dataclass(frozen=True, eq=False)
class SumTemplate(Template):
    """Σ f_i without its input.

    Parameters
    ----------
    code : LinearCode
        Over the terms.
    terms : Terms
    energies : (m,) array or None
        Expected squares of the terms, where they are known.
    earlier : Prior, optional
        What the terms of another input were like.
    """

    code: LinearCode
    terms: Terms
    energies: Floats | None
    earlier: Prior | None = None

    arguments: ClassVar[Mapping[str, str]] = {"value": "terms", "function and arguments": "x"}

    def bind(self, operand: Any, estimator: Estimator | None = None) -> Scheme:
        """The sum at ``operand``."""
        return SumScheme(self.code, self.terms, Input.of(operand), self.energies, self.earlier)

    def taken(self, snapshot: Snapshot) -> Self:
        """The same of the terms as they are now."""
        return replace(self, terms=self.terms.taken(snapshot))

    def keeps(self, key: Hashable) -> bool:
        """Terms stay, inputs go."""
        return isinstance(key, tuple) and key[0] == "terms"

    def after(self, scheme: Scheme, results: Mapping[int, Any]) -> Self:
        """The same, which expects of the terms what they were like."""
        return self if self.energies is not None else replace(self, earlier=scheme.learner().prior(results))
