"""The IDX format of MNIST: a magic number and the dimensions as big-endian 4-byte integers, then the bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import official
from .dataset import Dataset

UNSIGNED_BYTES = 0x0800
"""The magic number less the number of dimensions."""

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def array_of(content: bytes) -> NDArray[np.uint8]:
    """The array that the content of an IDX file stands for.

    Raises
    ------
    ValueError
        It is another format, or there are too few or too many bytes.

    Examples
    --------
    >>> array_of(struct.pack(">4I", 0x803, 1, 2, 2) + bytes(range(4))).tolist()
    [[[0, 1], [2, 3]]]
    """
    dimensions = int.from_bytes(content[:4]) - UNSIGNED_BYTES
    if not 1 <= dimensions <= 3 or len(content) < 4 * (dimensions + 1):
        raise ValueError("not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 * (dimensions + 1))
    if values.size != math.prod(shape):
        raise ValueError(f"an IDX file of shape {shape} with {values.size} bytes of data")
    return values.reshape(shape)


def mnist(folder: Path) -> Dataset:
    """MNIST's handwritten digits, 60 000 + 10 000 images of 28 × 28 (LeCun et al., 1998)."""
    return _four_files(folder, "mnist", "MNIST", DIGITS)


def fashion_mnist(folder: Path) -> Dataset:
    """Fashion-MNIST's pieces of clothing, 60 000 + 10 000 images of 28 × 28 (Xiao et al., 2017)."""
    return _four_files(folder, "fashion-mnist", "Fashion-MNIST", CLOTHES)


def mnist_test_images(folder: Path) -> NDArray[np.uint8]:
    """MNIST's test images alone, (10000, 28, 28)."""
    return _read(folder, "mnist/t10k-images-idx3-ubyte")


def _four_files(folder: Path, place: str, name: str, classes: Sequence[str]) -> Dataset:
    images, labels, test_images, test_labels = (
        _read(folder, f"{place}/{part}-{kind}-ubyte")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    return Dataset(name, images[:, None], labels, test_images[:, None], test_labels, classes)


def _read(folder: Path, name: str) -> NDArray[np.uint8]:
    content = official.read(folder, name)
    try:
        return array_of(content)
    except ValueError as error:
        raise official.refused(folder, f"hold {name} as published", str(error), name) from None
