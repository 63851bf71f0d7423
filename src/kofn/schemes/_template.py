"""A scheme that lacks one operand: a matrix without its vector, terms without x, a function without inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Self

from .._base._snapshots import Snapshot
from .._base._travel import Carrying
from ..codes.decoding._estimators import Estimator
from ._scheme import Scheme


class Template(Carrying, ABC):
    """What a `kofn.Plan` keeps at workers, and makes a scheme of for each operand.

    Attributes
    ----------
    arguments : mapping of str to str
        What users call that which engines call otherwise, in refusals: ``{"value": "f"}``.
    """

    arguments: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def bind(self, operand: Any, estimator: Estimator | None = None) -> Scheme:
        """The whole scheme; what was placed before stays where it is.

        Parameters
        ----------
        operand : object
        estimator : {"lmmse", "exact", "peeling"} or EstimatorRule, optional
            How estimates are to be made, where the user says it.
        """

    def taken(self, snapshot: Snapshot) -> Self:
        """The same of what it is made of now, whatever becomes of that."""
        return self

    def keeps(self, key: Hashable) -> bool:
        """Whether a resident value may be used by the next run, and stays until then."""
        return True

    def after(self, scheme: Scheme, results: Mapping[int, Any]) -> Template:
        """The same with what a run of one of its schemes has taught, from the payloads of its rows."""
        return self
