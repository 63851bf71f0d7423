"""Labelled images: scikit-learn's digits, and what a folder of the user holds. kofn ships and downloads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path

from kofn.checks import choice, refusal

from .cifar10 import cifar10
from .dataset import Dataset
from .digits import digits
from .idx import fashion_mnist, mnist, mnist_test_images
from .official import SOURCES

FILES: Mapping[str, Callable[[Path], Dataset]] = {
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
}
"""By name: what reads a data set from the folder of that name."""


def load(name: str, data: str | PathLike[str] | None = None) -> Dataset:
    """Load labelled images; nothing is downloaded.

    Parameters
    ----------
    name : str
        "digits", which scikit-learn carries, or "mnist", "fashion-mnist", "cifar10".
    data : path, optional
        A folder that holds ``mnist/``, ``fashion-mnist/``, ``cifar10/`` with the files as published, packed or not;
        digits need none.

    Returns
    -------
    Dataset

    Raises
    ------
    FileError
        A file is missing, damaged or not the official one: which, where it was looked for, and where to get it.
    KofnError
        scikit-learn or, for JPEG streams, Pillow is not installed.

    Examples
    --------
    >>> load("digits").shape
    (1, 8, 8)
    """
    call = "kofn_studies.datasets"
    choice(call, "name", name, ["digits", *FILES], "see its documentation")
    if name == "digits":
        return digits()
    if data is None:
        remedy = f"get the files from {SOURCES[name]}, put them into DIR/{name}/ and write data='DIR', or load 'digits'"
        raise refusal(call, "data", f"name the folder that holds {name}/", None, remedy)
    try:
        folder = Path(data)
    except TypeError:
        raise refusal(call, "data", "be the path of a folder", repr(data), "write it as a string") from None
    return FILES[name](folder)


__all__ = ["FILES", "Dataset", "digits", "load", "mnist_test_images"]
