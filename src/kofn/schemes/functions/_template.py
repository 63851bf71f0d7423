"""A function without its inputs: what a map that is called again and again keeps at workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

from ...codes.decoding._estimators import Estimator
from .._scheme import Scheme
from .._template import Template
from ._scheme import CallScheme


@final
@dataclass(frozen=True, eq=False)
class FunctionTemplate(Template):
    """A function and its code, without inputs.

    Parameters
    ----------
    build : callable
        ``build(inputs, workers=…, rng=…)`` gives the scheme.
    workers : int
    rng : None, int or Generator
        Draws what is random in a code.
    """

    build: Callable[..., CallScheme]
    workers: int
    rng: Any = None

    arguments: ClassVar[Mapping[str, str]] = {"value": "f", "function and arguments": "inputs"}

    def bind(self, operand: Any, estimator: Estimator | None = None) -> Scheme:
        """The function at the inputs ``operand``; outputs are picked wherever that is all that is asked for."""
        return self.build(operand, workers=self.workers, rng=self.rng).decoded_by(estimator)
