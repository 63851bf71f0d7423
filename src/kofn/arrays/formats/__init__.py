"""Matrices in files of every kind that kofn reads and writes, by how their names end."""

from __future__ import annotations

from ._names import split_name
from ._place import Place, check_place, place
from ._read import read_file

__all__ = ["Place", "check_place", "place", "read_file", "split_name"]
