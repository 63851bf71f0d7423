"""Matrices that need not fit into memory: read by pieces, cut, combined and joined."""

from __future__ import annotations

from .._base._extras import loader
from ._file import FileMatrix

__all__ = ["FileMatrix", "check_target", "new_matrix", "read_matrix", "replacing", "write_matrix"]

__getattr__ = loader(
    __name__,
    {
        "check_target": "._npy:check_target",
        "new_matrix": "._npy:new_matrix",
        "read_matrix": "._npy:read_matrix",
        "replacing": "._npy:replacing",
        "write_matrix": "._npy:write_matrix",
    },
)
