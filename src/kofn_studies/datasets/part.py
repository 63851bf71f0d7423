"""Which images: a data set by name, whole or its first images, to be loaded where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from . import load
from .dataset import Dataset


@dataclass(frozen=True)
class Part:
    """A data set, or its first images.

    Parameters
    ----------
    name : str
        As `kofn_studies.datasets.load` takes it.
    train, test : int, optional
        So many of the first images; all by default.

    Examples
    --------
    >>> len(Part("digits", 100, 50).load(None).test_labels)
    50
    """

    name: str
    train: int | None = None
    test: int | None = None

    def load(self, data: str | None) -> Dataset:
        """Load it from a folder of data sets; what was loaded last is kept."""
        return _loaded(self, data)


@lru_cache(maxsize=2)
def _loaded(part: Part, data: str | None) -> Dataset:
    whole = load(part.name, None if part.name == "digits" else data)
    if part.train is None or part.test is None:
        return whole
    return whole.first(part.train, part.test)
