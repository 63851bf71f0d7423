"""Modules loaded when they are first used: not all need them, and some need what is not always there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})


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
            # Of an AttributeError, ``from package import name`` would make a sentence that says less.
            importing = sys._getframe(1).f_code.co_name == "_handle_fromlist"
            raise (ImportError if importing else AttributeError)(f"{package}.{name} is {moved[name]} now.")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
