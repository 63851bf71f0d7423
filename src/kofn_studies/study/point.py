"""One part of a study: frozen data that says everything its result depends on, and how it is computed."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

Result = Mapping[str, NDArray[Any]]
"""What comes of a point: arrays of numbers by name."""


@dataclass(frozen=True)
class Point(ABC):
    """A part of a study that is computed by itself, in any process, in any order.

    A subclass has fields of plain data, or of dataclasses of such: numbers, strings, None and tuples.

    Attributes
    ----------
    version : int
        To be raised when the same fields no longer give the same result, so that what is kept of before is not used.
    measures_time : bool
        Whether its result is a time: the same command computes nothing else meanwhile.

    Examples
    --------
    >>> import numpy as np
    >>> @dataclass(frozen=True)
    ... class Mean(Point):
    ...     trials: int
    ...     seed: int
    ...
    ...     def compute(self, data):
    ...         return {"mean": np.random.default_rng(self.seed).uniform(size=self.trials).mean()}
    >>> Mean(10, 0).identity
    '{"kind": "Mean", "of": {"seed": 0, "trials": 10}, "version": 1}'
    >>> Mean(10, 0).digest == Mean(10, 0).digest != Mean(10, 1).digest
    True
    """

    version: ClassVar[int] = 1
    measures_time: ClassVar[bool] = False

    @property
    def identity(self) -> str:
        """Kind, version and fields, in one line of JSON."""
        of = {"kind": type(self).__name__, "version": self.version, "of": asdict(self)}
        return json.dumps(of, sort_keys=True, allow_nan=False)

    @property
    def digest(self) -> str:
        """Hash of the identity; names its file."""
        return hashlib.sha256(self.identity.encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        """What a user reads when it is done."""
        return " ".join(str(value) for value in vars(self).values())

    @property
    def weight(self) -> float:
        """About how long it takes, in any unit that points of its figure share: tells how much is left."""
        return 1.0

    @abstractmethod
    def compute(self, data: str | None) -> Result:
        """Compute it.

        Parameters
        ----------
        data : str or None
            Folder of data sets. A point names what it takes from there, so the folder is none of its fields.
        """


Results = Mapping[Point, Result]
"""What a figure is made of."""
