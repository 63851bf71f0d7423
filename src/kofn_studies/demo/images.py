"""Real images for the demo: scikit-learn's digits, or MNIST's test images from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets import digits, mnist_test_images

Array = NDArray[Any]


def images(data: Path | None, most: int) -> tuple[str, Array]:
    """Return what the images are and at most ``most`` of them, one per row, with values in [0, 1].

    Parameters
    ----------
    data : Path, optional
        A folder that holds ``mnist/``; scikit-learn's digits without it.
    most : int

    Returns
    -------
    str, (images, pixels) array

    Raises
    ------
    FileError
        The folder does not hold the images, or the file is not what it should be.
    KofnError
        scikit-learn is not installed.
    """
    if data is not None:
        pixels = mnist_test_images(data)[:most]
        return f"MNIST's test images, the first {most}", pixels.reshape(len(pixels), -1) / 255.0
    held = digits()
    pixels = np.concatenate([held.train_images, held.test_images])[:most]
    return "scikit-learn's handwritten digits", pixels.reshape(len(pixels), -1) / 16.0
