"""What is not always there: modules loaded when they are first used, and one sentence for packages not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any

from ..errors import MissingPackage
from ._envelope import text_of

PACKAGES = {
    "PIL": ("Pillow", "pillow"),
    "distributed": ("Dask", "'kofn[dask]'"),
    "matplotlib": ("matplotlib", "'kofn[plot]'"),
    "safetensors": ("safetensors", "'kofn[torch]'"),
    "sklearn": ("scikit-learn", "'kofn[sklearn]'"),
    "torch": ("PyTorch", "'kofn[torch]'"),
}
"""What kofn can do without: module, name, and what to install."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@contextmanager
def needed(what: str, package: str, extra: str | None = None) -> Iterator[None]:
    """Import within what ``what`` cannot do without, or raise `MissingPackage`, which says what to install.

    Examples
    --------
    >>> import sys
    >>> sys.modules["safetensors"] = None  # as if it were not installed
    >>> with needed("a file of a learned code", "safetensors"):
    ...     import safetensors
    Traceback (most recent call last):
    kofn.errors.MissingPackage: a file of a learned code needs safetensors; install it with pip install 'kofn[torch]'.
    >>> del sys.modules["safetensors"]
    """
    try:
        yield
    except ImportError as error:
        raise missing(what, package, extra, error) from error


def missing(what: str, package: str, extra: str | None = None, error: ImportError | None = None) -> MissingPackage:
    """Build (not raise) the exception for a package that is not there, or cannot be imported.

    Examples
    --------
    >>> missing("kofn.torch", "torch").name
    'torch'
    """
    name, install = PACKAGES[package]
    install = install if extra is None else f"'{extra}'"
    sentence = f"{what} needs {name}; install it with pip install {install}"
    if error is not None and (error.name or package).split(".")[0] != package:  # it is there, and broken
        sentence = f"{what} needs {name}, which cannot be imported: {text_of(error)}; pip install {install} may mend it"
    return MissingPackage(f"{sentence}.", name=package)


def loader(package: str, homes: Mapping[str, str], moved: Mapping[str, str] = NOTHING) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package that loads modules, or names out of them, when they are first used.

    Parameters
    ----------
    package : str
    homes : mapping
        From the public name to the module that it is, or to ``module:name``; relative to the package.
    moved : mapping, optional
        From names that were public once to where they went, for the sentence that says so.

    Examples
    --------
    >>> load = loader("json", {"tool": ".tool", "scan": ".scanner:make_scanner"}, {"read": "json.load"})
    >>> load("tool").__name__, load("scan").__name__
    ('json.tool', 'Scanner')
    >>> load("read")
    Traceback (most recent call last):
    AttributeError: json.read is json.load now.
    """

    def load(name: str) -> Any:
        if name in homes:
            module, _, inner = homes[name].partition(":")
            found = import_module(module, package)
            return getattr(found, inner) if inner else found
        if name in moved:
            raise AttributeError(f"{package}.{name} is {moved[name]} now.")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
