"""Which images: a data set by name, whole or its first images, to be loaded where it is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    content : str
        What was found under that name, as `Dataset.name` tells it: the same name may stand for other files elsewhere.

    Examples
    --------
    >>> len(Part("digits", 100, 50).load(None).test_labels)
    50
    """

    name: str
    train: int | None = None
    test: int | None = None
    content: str = ""

    def load(self, data: str | None) -> Dataset:
        """Load it from a folder of data sets; what was loaded last is kept."""
        return _loaded(self.name, self.train, self.test, None if self.name == "digits" else data)

    def found(self, data: str | None) -> Part:
        """The same with what a folder holds under its name."""
        return replace(self, content=self.load(data).name)


@lru_cache(maxsize=2)
def _loaded(name: str, train: int | None, test: int | None, data: str | None) -> Dataset:
    whole = load(name, data)
    return whole if train is None or test is None else whole.first(train, test)
