"""Matrices that need not fit into memory: read by pieces, cut, combined and joined."""

from __future__ import annotations

from .._base._extras import loader
from ._file import FileMatrix

__all__ = ["FileMatrix", "check_target", "new_matrix", "read_matrix", "replacing", "write_matrix"]

__getattr__ = loader(__name__, {name: f"._npy:{name}" for name in __all__ if name != "FileMatrix"})
