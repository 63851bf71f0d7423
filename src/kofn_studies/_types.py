"""Types of arrays."""

from __future__ import annotations

from typing import Any

from numpy import intp
from numpy.typing import NDArray

Floats = NDArray[Any]
Indices = NDArray[intp]
