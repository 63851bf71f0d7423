"""What every data set is here: labelled images, split as their authors split them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kofn.checks import integer
from kofn.errors import CodeError

Bytes = NDArray[np.uint8]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with their classes.

    Parameters
    ----------
    name : str
        As it is to stand over results: it tells what part or form of the data this is.
    train_images, test_images : (images, channels, height, width) uint8 array
    train_labels, test_labels : (images,) int array
        Index into ``classes``.
    classes : sequence of str
    white : int
        The value of a pixel at its brightest.

    Examples
    --------
    >>> images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1, 1], np.uint8)
    >>> data = Dataset("three", images, labels, images, labels, ["no", "yes"])
    >>> data.shape, len(data.first(2, 3).train_labels)
    ((1, 2, 2), 2)
    """

    name: str
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes
    classes: Sequence[str]
    white: int = 255

    def __post_init__(self) -> None:
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            if images.ndim != 4 or images.shape[:1] != labels.shape or images.shape[1:] != self.shape:
                raise CodeError(f"{self.name}: images {images.shape} and labels {labels.shape} do not fit together.")
            if images.dtype != np.uint8 or labels.dtype.kind not in "iu":
                kinds = f"images of {images.dtype} and labels of {labels.dtype}"
                raise CodeError(f"{self.name}: {kinds} are not bytes and ints.")
            none = labels[(labels < 0) | (labels >= len(self.classes))]
            if none.size:
                raise CodeError(f"{self.name}: label {none[0]} is none of {len(self.classes)} classes.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return self.train_images.shape[1:]

    def pixels(self, images: Bytes) -> NDArray[np.float32]:
        """The same images as numbers in [0, 1].

        Parameters
        ----------
        images : uint8 array
            Some of the images.

        Returns
        -------
        float32 array of the same shape
        """
        return images.astype(np.float32) / np.float32(self.white)

    def first(self, train: int, test: int) -> Dataset:
        """The first ``train`` training and ``test`` test images, which are fewer; the name says so.

        Raises
        ------
        ArgumentError
            There is nothing left.
        """
        call, remedy = "Dataset.first", "take at least one image"
        train, test = integer(call, "train", train, 1, remedy), integer(call, "test", test, 1, remedy)
        train, test = min(train, len(self.train_labels)), min(test, len(self.test_labels))
        if (train, test) == (len(self.train_labels), len(self.test_labels)):
            return self
        return replace(
            self,
            name=f"{self.name}, first {train} + {test}",
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )
