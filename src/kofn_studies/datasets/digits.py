"""Scikit-learn's handwritten digits: what there is without any file."""

from __future__ import annotations

import numpy as np

from kofn.errors import require

from .dataset import Dataset

TEST = 360
"""The last fifth of them, in the order that scikit-learn has."""


def digits() -> Dataset:
    """1797 handwritten digits of 8 × 8 pixels, of which the last 360 are for tests.

    Raises
    ------
    MissingPackage
        scikit-learn is not installed.

    Examples
    --------
    >>> digits().train_images.shape
    (1437, 1, 8, 8)
    """
    with require("kofn_studies.datasets.digits", "sklearn", "kofn[demo]"):
        from sklearn.datasets import load_digits
    images, labels = load_digits(return_X_y=True)
    images, labels = images.astype(np.uint8).reshape(-1, 1, 8, 8), labels.astype(np.uint8)
    parts = images[:-TEST], labels[:-TEST], images[-TEST:], labels[-TEST:]
    return Dataset("scikit-learn's digits", *parts, tuple("0123456789"), white=16)
