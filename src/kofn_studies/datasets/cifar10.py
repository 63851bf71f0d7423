"""CIFAR-10 (Krizhevsky, 2009) as published, as JPEG streams, or a lossless part of it; never a pickle."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kofn.errors import FileError, require

from . import official
from .dataset import Dataset

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE = "cifar10/cifar-10-binary.tar.gz"
STREAMS = "cifar10/cifar10_jpeg_streams.npz"
LOSSLESS = "cifar10/cifar10_lossless_*.npz"
BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32

Array = NDArray[Any]


def cifar10(folder: Path) -> Dataset:
    """CIFAR-10 in the best form that ``folder`` holds.

    In this order: the official archive ``cifar-10-binary.tar.gz``; its unpacked ``cifar-10-batches-bin/``;
    ``cifar10_jpeg_streams.npz``, all images as JPEG of quality 75; ``cifar10_lossless_….npz``, some images as they
    are. The data set's name tells which.
    """
    if (folder / ARCHIVE).is_file():
        return _published(_archive(folder))
    if (folder / "cifar10/cifar-10-batches-bin").is_dir():
        return _published(_unpacked(folder))
    if (folder / STREAMS).is_file():
        return _streams(folder / STREAMS)
    pieces = sorted(folder.glob(LOSSLESS))
    path = pieces[0] if pieces else official.found(folder, [ARCHIVE])
    return _lossless(path)


def _archive(folder: Path) -> list[bytes]:
    content = (folder / ARCHIVE).read_bytes()
    if hashlib.sha256(content).hexdigest() != official.SHA256[ARCHIVE]:
        raise official.refused(folder, f"hold {ARCHIVE} as published", "another file", ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = [archive.extractfile(f"cifar-10-batches-bin/{name}") for name in BATCHES]
        return [file.read() for file in files if file is not None]


def _unpacked(folder: Path) -> list[bytes]:
    names = [f"cifar10/cifar-10-batches-bin/{name}" for name in BATCHES]
    return [official.found(folder, [name]).read_bytes() for name in names]


def _published(batches: list[bytes]) -> Dataset:
    """Records of one label and 3 × 1024 pixels; every class has 5000 training and 1000 test images."""
    try:
        records = [np.frombuffer(batch, np.uint8).reshape(-1, RECORD_BYTES) for batch in batches]
        train, test = np.concatenate(records[:-1]), records[-1]
        counts = [np.bincount(half[:, 0], minlength=10).tolist() for half in (train, test)]
        if counts != [[5000] * 10, [1000] * 10]:
            raise ValueError
    except ValueError:
        must = "be 6 files of 10000 records with 6000 of each class"
        raise FileError(f"CIFAR-10's binary files must {must}; get them again from their author.") from None
    images, test_images = (half[:, 1:].reshape(-1, *SHAPE) for half in (train, test))
    return Dataset("CIFAR-10", images, train[:, 0], test_images, test[:, 0], CLASSES)


def _streams(path: Path) -> Dataset:
    held = _held(path, ("blob", "offsets", "y", "n_train"))
    blob, labels = held["blob"].tobytes(), held["y"]
    try:
        cut = int(held["n_train"])
        if not 0 < cut < len(labels):
            raise ValueError(f"{cut} of {len(labels)} for training")
        images = np.stack([_picture(blob[a:b]) for a, b in pairwise(held["offsets"])])
        return Dataset("CIFAR-10, JPEG q75", images[:cut], labels[:cut], images[cut:], labels[cut:], CLASSES)
    except (OSError, TypeError, ValueError) as error:
        raise FileError(f"{path} must hold JPEG images of 32 × 32 and their labels ({error}); get it again.") from None


def _picture(stream: bytes) -> Array:
    with require("CIFAR-10 as JPEG (its binary version is read without)", "PIL"):
        from PIL import Image
    with Image.open(io.BytesIO(stream), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1)


def _lossless(path: Path) -> Dataset:
    held = _held(path, ("x_train", "y_train", "x_test", "y_test"))
    try:
        train, test = (held[f"x_{part}"].transpose(0, 3, 1, 2) for part in ("train", "test"))
        name = f"CIFAR-10, first {len(train)} + {len(test)}"
        return Dataset(name, train, held["y_train"], test, held["y_test"], CLASSES)
    except (TypeError, ValueError) as error:
        raise FileError(f"{path} must hold images (count, 32, 32, 3) and labels ({error}); get it again.") from None


def _held(path: Path, names: tuple[str, ...]) -> Mapping[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"{path} must be a whole npz file with {', '.join(names)} ({error}); get it again.") from None
