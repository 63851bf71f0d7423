"""Files as their authors published them: what they are called, where to get them, and how to know them."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from kofn.checks import refusal
from kofn.errors import FileError

CALL, ARGUMENT = "kofn_studies.datasets", "data"

SOURCES: Mapping[str, str] = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://github.com/zalandoresearch/fashion-mnist",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar.html",
}

SHA256: Mapping[str, str] = {
    "mnist/train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "mnist/train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "mnist/t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "mnist/t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "fashion-mnist/train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "fashion-mnist/train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "fashion-mnist/t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "fashion-mnist/t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "cifar10/cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
}
"""Of what a file holds once unpacked (the archive of CIFAR-10: as it is), so that ``x`` and ``x.gz`` are one."""


def read(folder: Path, name: str) -> bytes:
    """Read a file, packed as ``name.gz`` or not, and unpack it.

    Parameters
    ----------
    folder : Path
        The folder of all data sets.
    name : str
        As ``"mnist/train-images-idx3-ubyte"``.

    Raises
    ------
    FileError
        It is missing, damaged, or not the official file.

    Examples
    --------
    >>> read(Path("nowhere"), "mnist/train-images-idx3-ubyte")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kofn.errors.FileError: kofn_studies.datasets: 'data' must hold mnist/train-images-idx3-ubyte.gz, but got nowhere...
    """
    path = found(folder, [f"{name}.gz", name])
    content = _unpacked(path)
    if name in SHA256 and hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise refused(folder, f"hold {name} as published", f"another file at {path}", name)
    return content


def found(folder: Path, names: Sequence[str]) -> Path:
    """The first of ``names`` that is a file in ``folder``.

    Raises
    ------
    FileError
        There is none: says which one is missing, where it was looked for, and where to get it.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise refused(folder, f"hold {names[0]}", f"{folder}, where there is none", names[0])


def refused(folder: Path, must: str, got: str, name: str) -> FileError:
    """Build the exception for a file that cannot be used; it says where to get the right one."""
    source = SOURCES[name.split("/")[0]]
    return FileError(str(refusal(CALL, ARGUMENT, must, got, f"get it from {source} and put it at {folder / name}")))


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise FileError(str(refusal(CALL, ARGUMENT, "hold whole files", f"a damaged {path}", "get it again"))) from None
    except OSError as error:
        got = f"{path} ({error.strerror or error})"
        raise FileError(str(refusal(CALL, ARGUMENT, "hold readable files", got, "check its permissions"))) from None
